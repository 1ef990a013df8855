//! Draws the chart: times with eight variables set, as bars on a log scale, with a group for each operation.
//!
//! The chart is drawn from the page of the times, so both show the same numbers, and a change of the drawing
//! needs no measurement. Its caption has all that a reader without the page needs.
//!
//! Every bar has its name beside it, so three colors are enough: one for contextvar, one for the floor, and
//! one for the others. A style sheet in the file defines them for light and dark mode, and the chart draws
//! its own background.

use std::fmt::Write;

use crate::operation::Operation::{self, *};
use crate::peers::{CONTEXTVAR, FLOOR};
use crate::report::{self, number};

const VARIABLES: usize = 8;

/// The operations, each with a note after its title. The page has the other operations.
const GROUPS: [(Operation, &str); 7] = [
    (Get, ""),
    (SetNumber, ""),
    (Copy, ""),
    (CopyOnWrite, "of a u64"),
    (Poll, "enter the context, poll, leave"),
    (SpawnCurrentThread, "on a tokio runtime; the task has the same values"),
    (RequestWithoutBlocking, "8 sets, 3 tasks, 200 polls, 40 reads"),
];

const HEAD: &str = "Nanoseconds per operation, with 8 variables set";
const SCALE_NOTE: &str =
    "Shorter bars are better. Log scale: each line stands for ten times the time of the one before.";
const LEGEND: [(&str, f64, &str); 3] = [
    (" ours", 16.0, "contextvar"),
    (" floor", 158.0, "floor: the same work without a context"),
    ("", 464.0, "other libraries"),
];
const CAPTION: &str = "Medians of rounds of about a millisecond, in which all libraries take turns. The floor \
    reads or sets a bare thread_local!, polls a plain future, or spawns a plain task. A library without a bar has no \
    such operation. The two bars of opentelemetry's get are two ways to read a value. CPython's times \
    include its loop, about 10 ns.";

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// The start of the bars, and the length of the longest one.
const BARS: f64 = 192.0;
const LONGEST: f64 = 448.0;
const TOP: f64 = 126.0;
const ROW: f64 = 18.0;
/// The height of an operation's title above its rows.
const TITLE: f64 = 22.0;
const GAP: f64 = 16.0;
/// The height of a line of the caption, and its length in characters.
const LINE: f64 = 19.0;
const LINE_LENGTH: usize = 104;

/// The ends of the scale, as powers of ten in nanoseconds.
const SCALE: (i32, i32) = (-1, 6);

