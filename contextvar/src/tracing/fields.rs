//! The variables, written to a line that a format or a layer has made.

use std::fmt::{self, Write};

use super::json::{self, Object};
use crate::log::{LogValue, Text, UnusedNames, for_each_log_field, to_text};

/// How a line shows the variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// After the text: `name=value`.
    Text { colored: bool },
    /// On a line of its own, below the event and its spans.
    Pretty { colored: bool },
}

/// Passes the name and the value of each variable to a function.
pub(super) type Fields<'a> = &'a dyn Fn(&mut dyn FnMut(&str, &LogValue<'_>));

/// The [`Fields`] of the current context.
pub(super) fn current(f: &mut dyn FnMut(&str, &LogValue<'_>)) {
    for_each_log_field(f);
}

/// The variables as they were when they were saved. Writing them runs no user code.
#[derive(Debug, Default)]
pub(super) struct Saved(Vec<(&'static str, SavedValue)>);

#[derive(Debug)]
enum SavedValue {
    /// A number or a boolean.
    Primitive(LogValue<'static>),
    Str(String),
    Json(String),
}

impl Saved {
    /// Saves the variables of the current context.
    pub(super) fn current() -> Self {
        let mut fields = Vec::new();
        for_each_log_field(|name, value| fields.push((name, SavedValue::new(value))));
        Saved(fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn for_each(&self, f: &mut dyn FnMut(&str, &LogValue<'_>)) {
        for (name, value) in &self.0 {
            f(name, &value.get());
        }
    }
}

impl SavedValue {
    fn new(value: &LogValue<'_>) -> Self {
        let primitive = match *value {
            LogValue::Bool(value) => LogValue::Bool(value),
            LogValue::I64(value) => LogValue::I64(value),
            LogValue::U64(value) => LogValue::U64(value),
            LogValue::I128(value) => LogValue::I128(value),
            LogValue::U128(value) => LogValue::U128(value),
            LogValue::F32(value) => LogValue::F32(value),
            LogValue::F64(value) => LogValue::F64(value),
            LogValue::Str(text) => return SavedValue::Str(text.to_owned()),
            LogValue::Json(text) => return SavedValue::Json(text.to_owned()),
            LogValue::Display(_) => return SavedValue::Str(to_text(value)),
        };
        SavedValue::Primitive(primitive)
    }

    fn get(&self) -> LogValue<'_> {
        match self {
            SavedValue::Primitive(value) => *value,
            SavedValue::Str(text) => LogValue::Str(text),
            SavedValue::Json(text) => LogValue::Json(text),
        }
    }
}

/// Returns `lines`, which a format or a layer has written for one event, with the variables in them.
/// `is_taken` returns true for names that the lines have already.
///
/// The variables become members of a JSON object, and of each object if each line is one. Otherwise they
/// follow the text.
pub(super) fn insert(
    lines: &str,
    fields: Fields<'_>,
    colored: bool,
    is_taken: &dyn Fn(&str) -> bool,
) -> String {
    if let Some(object) = Object::parse(lines) {
        return insert_members(&object, fields, is_taken);
    }
    let text = lines.trim_end_matches('\n');
    let has_several = text.contains('\n');
    let mut objects = text.lines().filter(|line| !line.trim().is_empty());
    if has_several && objects.all(|line| Object::parse(line).is_some()) {
        let insert = |line| match Object::parse(line) {
            Some(object) => insert_members(&object, fields, is_taken),
            None => line.to_owned(),
        };
        return lines.split_inclusive('\n').map(insert).collect();
    }
    let style = if has_several { Style::Pretty { colored } } else { Style::Text { colored } };
    let mut out = text.to_owned();
    // A `String` accepts all text.
    let _ = write_text(&mut out, fields, style, is_taken);
    out + &lines[text.len()..]
}

fn insert_members(object: &Object<'_>, fields: Fields<'_>, is_taken: &dyn Fn(&str) -> bool) -> String {
    let mut out = object.open.to_owned();
    let mut is_empty = object.is_empty();
    let mut names = UnusedNames::default();
    fields(&mut |name, value| {
        let name = names.add(name, &|name| is_taken(name) || object.has_key(name));
        if !is_empty {
            out.push(',');
        }
        is_empty = false;
        write_json_field(&mut out, &name, value);
    });
    out + object.close
}

pub(super) fn write_json_field(out: &mut String, name: &str, value: &LogValue<'_>) {
    json::write_string(out, &name);
    out.push(':');
    json::write_value(out, value);
}

/// Writes the variables after the text of an event.
pub(super) fn write_text(
    out: &mut dyn Write,
    fields: Fields<'_>,
    style: Style,
    is_taken: &dyn Fn(&str) -> bool,
) -> fmt::Result {
    let (mut before, colored) = match style {
        Style::Text { colored } => ("", colored),
        Style::Pretty { colored: false } => ("\n    context", false),
        Style::Pretty { colored: true } => ("\n    \x1b[2m\x1b[3mcontext\x1b[0m", true),
    };
    let mut result = Ok(());
    let mut names = UnusedNames::default();
    fields(&mut |name, value| {
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
