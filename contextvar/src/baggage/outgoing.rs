//! Writes a header.

use std::fmt::{self, Write};

use http::HeaderName;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::TraceContextExt;

use super::BAGGAGE;
use super::declared::{Declared, declared, find};
use super::header::{MAX_BYTES, MAX_ENTRIES, is_key, push_properties};
use super::incoming::{self, UNDECLARED};
use super::percent::{is_kept, push_encoded};
use super::trace::{self, TRACE_PARENT, TRACE_STATE};
use crate::context::copy_context;

/// Calls `set` with each header of the current context and its text.
#[track_caller]
pub(super) fn for_each_header(mut set: impl FnMut(&'static HeaderName, String)) {
    let declared = declared();
    let context = copy_context();
    let mut header = Header::default();
    for Declared { key, var, .. } in declared {
        if var.is_set(&context) {
            header.add(key, |text| push_value(text, |value| var.encode(&context, value)));
        }
    }
    let undeclared = context.get(&UNDECLARED).map_or("", |undeclared| undeclared);
    if !undeclared.is_empty() {
        header.add_before(undeclared);
    }
    let mut trace = None;
    opentelemetry::Context::map_current(|current| {
        let baggage = current.baggage();
        if !baggage.is_empty() {
            header.add_opentelemetry(baggage, declared, undeclared);
        }
        // OpenTelemetry makes a span for a context that has none.
        if current.has_active_span() {
            trace = trace::texts(current.span().span_context());
        }
    });
    if header.entries > 0 {
        set(&BAGGAGE, header.text);
    }
    if let Some((parent, state)) = trace {
        set(&TRACE_PARENT, parent);
        // The specification asks senders not to send an empty one.
        if !state.is_empty() {
            set(&TRACE_STATE, state);
        }
    }
}

/// The entries that fit into one header.
#[derive(Default)]
struct Header {
    text: String,
    entries: usize,
}

impl Header {
    /// Adds an entry, unless the header has no room for it.
    fn add(&mut self, key: &str, push_value: impl FnOnce(&mut String)) {
        if self.entries == MAX_ENTRIES {
            return;
        }
        let start = self.text.len();
        if start == 0 {
            // Room for a few entries.
            self.text = String::with_capacity(128);
        } else {
            self.text.push(',');
        }
        self.text.push_str(key);
        self.text.push('=');
        push_value(&mut self.text);
        if self.text.len() <= MAX_BYTES {
            self.entries += 1;
        } else {
            self.text.truncate(start);
        }
    }

    /// Adds the undeclared entries that fit before all others.
    fn add_before(&mut self, undeclared: &str) {
        let mut text = String::with_capacity(undeclared.len() + 1 + self.text.len());
        for (_, entry) in incoming::entries(undeclared) {
            // One comma for each entry but the last.
            let commas = usize::from(!text.is_empty()) + usize::from(!self.text.is_empty());
            if self.entries < MAX_ENTRIES && text.len() + entry.len() + commas + self.text.len() <= MAX_BYTES
            {
                push_after_comma(&mut text, entry);
                self.entries += 1;
            }
        }
        push_after_comma(&mut text, &self.text);
        self.text = text;
    }

    /// Adds the entries of OpenTelemetry, except those whose keys are declared, or among the undeclared
    /// entries.
    #[cold]
    fn add_opentelemetry(&mut self, baggage: &Baggage, declared: &[&'static Declared], undeclared: &str) {
        for (key, (value, properties)) in baggage {
            let key = key.as_str();
            let is_ours = || {
                find(declared, key).is_some()
                    || incoming::entries(undeclared).any(|(theirs, _)| theirs == key)
            };
            if is_key(key) && !is_ours() {
                self.add(key, |text| {
                    push_encoded(text, value.as_str().trim());
                    // An error leaves out the properties, because one is malformed.
                    let _ = push_properties(text, properties.as_str());
                });
            }
        }
    }
}

fn push_after_comma(list: &mut String, entries: &str) {
    if !list.is_empty() && !entries.is_empty() {
        list.push(',');
    }
    list.push_str(entries);
}

/// Appends the value that `write` writes, encoded and without whitespace at its ends.
fn push_value(header: &mut String, write: impl FnOnce(&mut dyn Write)) {
    let end = header.len();
    let mut writer = ValueWriter { start: end, end, header };
    write(&mut writer);
    let end = writer.end;
    header.truncate(end);
}

struct ValueWriter<'a> {
    header: &'a mut String,
    start: usize,
    /// The end of the last character that is not whitespace.
    end: usize,
}

impl Write for ValueWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.is_empty() && is_kept(text) {
            self.header.push_str(text);
            self.end = self.header.len();
            return Ok(());
        }
        let text = if self.end == self.start { text.trim_start() } else { text };
        let (trimmed, whitespace) = text.split_at(text.trim_end().len());
        if !trimmed.is_empty() {
            push_encoded(self.header, trimmed);
            self.end = self.header.len();
        }
        push_encoded(self.header, whitespace);
        Ok(())
    }
}