const STYLE: &str = "
  text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #57606a; }
  .head { font-size: 18px; font-weight: 600; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; fill: #1f2328; }
  .note { font-size: 13px; font-weight: 400; fill: #57606a; }
  .title, .value { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round; }
  .name { text-anchor: end; }
  .ours { font-weight: 600; fill: #1f2328; }
  .scale { text-anchor: middle; }
  .paper { fill: #ffffff; }
  .bar { fill: #afb8c1; }
  .bar.ours { fill: #d1570a; }
  .bar.floor { fill: #ffffff; stroke: #818b98; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    text, .note { fill: #9198a1; }
    .head, .title, text.ours { fill: #f0f6fc; }
    .title, .value { stroke: #0d1117; }
    .paper { fill: #0d1117; }
    .bar { fill: #4d5561; }
    .bar.ours { fill: #f0883e; }
    .bar.floor { fill: #0d1117; stroke: #7d8590; }
    .grid { stroke: #262c36; }
  }
";

/// Draws the numbers of the page of the times.
pub(crate) fn draw(page: &str) -> Result<String, String> {
    let measured = page
        .split("\n\n")
        .find(|paragraph| paragraph.starts_with(report::MEASURED))
        .ok_or_else(|| format!("the page has no paragraph {:?}", report::MEASURED))?;
    let table = Table::read(page)?;

    let mut groups = String::new();
    let mut y = TOP;
    for (operation, note) in GROUPS {
        y = group(&mut groups, &table, operation, note, y)?;
    }
    let bottom = y - GAP + 6.0;
    let caption = bottom + 48.0;
    let lines =
        report::wrap(&format!("{CAPTION} {measured} docs/benchmarks.md has all operations."), LINE_LENGTH);
    let height = caption + lines.len() as f64 * LINE;

    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">"#
    );
    let _ = writeln!(svg, r#"<title id="title">{HEAD}</title>"#);
    let _ = writeln!(svg, r#"<desc id="desc">"#);
    for line in &lines {
        let _ = writeln!(svg, "  {line}");
    }
    let _ = writeln!(svg, "</desc>\n<style>{STYLE}</style>");
    let _ = writeln!(svg, r#"<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>"#);
    let _ = writeln!(svg, r#"<text class="head" x="{MARGIN}" y="34">{HEAD}</text>"#);
    let _ = writeln!(svg, r#"<text x="{MARGIN}" y="57">{SCALE_NOTE}</text>"#);
    for (class, x, name) in LEGEND {
        let _ = writeln!(svg, r#"<rect class="bar{class}" x="{x}" y="70.5" width="24" height="12" rx="2"/>"#);
        let _ = writeln!(svg, r#"<text class="legend{class}" x="{}" y="81">{name}</text>"#, x + 31.0);
    }

    let _ = writeln!(svg, "\n<!-- The scale. -->");
    grid(&mut svg, bottom);
    svg += &groups;
    let _ = writeln!(svg, "\n<!-- The caption. -->");
    for (place, line) in lines.iter().enumerate() {
        let _ = writeln!(svg, r#"<text x="{MARGIN}" y="{}">{line}</text>"#, caption + place as f64 * LINE);
    }
    Ok(svg + "</svg>\n")
}

/// The page's table of the times with eight variables set.
struct Table<'a> {
    peers: Vec<&'a str>,
    /// Each with the title of its operation, and the median for each peer that has the operation.
    rows: Vec<(&'a str, Vec<Option<f64>>)>,
}

impl<'a> Table<'a> {
    fn read(page: &'a str) -> Result<Self, String> {
        let heading = report::times_heading(VARIABLES);
        let (_, section) =
            page.split_once(&heading).ok_or_else(|| format!("the page has no section {heading:?}"))?;
        let mut lines =
            section.lines().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        let (_, peers) = split_row(lines.next().ok_or("the section is empty")?)?;
        // Without the line that aligns the columns.
        let rows = lines.skip(1).map(|line| {
            let (title, cells) = split_row(line)?;
            let medians = cells.into_iter().map(median).collect::<Result<_, _>>()?;
            Ok((title, medians))
        });
        Ok(Table { peers, rows: rows.collect::<Result<_, String>>()? })
    }
}

/// Splits a row into its first cell and the others.
fn split_row(line: &str) -> Result<(&str, Vec<&str>), String> {
    let cells = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
    let mut cells = cells.ok_or_else(|| format!("not a row: {line:?}"))?.split(" | ");
    Ok((cells.next().unwrap_or_default(), cells.collect()))
}

/// Returns the median in a cell such as "1 131 (1 109)", or `None` for a dash.
fn median(cell: &str) -> Result<Option<f64>, String> {
    let Some((median, _)) = cell.split_once(" (") else { return Ok(None) };
    median.replace(' ', "").parse().map(Some).map_err(|_| format!("not a time: {cell:?}"))
}

/// Draws the operation and its bars from `y` downwards, and returns the `y` of the next one.
fn group(
    svg: &mut String,
    table: &Table<'_>,
    operation: Operation,
    note: &str,
    mut y: f64,
) -> Result<f64, String> {
    let title = operation.title();
    let row = table.rows.iter().find(|(of_row, _)| *of_row == title);
    let (_, medians) = row.ok_or_else(|| format!("the table has no row {title:?}"))?;

    let _ = writeln!(svg, "\n<!-- {title} -->");
    let _ = write!(svg, r#"<text class="title" x="{MARGIN}" y="{}">{title}"#, y + 14.0);
    if !note.is_empty() {
        let _ = write!(svg, r#"<tspan class="note" dx="8">{note}</tspan>"#);
    }
    *svg += "</text>\n";
    y += TITLE;
    for (place, (&peer, &median)) in table.peers.iter().zip(medians).enumerate() {
        let Some(median) = median else { continue };
        let (class, name) = match place {
            CONTEXTVAR => (" ours", peer),
            FLOOR => (" floor", "floor"),
            _ => ("", peer),
        };
        let text = y + 13.0;
        let length = position(median);
        let _ = writeln!(svg, r#"<text class="name{class}" x="{}" y="{text}">{name}</text>"#, BARS - 8.0);
        let _ = writeln!(
            svg,
            r#"<rect class="bar{class}" x="{BARS}" y="{}" width="{length:.1}" height="{}" rx="2"/>"#,
            y + 2.0,
            ROW - 4.0
        );
        let _ = writeln!(
            svg,
            r#"<text class="value{class}" x="{:.1}" y="{text}">{}</text>"#,
            BARS + length + 6.0,
            number(median)
        );
        y += ROW;
    }
    Ok(y + GAP)
}

/// Draws a line for each power of ten, with its name at both ends.
fn grid(svg: &mut String, bottom: f64) {
    let names = ["0.1 ns", "1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms"];
    for (power, name) in (SCALE.0..=SCALE.1).zip(names) {
        let x = BARS + position(10f64.powi(power));
        for y in [TOP - 14.0, bottom + 16.0] {
            let _ = writeln!(svg, r#"<text class="scale" x="{x:.1}" y="{y}">{name}</text>"#);
        }
        let _ =
            writeln!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}"/>"#, TOP - 8.0);
    }
}

fn position(ns: f64) -> f64 {
    let (from, to) = (f64::from(SCALE.0), f64::from(SCALE.1));
    ((ns.log10() - from) / (to - from)).clamp(0.0, 1.0) * LONGEST
}
