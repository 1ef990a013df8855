//! Variables and spans.

use std::fmt;

use ::tracing::field::{Field, Visit};
use ::tracing::{Event, Span, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use crate::context::{Context, copy_context};
use crate::log::{LogValue, for_each_log_field};

/// Keeps the variables with which each span was opened, for the line that `tracing_subscriber::fmt` writes
/// when the span is closed.
///
/// A span is closed where its last handle is dropped, which can be in another request, or in none. With this
/// layer, [`ContextFormat`](super::ContextFormat) shows the variables of the span in its `close` line.
/// Without it, that line shows no variables.
///
/// Put it before the layer that formats. Each span keeps a copy of the context alive until it is closed.
///
/// ```
/// use contextvar::tracing::{ContextFormat, SpanContextLayer};
/// use tracing_subscriber::fmt::format::{FmtSpan, Format};
/// use tracing_subscriber::layer::SubscriberExt;
/// use tracing_subscriber::{fmt, registry};
///
/// let lines = fmt::layer()
///     .with_span_events(FmtSpan::CLOSE)
///     .event_format(ContextFormat::new(Format::default()));
/// let subscriber = registry().with(SpanContextLayer::new()).with(lines);
/// # let _ = subscriber;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanContextLayer {
    _private: (),
}

impl SpanContextLayer {
    /// Returns the layer.
    pub fn new() -> Self {
        SpanContextLayer { _private: () }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanContextLayer {
    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, ctx: layer::Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().replace(OpenedIn(copy_context()));
        }
    }
}

/// The context in which a span was opened.
struct OpenedIn(Context);

/// Calls `f` in the context whose variables the line of `event` shows. Does not call it if the line shows
/// none.
pub(super) fn in_context_of<S, N>(ctx: &FmtContext<'_, S, N>, event: &Event<'_>, f: impl FnOnce())
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    if !is_close(event) {
        return f();
    }
    let span = event.parent().and_then(|id| ctx.span(id));
    let context = span.and_then(|span| span.extensions().get().map(|OpenedIn(context)| context.clone()));
    if let Some(mut context) = context {
        context.run(f);
    }
}

/// Returns true if `tracing_subscriber::fmt` has made the event because a span is closed.
fn is_close(event: &Event<'_>) -> bool {
    struct FindClose(bool);

    impl Visit for FindClose {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0 |= field.name() == "message" && value == "close";
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }

    let mut close = FindClose(false);
    // Such an event has the metadata of its span.
    if event.metadata().is_span() {
        event.record(&mut close);
    }
    close.0
}

/// Returns true if the event has a field of this name.
pub(super) fn has_field(event: &Event<'_>, name: &str) -> bool {
    if event.metadata().is_span() {
        return ["message", "time.busy", "time.idle"].contains(&name);
    }
    event.metadata().fields().field(name).is_some()
}

/// Records the variables that are marked [`log`](crate::ContextVar::log) in the fields of a span that have
/// their names. Call it where the variables are set.
///
/// It is for layers that show the fields of spans and nothing else, such as tracing-journald's. For
/// tracing-opentelemetry, feature `opentelemetry` needs no fields. The span must declare the fields: with `tracing::field::Empty`, or with a value.
///
/// ```
/// use contextvar::ContextVar;
/// use contextvar::tracing::record_in_span;
/// use tracing::{field, info_span};
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
///
/// REQUEST_ID.set(7);
/// let span = info_span!("request", request_id = field::Empty);
/// record_in_span(&span);
/// ```
pub fn record_in_span(span: &Span) {
    for_each_log_field(|name, value| {
        match *value {
            LogValue::Bool(value) => span.record(name, value),
            LogValue::I64(value) => span.record(name, value),
            LogValue::U64(value) => span.record(name, value),
            LogValue::I128(value) => span.record(name, value),
            LogValue::U128(value) => span.record(name, value),
            LogValue::F32(value) => span.record(name, f64::from(value)),
            LogValue::F64(value) => span.record(name, value),
            LogValue::Str(value) => span.record(name, value),
            value => span.record(name, ::tracing::field::display(value)),
        };
    });
}
