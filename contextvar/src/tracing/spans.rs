//! Variables and spans.

use std::any::TypeId;
use std::cell::Cell;
use std::fmt;

use ::tracing::field::{Field, Visit};
use ::tracing::level_filters::LevelFilter;
use ::tracing::subscriber::Interest;
use ::tracing::{Dispatch, Event, Metadata, Span, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::layer::{self, Identity};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::context::Context;
use crate::current;
use crate::log::{LogValue, for_each_log_field, has_log_defaults};
use crate::on_drop::OnDrop;
use crate::storage::shown_variables;

/// Keeps the variables with which each span was opened, for the line about the end of the span.
///
/// A span is closed where its last handle is dropped, which can be in another request, or in none. With this
/// layer, the line for a closed span shows the variables of the span:
///
/// - With [`ContextFormat`](super::ContextFormat), put it before the layer that formats. Without it, the line
///   shows no variables.
/// - With [`ContextWriter`](super::ContextWriter), put it [around](Self::around) the layer that formats.
///   Without it, no line about a span shows variables: the writer cannot tell the line for a closed span from
///   the others.
///
/// Each span keeps the values that logs show alive until it is closed, and no others.
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
pub struct SpanContextLayer<L = Identity> {
    inner: L,
}

impl SpanContextLayer {
    /// Returns the layer.
    pub fn new() -> Self {
        SpanContextLayer::default()
    }
}

impl<L> SpanContextLayer<L> {
    /// Wraps a layer that writes lines about closed spans. The layer writes each of these lines in a context
    /// with the variables that logs show, as they were where the span was opened.
    ///
    /// Use it only for layers that write lines. `Dispatch::downcast_ref` does not find a wrapped layer, so do
    /// not wrap a layer on which others depend, such as tracing-opentelemetry's.
    ///
    /// A filter goes around both: `SpanContextLayer::around(layer).with_filter(filter)`.
    ///
    /// ```
    /// use std::io;
    ///
    /// use contextvar::tracing::{ContextWriter, SpanContextLayer};
    /// use tracing_subscriber::fmt::format::FmtSpan;
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::{fmt, registry};
    ///
    /// let lines = fmt::layer().with_span_events(FmtSpan::CLOSE).with_writer(ContextWriter::new(io::stdout));
    /// let subscriber = registry().with(SpanContextLayer::around(lines));
    /// # let _ = subscriber;
    /// ```
    pub fn around(layer: L) -> Self {
        SpanContextLayer { inner: layer }
    }
}

impl<S, L> Layer<S> for SpanContextLayer<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: layer::Context<'_, S>) {
        if let Some((opened_in, span)) = OpenedIn::here().zip(ctx.span(id)) {
            span.extensions_mut().replace(opened_in);
        }
        in_context_of_span(|| self.inner.on_new_span(attrs, id, ctx));
    }

    fn on_close(&self, id: span::Id, ctx: layer::Context<'_, S>) {
        // `Identity` does nothing.
        if TypeId::of::<L>() == TypeId::of::<Identity>() {
            return;
        }
        let opened_in = ctx.span(&id).and_then(|span| OpenedIn::context(&span));
        opened_in.unwrap_or_default().run(|| in_context_of_span(|| self.inner.on_close(id, ctx)));
    }

    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.inner.on_register_dispatch(dispatch);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.inner.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: layer::Context<'_, S>) -> bool {
        self.inner.enabled(metadata, ctx)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.inner.max_level_hint()
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: layer::Context<'_, S>) {
        in_context_of_span(|| self.inner.on_record(id, values, ctx));
    }

    fn on_follows_from(&self, id: &span::Id, follows: &span::Id, ctx: layer::Context<'_, S>) {
        in_context_of_span(|| self.inner.on_follows_from(id, follows, ctx));
    }

    fn event_enabled(&self, event: &Event<'_>, ctx: layer::Context<'_, S>) -> bool {
        self.inner.event_enabled(event, ctx)
    }

    fn on_event(&self, event: &Event<'_>, ctx: layer::Context<'_, S>) {
        self.inner.on_event(event, ctx);
    }

    fn on_enter(&self, id: &span::Id, ctx: layer::Context<'_, S>) {
        in_context_of_span(|| self.inner.on_enter(id, ctx));
    }

    fn on_exit(&self, id: &span::Id, ctx: layer::Context<'_, S>) {
        in_context_of_span(|| self.inner.on_exit(id, ctx));
    }

    fn on_id_change(&self, old: &span::Id, new: &span::Id, ctx: layer::Context<'_, S>) {
        self.inner.on_id_change(old, new, ctx);
    }
}

thread_local! {
    /// True while a layer in a [`SpanContextLayer`] handles a span.
    static IN_CONTEXT_OF_SPAN: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` in the current context, whose variables a line about a span shows.
fn in_context_of_span(f: impl FnOnce()) {
    let outer = IN_CONTEXT_OF_SPAN.replace(true);
    let _restore = OnDrop(|| IN_CONTEXT_OF_SPAN.set(outer));
    f();
}

/// Returns true if a line with this metadata shows the variables of the current context.
///
/// A line about a span can be that of a closed one, which only a [`SpanContextLayer`] knows.
pub(super) fn shows_current_context(metadata: &Metadata<'_>) -> bool {
    !metadata.is_span() || IN_CONTEXT_OF_SPAN.get()
}

/// The variables that logs show, as they were where a span was opened.
struct OpenedIn(Context);

impl OpenedIn {
    /// Returns `None` if logs show no variable here.
    fn here() -> Option<Self> {
        let map = current::copy_map();
        let is_any_set = || shown_variables().any(|it| it.is_logged && map.entry(it).is_some());
        if !is_any_set() && !has_log_defaults() {
            return None;
        }
        let mut shown = map.without_values();
        for logged in shown_variables().filter(|it| it.is_logged) {
            logged.variable.copy_state(&map, &mut shown);
        }
        Some(OpenedIn(Context::from_map(shown)))
    }

    /// Returns a copy of the context.
    fn context<'a>(span: &SpanRef<'a, impl LookupSpan<'a>>) -> Option<Context> {
        span.extensions().get().map(|OpenedIn(context)| context.clone())
    }
}

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
    if let Some(mut context) = span.and_then(|span| OpenedIn::context(&span)) {
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

/// The fields of events that `tracing_subscriber::fmt` makes about spans. Their metadata is the span's.
const FIELDS_ABOUT_SPANS: [&str; 3] = ["message", "time.busy", "time.idle"];

/// Returns true if the event has a field of this name.
pub(super) fn has_field(event: &Event<'_>, name: &str) -> bool {
    if event.metadata().is_span() {
        return FIELDS_ABOUT_SPANS.contains(&name);
    }
    event.metadata().fields().field(name).is_some()
}

/// Returns the names of the fields of an event with this metadata.
pub(super) fn field_names(metadata: &Metadata<'_>) -> Vec<&'static str> {
    if metadata.is_span() {
        return FIELDS_ABOUT_SPANS.to_vec();
    }
    metadata.fields().iter().map(|field| field.name()).collect()
}

/// Records the variables that are marked [`log`](crate::ContextVar::log) in the fields of a span that have
/// their names. Call it where the variables are set.
///
/// It is for layers that show the fields of spans and nothing else, such as tracing-journald's. The span must
/// declare the fields: with `tracing::field::Empty`, or with a value. Spans of tracing-opentelemetry need no
/// fields with `contextvar::opentelemetry::ContextTracer`.
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
