//! The variables, written to a line that a format or a layer has made.

use super::json::{self, Object};
use crate::log::{self, LogValue, UnusedNames, for_each_log_field, to_text};

/// How a line shows the variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// After the text: `name=value`.
    Text { colored: bool },
    /// On a line of its own, below the event and its spans.
    Pretty { colored: bool },
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

    fn iter(&self) -> impl Iterator<Item = (&'static str, LogValue<'_>)> {
        self.0.iter().map(|(name, value)| (*name, value.get()))
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
    variables: &Saved,
    colored: bool,
    is_taken: &dyn Fn(&str) -> bool,
) -> String {
    /// Room for a variable, so that few lines grow.
    const VARIABLE: usize = 48;

    let mut out = String::with_capacity(lines.len() + VARIABLE * variables.0.len());
    if let Some(object) = Object::parse(lines) {
        push_object(&mut out, &object, variables, is_taken);
        return out;
    }
    let text = lines.trim_end_matches('\n');
    let has_several = text.contains('\n');
    let mut objects = text.lines().filter(|line| !line.trim().is_empty());
    if has_several && objects.all(|line| Object::parse(line).is_some()) {
        for line in lines.split_inclusive('\n') {
            match Object::parse(line) {
                Some(object) => push_object(&mut out, &object, variables, is_taken),
                None => out.push_str(line),
            }
        }
        return out;
    }
    let style = if has_several { Style::Pretty { colored } } else { Style::Text { colored } };
    out.push_str(text);
    let mut names = UnusedNames::default();
    for (name, value) in variables.iter() {
        let name = names.add(name, is_taken);
        let is_first = out.len() == text.len();
        push_text(&mut out, style, is_first, &name, &value);
    }
    out.push_str(&lines[text.len()..]);
    out
}

fn push_object(out: &mut String, object: &Object<'_>, variables: &Saved, is_taken: &dyn Fn(&str) -> bool) {
    out.push_str(object.open);
    let mut is_empty = object.is_empty();
    let mut names = UnusedNames::default();
    for (name, value) in variables.iter() {
        let name = names.add(name, |name| is_taken(name) || object.has_key(name));
        if !is_empty {
            out.push(',');
        }
        is_empty = false;
        push_json(out, &name, &value);
    }
    out.push_str(object.close);
}

/// Appends a variable to the members of a JSON object.
pub(super) fn push_json(out: &mut String, name: &str, value: &LogValue<'_>) {
    json::push_str(out, name);
    out.push(':');
    json::push_value(out, value);
}

/// Appends a variable to the text of an event.
pub(super) fn push_text(line: &mut String, style: Style, is_first: bool, name: &str, value: &LogValue<'_>) {
    let (heading, colored) = match style {
        Style::Text { colored } => ("", colored),
        Style::Pretty { colored: false } => ("\n    context", false),
        Style::Pretty { colored: true } => ("\n    \x1b[2m\x1b[3mcontext\x1b[0m", true),
    };
    if is_first {
        line.push_str(heading);
    }
    if colored {
        line.push_str(" \x1b[3m");
        line.push_str(name);
        line.push_str("\x1b[0m\x1b[2m=\x1b[0m");
    } else {
        line.push(' ');
        line.push_str(name);
        line.push('=');
    }
    log::push_text(line, value);
}
