use std::borrow::Cow;
use std::cell::Cell;
use std::mem::ManuallyDrop;

use ::opentelemetry::trace::{SpanBuilder, Tracer};
use ::opentelemetry::{Context, Key, KeyValue, Value};

use super::value::scalar;
use crate::log::for_each_log_field;
use crate::on_drop::OnDrop;

/// A tracer for tracing-opentelemetry, whose spans show the variables of the code that opens them.
///
/// tracing-opentelemetry starts a span when code first enters it, needs its context, or drops it. That code
/// can belong to another request, and [`ContextSpanProcessor`](super::ContextSpanProcessor) alone would show
/// the variables of that request. This tracer notes the variables when `info_span!` or `#[instrument]` makes
/// the span, and the processor then shows these. The tracer sets no attributes without the processor.
///
/// The order of the layers does not matter. Spans of OpenTelemetry's own API can be started with it as well.
///
/// Until the span starts, the variables are attributes of the [`SpanBuilder`]: all of them, before the filter
/// of the processor. So start a builder with the tracer that made it, or with another `ContextTracer`. A
/// tracer of another type would show them unfiltered, after an attribute `contextvar.noted`.
///
/// ```
/// use contextvar::ContextVar;
/// use contextvar::opentelemetry::{ContextSpanProcessor, ContextTracer};
/// use opentelemetry::KeyValue;
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
///
/// let processor = ContextSpanProcessor::new();
/// let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
/// let tracer = ContextTracer::new(provider.tracer("shop"));
/// // let layer = tracing_opentelemetry::layer().with_tracer(tracer);
///
/// // What that layer does:
/// let builder = REQUEST_ID.sync_scope(7, || tracer.span_builder("opened"));
/// let span = REQUEST_ID.sync_scope(8, || builder.start(&tracer));
/// assert_eq!(span.exported_data().unwrap().attributes, [KeyValue::new("request_id", 7)]);
/// ```
///
/// # Cost
///
/// The values are noted for every span that the layer sees, whether it is sampled or not.
#[derive(Clone, Debug)]
pub struct ContextTracer<T> {
    inner: T,
}

impl<T> ContextTracer<T> {
    /// Wraps a tracer of a provider that has a [`ContextSpanProcessor`](super::ContextSpanProcessor).
    pub fn new(inner: T) -> Self {
        ContextTracer { inner }
    }
}

impl<T: Tracer> Tracer for ContextTracer<T> {
    type Span = T::Span;

    /// Starts a span with the variables of the caller. They are formatted before OpenTelemetry borrows its
    /// current context, so a `Display` can activate a span.
    fn start<N: Into<Cow<'static, str>>>(&self, name: N) -> T::Span {
        self.build(self.span_builder(name))
    }

    fn span_builder<N: Into<Cow<'static, str>>>(&self, name: N) -> SpanBuilder {
        let mut builder = self.inner.span_builder(name);
        note_variables(builder.attributes.get_or_insert_default());
        builder
    }

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> T::Span {
        let noted = builder.attributes.as_mut().and_then(take_noted);
        let mut outer = replace_opened_with(noted);
        let _restore = OnDrop(|| drop(replace_opened_with(outer.take())));
        self.inner.build_with_context(builder, parent)
    }
}

/// The key of the attribute that marks noted variables. Its value is their number. They come next.
const NOTED: Key = Key::from_static_str("contextvar.noted");

/// Appends the variables to the attributes of a builder: they are the only place that keeps them until the
/// span starts or the builder is dropped.
fn note_variables(attributes: &mut Vec<KeyValue>) {
    let marker = attributes.len();
    attributes.push(KeyValue::new(NOTED, 0));
    for_each_log_field(|name, value| attributes.push(KeyValue::new(name, scalar::<Value>(value))));
    let count = attributes.len() - marker - 1;
    attributes[marker].value = Value::I64(count as i64);
}

/// Removes the noted variables from the attributes of a builder. Returns `None` if there are no notes.
fn take_noted(attributes: &mut Vec<KeyValue>) -> Option<Vec<KeyValue>> {
    let marker = attributes.iter().position(|attribute| attribute.key == NOTED)?;
    let Value::I64(count) = attributes[marker].value else { return None };
    attributes.remove(marker);
    let end = marker.saturating_add(count as usize).min(attributes.len());
    Some(attributes.drain(marker..end).collect())
}

thread_local! {
    /// The variables of the code that opened the span which is being started.
    ///
    /// `ManuallyDrop`, because access to a thread-local without a destructor is faster. `build_with_context`
    /// leaves nothing in it.
    static OPENED_WITH: Cell<ManuallyDrop<Option<Vec<KeyValue>>>> =
        const { Cell::new(ManuallyDrop::new(None)) };
}

/// Returns the variables of the code that opened the span which is being started, or `None` if they are those
/// of the current context.
#[inline]
pub(super) fn take_opened_with() -> Option<Vec<KeyValue>> {
    replace_opened_with(None)
}

#[inline]
fn replace_opened_with(variables: Option<Vec<KeyValue>>) -> Option<Vec<KeyValue>> {
    ManuallyDrop::into_inner(OPENED_WITH.replace(ManuallyDrop::new(variables)))
}
