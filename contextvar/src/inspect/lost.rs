//! The places that read or wrote without a context, for the page.

use serde::Serialize;

use crate::report::{self, Access, Cause, Report};

#[derive(Serialize)]
pub(super) struct LostPlaces {
    places: Vec<LostPlace>,
}

#[derive(Serialize)]
struct LostPlace {
    file: &'static str,
    line: u32,
    column: u32,
    variable: &'static str,
    access: &'static str,
    cause: &'static str,
    count: u64,
    task_id: Option<u64>,
    text: String,
    remedy: &'static str,
}

/// Returns the places that have been reported so far.
pub(super) fn lost() -> LostPlaces {
    LostPlaces { places: report::all().into_iter().map(LostPlace::from).collect() }
}

impl From<Report> for LostPlace {
    fn from(report: Report) -> Self {
        let location = report.location();
        LostPlace {
            file: location.file(),
            line: location.line(),
            column: location.column(),
            variable: report.variable(),
            access: match report.access() {
                Access::Read => "read",
                Access::Write => "write",
            },
            cause: match report.cause() {
                Cause::NoContext => "no context",
                Cause::LostContext => "lost context",
                Cause::OtherTask => "other task",
                Cause::Connection => "connection",
                Cause::Thread => "thread",
                Cause::ThreadExit => "thread exit",
            },
            count: report.count(),
            task_id: task_id(report),
            text: format!("{}.", report.what()),
            remedy: report.remedy(),
        }
    }
}

#[cfg(feature = "tokio")]
fn task_id(report: Report) -> Option<u64> {
    report.task().map(crate::current::number_of)
}

#[cfg(not(feature = "tokio"))]
fn task_id(_report: Report) -> Option<u64> {
    None
}
