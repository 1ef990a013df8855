//! The values that are carried without being registered: OpenTelemetry's context, and inside of it the span
//! of tracing.

#[cfg(feature = "opentelemetry")]
pub(super) use opentelemetry_context::{OpenTelemetry, current_context_has_known_values};
#[cfg(feature = "tracing")]
pub(super) use span::*;

#[cfg(feature = "opentelemetry")]
mod opentelemetry_context {
    use std::fmt::{self, Write};
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry::{Context, ContextGuard};

    /// OpenTelemetry's context. It is captured even if it looks empty: the API shows the span, the baggage and the
    /// flag of a context, and other values only to code that has their types. `Debug` shows their number, but
    /// takes as long as attaching the context three times. So only work that has been polled often asks for it.
    #[derive(Default)]
    pub(crate) struct OpenTelemetry {
        /// `None` on a thread that is exiting.
        context: Option<Context>,
        /// How often the context was attached, up to [`MANY`](Self::MANY). Then [`EMPTY`](Self::EMPTY) if it is.
        attached: AtomicU8,
    }

    impl OpenTelemetry {
        const MANY: u8 = 8;
        const EMPTY: u8 = u8::MAX;

        #[cfg(feature = "baggage")]
        pub(crate) fn new(context: Context) -> Self {
            OpenTelemetry { context: Some(context), ..OpenTelemetry::default() }
        }

        #[inline(always)]
        pub(crate) fn capture() -> Self {
            // `Context::current` does the same, and would not be inlined.
            let context = can_use().then(|| Context::map_current(Context::clone));
            OpenTelemetry { context, attached: AtomicU8::new(0) }
        }

        #[inline]
        pub(crate) fn is_known_to_be_empty(&self) -> bool {
            self.attached.load(Relaxed) == Self::EMPTY
        }

        /// Attaches the context. If it is known to be empty, only where that hides something that OpenTelemetry
        /// itself puts into contexts.
        #[inline(always)]
        pub(crate) fn enter(&self) -> Option<ContextGuard> {
            let context = self.context.as_ref().filter(|_| can_use())?;
            let attached = self.attached.load(Relaxed);
            if attached < Self::MANY {
                self.attached.store(attached + 1, Relaxed);
                if attached + 1 == Self::MANY {
                    self.find_out_if_empty(context);
                }
            } else if attached == Self::EMPTY && !current_context_has_known_values() {
                return None;
            }
            Some(context.clone().attach())
        }

        #[cold]
        fn find_out_if_empty(&self, context: &Context) {
            if is_empty(context) {
                self.attached.store(Self::EMPTY, Relaxed);
            }
        }
    }

    /// Returns true if OpenTelemetry's current context has a span, baggage or the flag.
    #[inline(never)]
    pub(crate) fn current_context_has_known_values() -> bool {
        can_use()
            && Context::map_current(|it| {
                it.is_telemetry_suppressed() || it.has_active_span() || !it.baggage().is_empty()
            })
    }

    /// Returns true if the context has no values at all. If the text of `Debug` changes one day, no context counts
    /// as empty, and each one is attached.
    fn is_empty(context: &Context) -> bool {
        /// The rest of the text that must be written. The first difference ends the formatting.
        struct Expected(&'static str);

        impl Write for Expected {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
                Ok(())
            }
        }

        let mut rest = Expected(r#"Context { span: "None", entries count: 0, suppress_telemetry: false }"#);
        write!(rest, "{context:?}").is_ok() && rest.0.is_empty()
    }

    /// Returns true if OpenTelemetry's current context can be used. On a thread that is exiting it panics,
    /// which would abort the process in a destructor.
    #[inline]
    fn can_use() -> bool {
        struct CanUse(bool);

        // Gives the thread-local a destructor. It runs before that of OpenTelemetry's thread-local, which is
        // initialized earlier.
        impl Drop for CanUse {
            fn drop(&mut self) {}
        }

        thread_local! {
            static CAN_USE: CanUse = CanUse(std::panic::catch_unwind(Context::current).is_ok());
        }

        CAN_USE.try_with(|can_use| can_use.0).unwrap_or(false)
    }
}

#[cfg(feature = "tracing")]
mod span {
    use std::fmt::{self, Write};

