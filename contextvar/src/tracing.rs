//! Adds context variables to the lines that [`tracing`] logs, and carries spans into tasks.
//!
//! Variables that are marked [`log`](crate::ContextVar::log) appear in each event that the code of a request
//! logs: in nested functions, spawned tasks, blocking calls, threads. No span needs to be open. Events that
//! are filtered out cost nothing.
//!
//! ```
//! use contextvar::ContextVar;
//! use contextvar::tracing::ContextFormat;
//! use tracing::info;
//!
//! static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
//! static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
//!
//! tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
//!
//! REQUEST_ID.set(7);
//! TENANT.set("acme");
//! info!("saved"); // .. INFO shop: saved request_id=7 tenant=acme
//! ```
//!
//! A value with spaces, quotes or control characters, which a client could have chosen, is quoted and
//! escaped.
//!
//! With `fmt().json()` the variables are strings in the event's `fields`:
//! `{"timestamp":..,"level":"INFO","fields":{"request_id":"7","tenant":"acme","message":"saved"},"target":"shop"}`.
//! If a field of the event has the name of a variable, only the field is logged.
//!
//! # Spans
//!
//! With this feature, work that is handed to another task or thread carries the current span along. See
//! [`carry`](crate::carry).

use std::any::TypeId;
use std::fmt::{self, Write};

use ::tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log::for_each_log_field;

/// A format for `tracing_subscriber::fmt` that shows the variables that are marked
/// [`log`](crate::ContextVar::log).
///
/// Wrap one of that crate's formats (full, compact, pretty or JSON) with `map_event_format`, as the last
/// step. The layer decides whether lines have colors, not the format. See [the module](self).
#[derive(Clone, Debug)]
pub struct ContextFormat<E> {
    format: E,
    /// The same format with colors, for writers that support them. A line is written to a buffer first, which
    /// cannot report that.
    colored: E,
}

impl<F: Clone, T: Clone> ContextFormat<Format<F, T>> {
    /// Wraps a format of `tracing_subscriber::fmt`.
    pub fn new(format: Format<F, T>) -> Self {
        ContextFormat { colored: format.clone().with_ansi(true), format }
    }
}

impl<S, N, F, T> FormatEvent<S, N> for ContextFormat<Format<F, T>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: 'static,
    Format<F, T>: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let colored = writer.has_ansi_escapes();
        let format = if colored { &self.colored } else { &self.format };
        let mut line = String::new();
        format.format_event(ctx, Writer::new(&mut line), event)?;

        let is_event_field = |name| event.metadata().fields().field(name).is_some();
        match json_fields::<F>(&line) {
            Some((start, empty)) => {
                writer.write_str(&line[..start])?;
                let mut fields = String::new();
                for_each_log_field(|name, value| {
                    if !is_event_field(name) {
                        let _ = write!(fields, "{}:{},", JsonString(&name), JsonString(value));
                    }
                });
                writer.write_str(if empty { fields.trim_end_matches(',') } else { &fields })?;
                writer.write_str(&line[start..])
            }
            None => {
                let text = line.trim_end_matches('\n');
                writer.write_str(text)?;
                let mut result = Ok(());
                for_each_log_field(|name, value| {
                    if !is_event_field(name) && result.is_ok() {
                        result = if colored {
                            write!(writer, " \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", TextValue(value))
                        } else {
                            write!(writer, " {name}={}", TextValue(value))
                        };
                    }
                });
                result?;
                writer.write_str(&line[text.len()..])
            }
        }
    }
}

/// Returns the position of the event's fields in a line of JSON, and whether there are no fields. Returns
/// `None` for other formats.
///
/// JSON escapes quotes in strings, so the text that starts the fields occurs nowhere else. Flattened events
/// have their fields in the object itself.
fn json_fields<F: 'static>(line: &str) -> Option<(usize, bool)> {
    const FIELDS: &str = "\"fields\":{";
    // The type `Json` exists only with a feature of tracing-subscriber. These are the other formats whose
    // lines can start with `{`: with the event's message.
    let is_text = [TypeId::of::<Full>(), TypeId::of::<Compact>()].contains(&TypeId::of::<F>());
    (!is_text && line.starts_with('{')).then(|| {
        let start = line.find(FIELDS).map_or(1, |fields| fields + FIELDS.len());
        (start, line[start..].starts_with('}'))
    })
}

/// A value in a line of text. It is quoted and escaped if it could otherwise be read as more than a value.
struct TextValue<'a>(&'a dyn fmt::Display);

impl fmt::Display for TextValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.to_string();
        let quoted = format!("{value:?}");
        let plain = !value.is_empty() && quoted[1..quoted.len() - 1] == value && !value.contains([' ', '=']);
        f.write_str(if plain { &value } else { &quoted })
    }
}

/// A value as a JSON string.
struct JsonString<'a>(&'a dyn fmt::Display);

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.to_string().chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
