//! The variables, written to a line that a format or a layer has made.

use std::fmt::{self, Write};

use super::json::{self, Object};
use crate::log::{LogValue, Text, UnusedNames, for_each_log_field};

/// How a line shows the variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// After the text: `name=value`.
    Text { colored: bool },
    /// On a line of its own, below the event and its spans.
    Pretty { colored: bool },
}

/// Returns `line` with the variables in it. `is_taken` returns true for names that the line has already.
pub(super) fn insert(line: &str, style: Style, is_taken: &dyn Fn(&str) -> bool) -> String {
    match Object::parse(line) {
        Some(object) => {
            let mut out = object.open.to_owned();
            let mut is_empty = object.is_empty();
            let mut names = UnusedNames::default();
            for_each_log_field(|name, value| {
                let name = names.add(name, &|name| is_taken(name) || object.has_key(name));
                if !is_empty {
                    out.push(',');
                }
                is_empty = false;
                write_json_field(&mut out, &name, value);
            });
            out + object.close
        }
        None => {
            let text = line.trim_end_matches('\n');
            let mut out = text.to_owned();
            // A `String` accepts all text.
            let _ = write_text(&mut out, style, is_taken);
            out + &line[text.len()..]
        }
    }
}

pub(super) fn write_json_field(out: &mut String, name: &str, value: &LogValue<'_>) {
    json::write_string(out, &name);
    out.push(':');
    json::write_value(out, value);
}

/// Writes the variables after the text of an event.
pub(super) fn write_text(out: &mut dyn Write, style: Style, is_taken: &dyn Fn(&str) -> bool) -> fmt::Result {
    let (mut before, colored) = match style {
        Style::Text { colored } => ("", colored),
        Style::Pretty { colored: false } => ("\n    context", false),
        Style::Pretty { colored: true } => ("\n    \x1b[2m\x1b[3mcontext\x1b[0m", true),
    };
    let mut result = Ok(());
    let mut names = UnusedNames::default();
    for_each_log_field(|name, value| {
        if result.is_ok() {
            let name = names.add(name, is_taken);
            result = if colored {
                write!(out, "{before} \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", Text(value))
            } else {
                write!(out, "{before} {name}={}", Text(value))
            };
            before = "";
        }
    });
    result
}