    use ::tracing::dispatcher::{self, Dispatch};
    use ::tracing::level_filters::LevelFilter;
    use ::tracing::span;
    use ::tracing::subscriber::NoSubscriber;

    /// The span of tracing, or none.
    pub(crate) struct Span(::tracing::Span);

    impl Default for Span {
        fn default() -> Self {
            Span(::tracing::Span::none())
        }
    }

    impl Span {
        #[inline]
        pub(crate) fn capture() -> Self {
            if is_off() { Span::default() } else { Span(::tracing::Span::current()) }
        }

        #[cfg(not(feature = "opentelemetry"))]
        pub(crate) fn is_none(&self) -> bool {
            self.0.is_none()
        }

        /// Returns false if entering the span changes nothing: there is no span, and no span of other work.
        #[inline]
        pub(crate) fn changes_anything(&self) -> bool {
            !self.0.is_none() || !is_off()
        }

        /// Enters the span, if there is one.
        #[inline]
        pub(crate) fn enter(&self) -> Option<span::Entered<'_>> {
            if self.0.is_none() { None } else { Some(self.0.enter()) }
        }

        /// Does the same for longer than this value lives.
        #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
        pub(crate) fn enter_owned(&self) -> Option<span::EnteredSpan> {
            if self.0.is_none() { None } else { Some(self.0.clone().entered()) }
        }

        /// Exits the spans of other work, if this is none.
        #[inline]
        pub(crate) fn exit_others(&self) -> Option<ExitedSpans> {
            if self.0.is_none() && !is_off() { ExitedSpans::exit_all() } else { None }
        }
    }

    /// Returns true if no subscriber is interested in any span: the cheapest test.
    #[inline]
    fn is_off() -> bool {
        LevelFilter::current() == LevelFilter::OFF
    }

    /// The spans that were current on this thread, innermost first. Enters them again when it is dropped.
    pub(crate) struct ExitedSpans {
        subscriber: Dispatch,
        spans: Vec<span::Id>,
    }

    impl ExitedSpans {
        fn exit_all() -> Option<Self> {
            if dispatcher::get_default(|it| it.current_span().id().is_none()) {
                return None;
            }
            Some(Self::exit_some())
        }

        #[cold]
        fn exit_some() -> Self {
            /// A subscriber may not take a span off its stack. Then the loop would not end.
            const MAX: usize = 1000;

            let subscriber = dispatcher::get_default(Clone::clone);
            let mut exited = ExitedSpans { subscriber, spans: Vec::new() };
            while exited.spans.len() < MAX {
                let current = exited.subscriber.current_span();
                let Some(id) = current.id() else { break };
                exited.subscriber.exit(id);
                exited.spans.push(id.clone());
            }
            exited
        }
    }

    impl Drop for ExitedSpans {
        fn drop(&mut self) {
            for id in self.spans.iter().rev() {
                self.subscriber.enter(id);
            }
        }
    }

    /// Returns the default subscriber of this thread, or `None` if that is the global one.
    pub(crate) fn scoped_subscriber() -> Option<Dispatch> {
        /// Compares the first word that is written, and ends the formatting.
        struct IsGlobal(bool);

        impl Write for IsGlobal {
            fn write_str(&mut self, name: &str) -> fmt::Result {
                self.0 = name == "Dispatch::Global";
                Err(fmt::Error)
            }
        }

        if is_off() {
            return None;
        }
        dispatcher::get_default(|subscriber| {
            // Only `Debug` shows it. If the name changes one day, the global subscriber is carried as well,
            // and work still logs to it.
            let mut is_global = IsGlobal(false);
            let _ = write!(is_global, "{subscriber:?}");
            (!is_global.0 && !subscriber.is::<NoSubscriber>()).then(|| subscriber.clone())
        })
    }
}
