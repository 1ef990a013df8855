//! Context variables in what [`tracing`] logs, and spans in tasks.
//!
//! Variables that are marked [`log`](crate::ContextVar::log) appear in each event, wherever it comes from in the code
//! that works on a request: nested functions, spawned tasks, blocking calls, threads. No span needs to be open. What is
//! filtered out costs nothing.
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
//! A value with spaces, quotes or control characters, such as a client may choose, is quoted and escaped there.
//!
//! With `fmt().json()` they are in the event's `fields`:
//! `{"timestamp":..,"level":"INFO","fields":{"request_id":"7","tenant":"acme","message":"saved"},"target":"shop"}`.
//! The values are strings there. A field of the event goes before a variable of the same name.
//!
//! # Spans
//!
//! With this feature [`task`](crate::task) and [`thread`](crate::thread) take the current span along, too: it is entered
//! whenever the task is polled, and while it is dropped. Not so [`task::spawn_in_empty_context`](crate::task::spawn_in_empty_context),
//! and [`in_inherited_context`](crate::InContext::in_inherited_context), which carries the context alone.

use std::any::TypeId;
use std::fmt::{self, Write};

use ::tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log::for_each_log_field;

/// A format of `tracing_subscriber::fmt` that shows the variables that are marked [`log`](crate::ContextVar::log).
///
/// It is made of one of the formats there, full, compact, pretty or JSON, with `map_event_format`, as the last
/// step. Whether there are colours is up to the layer, not to the format. See [the module](self).
#[derive(Clone, Debug)]
pub struct ContextFormat<E> {
    format: E,
    /// The same with colours, for writers that have them: what the other one writes goes to a buffer first, which
    /// can't say so.
    coloured: E,
}

impl<F: Clone, T: Clone> ContextFormat<Format<F, T>> {
    /// Wraps a format.
    pub fn new(format: Format<F, T>) -> Self {
        ContextFormat { coloured: format.clone().with_ansi(true), format }
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
        let coloured = writer.has_ansi_escapes();
        let format = if coloured { &self.coloured } else { &self.format };
        let mut line = String::new();
        format.format_event(ctx, Writer::new(&mut line), event)?;

        let is_own = |name| event.metadata().fields().field(name).is_some();
        match json_fields::<F>(&line) {
            Some((start, empty)) => {
                writer.write_str(&line[..start])?;
                let mut fields = String::new();
                for_each_log_field(|name, value| {
                    if !is_own(name) {
                        let _ = write!(fields, "{}:{},", Quoted(&name), Quoted(value));
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
                    if !is_own(name) && result.is_ok() {
                        result = if coloured {
                            write!(writer, " \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", Line(value))
                        } else {
                            write!(writer, " {name}={}", Line(value))
                        };
                    }
                });
                result?;
                writer.write_str(&line[text.len()..])
            }
        }
    }
}

/// Where the fields of an event begin, if the format is JSON, and whether there are none.
///
/// Quotes in strings are escaped, so that the text can stand nowhere else. Events that are flattened have their fields
/// in the object itself.
fn json_fields<F: 'static>(line: &str) -> Option<(usize, bool)> {
    const FIELDS: &str = "\"fields\":{";
    // The type `Json` is there only where a feature of tracing-subscriber is. These are the others with lines that could
    // start as an object does: with the event's message.
    let is_text = [TypeId::of::<Full>(), TypeId::of::<Compact>()].contains(&TypeId::of::<F>());
    (!is_text && line.starts_with('{')).then(|| {
        let start = line.find(FIELDS).map_or(1, |fields| fields + FIELDS.len());
        (start, line[start..].starts_with('}'))
    })
}

/// A value in a line of text. It is quoted and escaped if it could pass for more than a value otherwise.
struct Line<'a>(&'a dyn fmt::Display);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.to_string();
        let quoted = format!("{value:?}");
        let plain = !value.is_empty() && quoted[1..quoted.len() - 1] == value && !value.contains([' ', '=']);
        f.write_str(if plain { &value } else { &quoted })
    }
}

/// A string of JSON.
struct Quoted<'a>(&'a dyn fmt::Display);

impl fmt::Display for Quoted<'_> {
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
