use std::any::TypeId;
use std::cell::Cell;
use std::fmt;

use ::tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{self, Saved, Style};
use super::spans::{has_field, in_context_of};
use crate::log::{UnusedNames, for_each_log_field};

/// A format for `tracing_subscriber::fmt` that shows the variables that are marked
/// [`log`](crate::ContextVar::log).
///
/// Wrap one of that crate's formats (full, compact, pretty or JSON) with `map_event_format`, as the last
/// step. The layer decides whether lines have colors, not the format. See [the module](crate::tracing).
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

impl<E: Clone> ContextFormat<Around<E>> {
    /// Wraps a format of your own.
    ///
    /// If a line is one JSON object, the variables become members of it. Otherwise they come last in the
    /// line, or in a line of their own below text of several lines. The format sees a writer without colors.
    ///
    /// ```
    /// use std::fmt;
    ///
    /// use contextvar::tracing::ContextFormat;
    /// use tracing::{Event, Subscriber};
    /// use tracing_subscriber::fmt::format::Writer;
    /// use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
    /// use tracing_subscriber::registry::LookupSpan;
    ///
    /// #[derive(Clone)]
    /// struct Short;
    ///
    /// impl<S, N> FormatEvent<S, N> for Short
    /// where
    ///     S: Subscriber + for<'a> LookupSpan<'a>,
    ///     N: for<'a> FormatFields<'a> + 'static,
    /// {
    ///     fn format_event(
    ///         &self,
    ///         ctx: &FmtContext<'_, S, N>,
    ///         mut writer: Writer<'_>,
    ///         event: &Event<'_>,
    ///     ) -> fmt::Result {
    ///         ctx.format_fields(writer.by_ref(), event)?;
    ///         writeln!(writer)
    ///     }
    /// }
    ///
    /// let subscriber = tracing_subscriber::fmt().event_format(ContextFormat::around(Short)).finish();
    /// # let _ = subscriber;
    /// ```
    pub fn around(format: E) -> Self {
        ContextFormat { colored: Around(format.clone()), format: Around(format) }
    }
}

/// A format of your own in a [`ContextFormat`]. Made by [`ContextFormat::around`].
#[derive(Clone, Debug)]
pub struct Around<E>(E);

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
        let mut line = take_buffer();
        format.format_event(ctx, Writer::new(&mut line), event)?;
        if is_json::<F>(&line) {
            write_json(&mut writer, &mut line, ctx, event)?;
        } else {
            let style = if is_text::<F>() { Style::Text { colored } } else { Style::Pretty { colored } };
            push_text(&mut line, style, ctx, event);
            writer.write_str(&line)?;
        }
        keep_buffer(line);
        Ok(())
    }
}

/// Adds the variables to a line of text.
fn push_text<S, N>(line: &mut String, style: Style, ctx: &FmtContext<'_, S, N>, event: &Event<'_>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let (end, end_with_breaks) = (line.trim_end_matches('\n').len(), line.len());
    line.truncate(end);
    in_context_of(ctx, event, || {
        let mut names = UnusedNames::default();
        for_each_log_field(|name, value| {
            let name = names.add(name, |name| has_field(event, name));
            let is_first = line.len() == end;
            fields::push_text(line, style, is_first, &name, value);
        });
    });
    for _ in end..end_with_breaks {
        line.push('\n');
    }
}

/// Writes a line of JSON with the variables.
fn write_json<S, N>(
    writer: &mut Writer<'_>,
    line: &mut String,
    ctx: &FmtContext<'_, S, N>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let end = line.len();
    in_context_of(ctx, event, || {
        let mut names = UnusedNames::default();
        for_each_log_field(|name, value| {
            let name = names.add(name, |name| has_field(event, name) || KEYS.contains(&name));
            fields::push_json(line, &name, value);
            line.push(',');
        });
    });
    let (event, variables) = line.split_at(end);
    if variables.is_empty() {
        return writer.write_str(event);
    }
    let at = json_fields(event);
    let is_last = event[at..].starts_with('}');
    writer.write_str(&event[..at])?;
    writer.write_str(if is_last { variables.trim_end_matches(',') } else { variables })?;
    writer.write_str(&event[at..])
}

thread_local! {
    /// The buffer of the thread's last line.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// Returns an empty buffer. A line that is logged while another one is formatted gets one of its own.
fn take_buffer() -> String {
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.reserve(LINE);
    buffer
}

/// Keeps a buffer for the thread's next line. A line that fails or panics loses its buffer.
fn keep_buffer(mut buffer: String) {
    buffer.clear();
    // On a thread that is exiting, the buffer is dropped.
    let _ = BUFFER.try_with(|kept| kept.set(buffer));
}

impl<S, N, E> FormatEvent<S, N> for ContextFormat<Around<E>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    E: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(LINE);
        self.format.0.format_event(ctx, Writer::new(&mut line), event)?;
        let mut variables = Saved::default();
        in_context_of(ctx, event, || variables = Saved::current());
        if variables.is_empty() {
            return writer.write_str(&line);
        }
        let colored = writer.has_ansi_escapes();
        writer.write_str(&fields::insert(&line, &variables, colored, &|name| has_field(event, name)))
    }
}

/// Room for a line, so that few lines grow.
const LINE: usize = 512;

/// The keys of a line of the JSON format, besides the fields of the event. A variable never has one of them,
/// whether the fields are flattened or not.
const KEYS: [&str; 11] = [
    "timestamp",
    "level",
    "target",
    "message",
    "fields",
    "span",
    "spans",
    "filename",
    "line_number",
    "threadId",
    "threadName",
];

/// Returns true if a line of this format is JSON.
fn is_json<F: 'static>(line: &str) -> bool {
    // The types `Json` and `Pretty` exist only with features of tracing-subscriber. A line of the pretty
    // format starts with spaces.
    !is_text::<F>() && line.starts_with('{')
}

/// Returns the position of the event's fields in a line of JSON.
///
/// JSON escapes quotes in strings, so the text that starts the fields occurs nowhere else. Flattened events
/// have their fields in the object itself.
fn json_fields(line: &str) -> usize {
    end_of_fields_key(line.as_bytes()).unwrap_or(1)
}

const FIELDS: &[u8] = b"\"fields\":{";

/// Returns the position after the first [`FIELDS`] in a line, with the search of Boyer, Moore and Horspool: it
/// looks at few bytes of the line.
fn end_of_fields_key(line: &[u8]) -> Option<usize> {
    /// How far the search moves on if the last of the bytes that it compares is this one.
    static SKIP: [u8; 256] = {
        let mut skip = [FIELDS.len() as u8; 256];
        let mut at = 0;
        while at + 1 < FIELDS.len() {
            skip[FIELDS[at] as usize] = (FIELDS.len() - 1 - at) as u8;
            at += 1;
        }
        skip
    };

    let mut end = FIELDS.len();
    while let Some(&last) = line.get(end - 1) {
        if last == b'{' && line[..end].ends_with(FIELDS) {
            return Some(end);
        }
        end += usize::from(SKIP[usize::from(last)]);
    }
    None
}

fn is_text<F: 'static>() -> bool {
    [TypeId::of::<Full>(), TypeId::of::<Compact>()].contains(&TypeId::of::<F>())
}
