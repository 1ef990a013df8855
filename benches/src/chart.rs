//! Draws the chart: the times with eight variables set, as bars on a log scale, with a group for each
//! operation.
//!
//! Every bar has its name beside it, so three colors are enough: one for contextvar, one for the floor, and
//! one for the others. A style sheet in the file defines them for light and dark mode, and the chart draws
//! its own background.

use std::fmt::Write;

use crate::measure::Figures;
use crate::operation::Operation::{self, *};
use crate::peers::{CONTEXTVAR, FLOOR, Peer};
use crate::report::number;

const VARIABLES: usize = 8;
const COLUMNS: [&[Operation]; 2] = [
    &[Get, ReadString, GetUnset, SetNumber, SetString, Copy],
    &[RunInCopy, CopyOnWrite, Poll, SpawnCurrentThread, SpawnMultiThread, RequestWithoutBlocking],
];

const COLUMN_WIDTH: f64 = 520.0;
/// The start of the bars in a column, and the length of the longest one.
const BARS: f64 = 172.0;
const LONGEST: f64 = 270.0;
const TOP: f64 = 64.0;
const ROW: f64 = 15.0;
/// The height of an operation's name above its rows.
const TITLE: f64 = 20.0;
const GAP: f64 = 14.0;

/// The ends of the scale, as powers of ten in nanoseconds.
const SCALE: (i32, i32) = (-1, 6);

const STYLE: &str = "
  text { font: 11px ui-sans-serif, system-ui, sans-serif; fill: #57606a; }
  .head { font-size: 15px; font-weight: 600; fill: #1f2328; }
  .title { font-size: 12px; font-weight: 600; fill: #1f2328; }
  .name { text-anchor: end; }
  .ours { font-weight: 600; fill: #1f2328; }
  .scale { font-size: 10px; text-anchor: middle; }
  .paper { fill: #ffffff; }
  .bar { fill: #afb8c1; }
  .bar.ours { fill: #d1570a; }
  .bar.floor { fill: #d8dee4; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .head, .title, text.ours { fill: #f0f6fc; }
    .paper { fill: #0d1117; }
    .bar { fill: #4d5561; }
    .bar.ours { fill: #f0883e; }
    .bar.floor { fill: #2f3742; }
    .grid { stroke: #262c36; }
  }
";

pub(crate) fn draw(peers: &[Box<dyn Peer>], figures: &Figures) -> String {
    let mut bars = [const { String::new() }; COLUMNS.len()];
    let mut bottom: f64 = 0.0;
    for (bars, operations) in bars.iter_mut().zip(COLUMNS) {
        let end = operations.iter().fold(TOP, |y, &operation| group(bars, peers, figures, operation, y));
        bottom = bottom.max(end);
    }

    let (width, height) = (COLUMNS.len() as f64 * COLUMN_WIDTH, bottom + 18.0);
    let label = "contextvar and its peers: nanoseconds per operation with eight variables set, log scale";
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">"#
    );
    let _ = writeln!(svg, "<style>{STYLE}</style>");
    let _ = writeln!(svg, r#"<rect class="paper" width="{width}" height="{height}" rx="6"/>"#);
    let _ = writeln!(
        svg,
        r#"<text class="head" x="16" y="28">Nanoseconds per operation, {VARIABLES} variables set (log scale, shorter is better)</text>"#
    );
    for (place, bars) in bars.iter().enumerate() {
        let _ = writeln!(svg, r#"<g transform="translate({} 0)">"#, place as f64 * COLUMN_WIDTH);
        grid(&mut svg, bottom);
        svg += bars;
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

/// Draws the operation and its bars from `y` downwards, and returns the `y` of the next one.
fn group(svg: &mut String, peers: &[Box<dyn Peer>], figures: &Figures, operation: Operation, y: f64) -> f64 {
    let _ = writeln!(svg, r#"<text class="title" x="16" y="{}">{}</text>"#, y + 13.0, operation.title());
    let mut y = y + TITLE;
    for (place, peer) in peers.iter().enumerate() {
        let Some(figure) = figures.get(&(operation, VARIABLES, place)) else { continue };
        let class = match place {
            CONTEXTVAR => " ours",
            FLOOR => " floor",
            _ => "",
        };
        let text = y + 11.0;
        let length = position(figure.median_ns);
        let _ = writeln!(
            svg,
            r#"<text class="name{class}" x="{}" y="{text}">{}</text>"#,
            BARS - 8.0,
            peer.name()
        );
        let _ = writeln!(
            svg,
            r#"<rect class="bar{class}" x="{BARS}" y="{}" width="{length:.1}" height="{}" rx="2"/>"#,
            y + 1.5,
            ROW - 3.0
        );
        let _ = writeln!(
            svg,
            r#"<text class="value{class}" x="{:.1}" y="{text}">{}</text>"#,
            BARS + length + 5.0,
            number(figure.median_ns)
        );
        y += ROW;
    }
    y + GAP
}

/// Draws a line for each power of ten, with its name on top.
fn grid(svg: &mut String, bottom: f64) {
    let names = ["0.1 ns", "1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms"];
    for (power, name) in (SCALE.0..=SCALE.1).zip(names) {
        let x = BARS + position(10f64.powi(power));
        let _ = writeln!(svg, r#"<text class="scale" x="{x:.1}" y="52">{name}</text>"#);
        let _ =
            writeln!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}"/>"#, TOP - 6.0);
    }
}

fn position(ns: f64) -> f64 {
    let (from, to) = (f64::from(SCALE.0), f64::from(SCALE.1));
    ((ns.log10() - from) / (to - from)).clamp(0.0, 1.0) * LONGEST
}
