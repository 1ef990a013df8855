//! Sets variables from headers, and keeps the entries that no variable declares.

use std::fmt;

use super::declared::{NOT_WRITABLE, declared, find};
use super::error::BaggageError;
use super::header;
use crate::context::copy_context;
use crate::var::ContextVar;

/// The entries to hand on, as a header without spaces around the entries. Not set if there are none.
pub(super) static UNDECLARED: ContextVar<String> =
    ContextVar::new("undeclared_baggage").with_debug(Some(fmt_number));

/// Shows no text that a client has sent.
#[expect(clippy::ptr_arg, reason = "the variable's type is `String`")]
fn fmt_number(undeclared: &String, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "<{} entries>", entries(undeclared).count())
}

/// What happens to entries that no variable declares.
#[derive(PartialEq)]
pub(super) enum Undeclared {
    HandOn,
    Ignore,
}

#[track_caller]
pub(super) fn extract<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    undeclared: Undeclared,
) -> Vec<BaggageError> {
    let declared = declared();
    let mut kept = String::new();
    let mut errors = Vec::new();
    header::for_each_entry(headers, |entry| {
        let taken = entry.and_then(|entry| match find(declared, &entry.key) {
            Some(declared) => {
                let set = declared.var.decode(entry.value());
                set.map_err(|reason| BaggageError::declared(declared.key, reason))
            }
            None if undeclared == Undeclared::HandOn => {
                let pushed = entry.push_to(&mut kept);
                pushed.map_err(|reason| BaggageError::new(entry.key.as_bytes(), reason))
            }
            None => Ok(()),
        });
        if let Err(error) = taken {
            errors.push(error);
        }
    });
    if undeclared == Undeclared::HandOn {
        keep(kept, &mut errors);
    }
    errors
}

/// Does what [`extract`] does without a header.
#[inline]
#[track_caller]
pub(super) fn extract_nothing(undeclared: Undeclared) -> Vec<BaggageError> {
    declared();
    if undeclared == Undeclared::HandOn {
        keep_nothing();
    }
    Vec::new()
}

/// Replaces the entries to hand on in the current context. Adds an error for each that is lost.
fn keep(undeclared: String, errors: &mut Vec<BaggageError>) {
    if undeclared.is_empty() {
        keep_nothing();
    } else if let Err(error) = UNDECLARED.try_set(undeclared) {
        let lost = error.into_value();
        errors.extend(entries(&lost).map(|(key, _)| BaggageError::new(key.as_bytes(), NOT_WRITABLE)));
    }
}

#[inline]
fn keep_nothing() {
    if UNDECLARED.is_set() {
        unset();
    }
}

#[cold]
fn unset() {
    let base = copy_context();
    let mut without = base.clone();
    without.unset(&UNDECLARED);
    // A context that cannot be written keeps the entries that its owner has extracted.
    let _ = without.try_apply_changes_to_current(&base);
}

/// Returns the key of each entry of [`UNDECLARED`], and the entry.
pub(super) fn entries(undeclared: &str) -> impl Iterator<Item = (&str, &str)> {
    undeclared.split(',').filter_map(|entry| Some((header::split_once(entry, b'=')?.0, entry)))
}
