//! Writes a header.

use std::fmt::{self, Write};

use opentelemetry::baggage::BaggageExt;

use super::declared::{Declared, declared, find};
use super::header::{MAX_BYTES, MAX_ENTRIES, is_key, push_properties};
use super::incoming::{self, UNDECLARED};
use super::percent::push_encoded;
use crate::context::copy_context;

/// Returns the header of the current context, or nothing if it has no entries.
#[track_caller]
pub(super) fn header() -> Option<String> {
    let declared = declared();
    let context = copy_context();
    let mut header = Header { text: String::new(), entries: 0 };
    for Declared { key, var, .. } in declared {
        var.encode(&context, &mut |value| header.add(key, "", |text| push_value(text, value)));
    }
    let undeclared = context.get(&UNDECLARED).map_or("", |undeclared| undeclared);
    if !undeclared.is_empty() {
        header.add_before(undeclared);
    }
    opentelemetry::Context::map_current(|current| {
        for (key, (value, properties)) in current.baggage() {
            let key = key.as_str();
            let is_ours = || {
                find(declared, key).is_some()
                    || incoming::entries(undeclared).any(|(theirs, _)| theirs == key)
            };
            if is_key(key) && !is_ours() {
                header.add(key, properties.as_str(), |text| push_encoded(text, value.as_str().trim()));
            }
        }
    });
    (header.entries > 0).then_some(header.text)
}

/// The entries that fit into one header.
struct Header {
    text: String,
    entries: usize,
}

impl Header {
    /// Adds an entry, unless the header has no room for it. Leaves out malformed properties.
    fn add(&mut self, key: &str, properties: &str, push_value: impl FnOnce(&mut String)) {
        if self.entries == MAX_ENTRIES {
            return;
        }
        let start = self.text.len();
        if start == 0 {
            // Room for a few entries.
            self.text.reserve(128);
        } else {
            self.text.push(',');
        }
        self.text.push_str(key);
        self.text.push('=');
        push_value(&mut self.text);
        // `Err` if there are none in the header.
        let _ = push_properties(&mut self.text, properties);
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
}

fn push_after_comma(list: &mut String, entries: &str) {
    if !list.is_empty() && !entries.is_empty() {
        list.push(',');
    }
    list.push_str(entries);
}

/// Appends a value, encoded and without whitespace at its ends.
fn push_value(header: &mut String, value: &dyn fmt::Display) {
    let end = header.len();
    let mut writer = ValueWriter { start: end, end, header };
    write!(writer, "{value}").expect("a `Display` implementation returned an error unexpectedly");
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
