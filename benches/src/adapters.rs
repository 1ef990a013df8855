//! Counts the instructions of what stands around the core: requests, tasks, logs, telemetry, baggage. Each
//! runs beside the crate that does the same job, in the fastest way that its API offers.
//!
//! A build without the feature `adapters` has the sections whose figures depend on the features that are
//! enabled. A build with it has all sections.
//!
//! Each program runs in a process of its own, because subscribers, recorders, reporters and registered values
//! belong to the process.

#[cfg(feature = "adapters")]
mod baggage;
#[cfg(feature = "adapters")]
mod items;
#[cfg(feature = "adapters")]
mod logs;
mod lost;
mod requests;
mod row;
mod tasks;
#[cfg(feature = "adapters")]
mod telemetry;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use self::row::{Row, Side, WhyNot};
use crate::alloc;
use crate::instructions;
use crate::measure::Meter;
use crate::report::number;

/// Measures an operation: does its setup, and passes the operation to the meter.
type Program = fn(Meter);

pub(crate) struct Section {
    name: &'static str,
    title: &'static str,
    rows: Vec<Row>,
}

fn sections() -> Vec<Section> {
    vec![
        Section { name: "requests", title: "Requests of an axum service", rows: requests::rows() },
        Section { name: "tasks", title: "Tasks", rows: tasks::rows() },
        #[cfg(feature = "adapters")]
        Section { name: "items", title: "Threads, closures, streams and bodies", rows: items::rows() },
        #[cfg(feature = "adapters")]
        Section { name: "logs", title: "Lines of a log", rows: logs::rows() },
        #[cfg(feature = "adapters")]
        Section { name: "telemetry", title: "Spans, log records and metrics", rows: telemetry::rows() },
        #[cfg(feature = "adapters")]
        Section { name: "baggage", title: "Baggage", rows: baggage::rows() },
        Section { name: "lost", title: "Tasks that were given no context", rows: lost::rows() },
    ]
}

/// The instructions of each program, by its address.
type Counts = BTreeMap<usize, f64>;

/// The sections that were measured, and their figures.
pub(crate) struct Measured {
    sections: Vec<Section>,
    counts: Counts,
}

/// Counts the programs of all sections, or of the section of this name.
pub(crate) fn count(only: Option<&str>) -> Result<Measured, String> {
    let sections: Vec<Section> =
        sections().into_iter().filter(|section| only.is_none_or(|name| name == section.name)).collect();
    if sections.is_empty() {
        return Err("there is no such section in this build".to_owned());
    }
    let mut counts = Counts::new();
    for section in &sections {
        for (index, row) in section.rows.iter().enumerate() {
            eprint!("\r{:<100}", row.what);
            for (place, program) in row.programs().into_iter().enumerate() {
                if let Entry::Vacant(entry) = counts.entry(program as usize) {
                    let arguments = [ONLY, section.name, &index.to_string(), &place.to_string()];
                    let count = instructions::count(&arguments, row.repeats)?;
                    entry.insert(count.ok_or("a program of the adapters has no figure")?);
                }
            }
        }
    }
    eprintln!("\r{:<100}", "");
    Ok(Measured { sections, counts })
}

/// The argument that makes this program run one program of a row, for callgrind. The arguments after it are
/// the section, the row, the place of the program in the row, and the repeats.
pub(crate) const ONLY: &str = "--only-adapter";

pub(crate) fn run_one(arguments: &[&str]) {
    let [section, row, place, repeats] = arguments else { panic!("{ONLY} takes four arguments") };
    let sections = sections();
    let section = sections.iter().find(|known| known.name == *section).expect("a section of this build");
    let row = &section.rows[row.parse::<usize>().unwrap()];
    alloc::recycle_aligned_blocks();
    let program = row.programs()[place.parse::<usize>().unwrap()];
    program(Meter { repeats: repeats.parse().unwrap(), count_allocations: false });
}

impl Measured {
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let _ = writeln!(text, "## {}\n", section.title);
            text += "| | without | contextvar adds | at most | peer | adds | ratio | why not ahead |\n";
            text += "|---|---:|---:|---:|---|---:|---:|---|\n";
            for row in &section.rows {
                self.write_row(&mut text, row);
            }
            text.push('\n');
        }
        text
    }

    /// Writes a line for each peer. The first one has contextvar's figures.
    fn write_row(&self, text: &mut String, row: &Row) {
        let without = row.ours.plain.map_or("–".to_owned(), |plain| number(self.total(plain)));
        let adds = self.adds(&row.ours);
        let limit = row.limit.map_or(String::new(), number);
        let _ = write!(text, "| {} | {without} | {} | {limit} |", row.what, number(adds));
        for (index, peer) in row.peers.iter().enumerate() {
            if index > 0 {
                text.push_str("| | | | |");
            }
            let why_not = [row.why_not.filter(|_| index == 0), peer.why_not];
            let theirs = self.adds(&peer.side);
            let ratio = if theirs > 1.0 { format!("{:.2}", adds / theirs) } else { "–".to_owned() };
            let _ = writeln!(text, " {} | {} | {ratio} | {} |", peer.name, number(theirs), reasons(&why_not));
        }
        if row.peers.is_empty() {
            let _ = writeln!(text, " | | | {} |", reasons(&[row.why_not]));
        }
    }

    /// Returns a line for each target that was missed.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for Row { what, ours, limit, peers, why_not, .. } in
            self.sections.iter().flat_map(|section| &section.rows)
        {
            // The counts have a fraction, from events that happen once in many repeats.
            let adds = self.adds(ours).round();
            let most = |why_not: Option<WhyNot>, otherwise| why_not.map_or(otherwise, |it| it.most);
            if let Some(limit) = limit.map(|limit| most(*why_not, limit)).filter(|&limit| adds > limit) {
                missed.push(format!("{what}: {adds} instructions added, at most {limit}"));
            }
            for peer in peers {
                let theirs = self.adds(&peer.side).round();
                if adds > theirs * most(peer.why_not, 1.0) {
                    missed.push(format!("{what}: {adds} instructions added, {theirs} by {}", peer.name));
                }
            }
        }
        missed
    }

    fn adds(&self, side: &Side) -> f64 {
        self.total(side.run) - side.plain.map_or(0.0, |plain| self.total(plain))
    }

    fn total(&self, program: Program) -> f64 {
        self.counts[&(program as usize)]
    }
}

fn reasons(why_not: &[Option<WhyNot>]) -> String {
    why_not
        .iter()
        .flatten()
        .map(|it| it.reason)
        .filter(|reason| !reason.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}
