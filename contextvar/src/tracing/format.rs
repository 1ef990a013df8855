use std::any::TypeId;
use std::fmt;

use ::tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{self, Style};
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
        let mut line = String::new();
        format.format_event(ctx, Writer::new(&mut line), event)?;

        match json_fields::<F>(&line) {
            Some(start) => {
                writer.write_str(&line[..start])?;
                let mut fields = String::new();
                let is_taken = |name: &str| has_field(event, name) || KEYS.contains(&name);
                in_context_of(ctx, event, || {
                    let mut names = UnusedNames::default();
                    for_each_log_field(|name, value| {
                        let name = names.add(name, &is_taken);
                        fields::write_json_field(&mut fields, &name, value);
                        fields.push(',');
                    });
                });
                let is_last = line[start..].starts_with('}');
                writer.write_str(if is_last { fields.trim_end_matches(',') } else { &fields })?;
                writer.write_str(&line[start..])
            }
            None => {
                let text = line.trim_end_matches('\n');
                writer.write_str(text)?;
                let style = if is_text::<F>() { Style::Text { colored } } else { Style::Pretty { colored } };
                let mut result = Ok(());
                in_context_of(ctx, event, || {
                    result = fields::write_text(&mut writer, &fields::current, style, &|name| {
                        has_field(event, name)
                    });
                });
                result?;
                writer.write_str(&line[text.len()..])
            }
        }
    }
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
        let mut line = String::new();
        self.format.0.format_event(ctx, Writer::new(&mut line), event)?;
        let colored = writer.has_ansi_escapes();
        in_context_of(ctx, event, || {
            line = fields::insert(&line, &fields::current, colored, &|name| has_field(event, name));
        });
        writer.write_str(&line)
    }
}

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

/// Returns the position of the event's fields in a line of JSON. Returns `None` for other formats.
///
/// JSON escapes quotes in strings, so the text that starts the fields occurs nowhere else. Flattened events
/// have their fields in the object itself.
fn json_fields<F: 'static>(line: &str) -> Option<usize> {
    const FIELDS: &str = "\"fields\":{";
    // The types `Json` and `Pretty` exist only with features of tracing-subscriber. A line of the pretty
    // format starts with spaces.
    (!is_text::<F>() && line.starts_with('{'))
        .then(|| line.find(FIELDS).map_or(1, |fields| fields + FIELDS.len()))
}

fn is_text<F: 'static>() -> bool {
    [TypeId::of::<Full>(), TypeId::of::<Compact>()].contains(&TypeId::of::<F>())
}
