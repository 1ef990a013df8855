//! The contexts that finished last, with their times.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::clock::{self, Time};
use super::list;

/// The most contexts in an answer to the page: about 2 MB of JSON.
const MAX: usize = 10_000;

/// The contexts that finished last, for the page.
#[derive(Serialize)]
pub(super) struct FinishedContexts {
    time_ms: u64,
    /// Contexts that finished before this time can be missing.
    since_ms: f64,
    contexts: Vec<FinishedContext>,
}

#[derive(Serialize)]
struct FinishedContext {
    number: u64,
    parent: Option<u64>,
    name: Option<Arc<str>>,
    kind: &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    started_ms: f64,
    ended_ms: f64,
    busy_us: Time,
    polls: u64,
}

/// Returns the Unix time in milliseconds.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    since_epoch(time).as_millis() as u64
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn finished() -> FinishedContexts {
    let time = since_epoch(SystemTime::now());
    let start = time.as_secs_f64() * 1000.0 - clock::exact() as f64 / 1000.0;
    let unix_ms = |time: Time| ((start + time as f64 / 1000.0) * 1000.0).round() / 1000.0;
    let (mut contexts, mut forgotten) = list::finished();
    let surplus = contexts.len().saturating_sub(MAX);
    if let Some(last) = contexts.drain(..surplus).next_back() {
        forgotten = forgotten.max(last.finished);
    }
    let contexts = contexts.into_iter().map(|context| FinishedContext {
        number: context.number,
        parent: (context.parent != 0).then_some(context.parent),
        name: context.name,
        kind: context.kind.name(),
        file: context.location.file(),
        line: context.location.line(),
        column: context.location.column(),
        started_ms: unix_ms(context.handed_over),
        ended_ms: unix_ms(context.finished),
        busy_us: context.busy,
        polls: context.polls,
    });
    FinishedContexts {
        time_ms: time.as_millis() as u64,
        since_ms: unix_ms(forgotten),
        contexts: contexts.collect(),
    }
}
