use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::time::Duration;

use ::opentelemetry::trace::Span as _;
use ::opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::attributes::{Keys, Selection, key};
use super::tracer::take_opened_with;
use super::value::scalar;
use crate::log::{can_show, for_each_log_field};

/// Sets the variables that are marked [`log`](crate::ContextVar::log) as attributes of each span.
///
/// The variables are those of the code that starts the span. For spans of `tracing`, use it with a
/// [`ContextTracer`](super::ContextTracer). One per provider is enough; its place among the other processors
/// does not matter. See [the module](super) for types, names and limits.
///
/// The `Display` of a value can log and start spans, which show the other variables. It can activate or enter
/// a span only if a [`ContextTracer`](super::ContextTracer) starts the span for which it is called:
/// OpenTelemetry borrows its current context while a tracer of its own starts a span, and `attach` panics.
///
/// ```
/// use contextvar::opentelemetry::ContextSpanProcessor;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let processor = ContextSpanProcessor::new().with_filter(|name| name != "user").with_max_attributes(8);
/// let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
/// # let _ = provider;
/// ```
pub struct ContextSpanProcessor {
    selection: Selection,
}

impl ContextSpanProcessor {
    /// Returns a processor that shows all variables, at most 32 on each span.
    pub fn new() -> Self {
        ContextSpanProcessor { selection: Selection::new() }
    }

    /// Shows only the variables for whose names `filter` returns true. The filter must not start spans.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::opentelemetry::ContextSpanProcessor;
    /// use opentelemetry::KeyValue;
    /// use opentelemetry::trace::{Tracer, TracerProvider};
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    ///
    /// static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
    /// static USER: ContextVar<&str> = ContextVar::new("user").log();
    ///
    /// let processor = ContextSpanProcessor::new().with_filter(|name| name != "user");
    /// let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    /// TENANT.set("acme");
    /// USER.set("ada");
    /// let span = provider.tracer("shop").start("load the cart");
    /// assert_eq!(span.exported_data().unwrap().attributes, [KeyValue::new("tenant", "acme")]);
    /// ```
    pub fn with_filter(mut self, filter: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.selection.filter = Some(Box::new(filter));
        self
    }

    /// Shows at most `n` variables on a span: those that the process wrote first. The default is 32.
    ///
    /// ```
    /// use contextvar::opentelemetry::ContextSpanProcessor;
    ///
    /// let processor = ContextSpanProcessor::new().with_max_attributes(100);
    /// # let _ = processor;
    /// ```
    pub fn with_max_attributes(mut self, n: usize) -> Self {
        self.selection.max_attributes = n;
        self
    }
}

impl Default for ContextSpanProcessor {
    fn default() -> Self {
        ContextSpanProcessor::new()
    }
}

impl fmt::Debug for ContextSpanProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.selection.max_attributes;
        f.debug_struct("ContextSpanProcessor").field("max_attributes", &max).finish_non_exhaustive()
    }
}

impl SpanProcessor for ContextSpanProcessor {
    fn on_start(&self, span: &mut Span, _: &Context) {
        if can_show() {
            self.show(span);
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl ContextSpanProcessor {
    /// Sets the variables as attributes of a span that starts: those with which it was opened, or else those of
    /// the current context.
    #[inline(never)]
    fn show(&self, span: &mut Span) {
        let mut started = Started { span, keys: self.selection.keys(), before: OnceCell::new() };
        match take_opened_with() {
            Some(variables) => {
                for KeyValue { key, value, .. } in variables {
                    let key = match started.name(key.as_str()) {
                        Some(Cow::Borrowed(_)) => key,
                        Some(Cow::Owned(renamed)) => renamed.into(),
                        None => continue,
                    };
                    started.span.set_attribute(KeyValue::new(key, value));
                }
            }
            None => for_each_log_field(|name, value| {
                if let Some(name) = started.name(name) {
                    started.span.set_attribute(KeyValue::new(key(name), scalar::<Value>(value)));
                }
            }),
        }
    }
}

/// A span that starts.
struct Started<'a> {
    span: &'a mut Span,
    keys: Keys<'a>,
    /// The attributes that the span had before its first variable. Read if there is one: it takes a copy of
    /// all data of the span.
    before: OnceCell<Vec<KeyValue>>,
}

impl Started<'_> {
    /// Returns the name of the attribute for the variable `name`, or `None` if the variable is not shown.
    fn name<'n>(&mut self, name: &'n str) -> Option<Cow<'n, str>> {
        let attributes = || self.span.exported_data().map_or_else(Vec::new, |data| data.attributes);
        let before = &self.before;
        let has = |name: &str| before.get_or_init(attributes).iter().any(|it| it.key.as_str() == name);
        self.keys.next(name, has)
    }
}
