//! The values that are carried without being registered: OpenTelemetry's context, and inside of it the span
//! of tracing.

#[cfg(feature = "opentelemetry")]
pub(super) use opentelemetry_context::OpenTelemetry;
#[cfg(feature = "tracing")]
pub(super) use span::*;

#[cfg(feature = "opentelemetry")]
mod opentelemetry_context {
    use opentelemetry::{Context, ContextGuard};

    /// OpenTelemetry's context. It is captured and attached even if it looks empty: the API shows the span, the
    /// baggage and the flag of a context, and other values only to code that has their types. `Debug` shows
    /// their number, but takes longer than attaching.
    ///
    /// `None` on a thread that is exiting.
    #[derive(Default)]
    pub(crate) struct OpenTelemetry(Option<Context>);

    impl OpenTelemetry {
        #[cfg(feature = "baggage")]
        pub(crate) fn new(context: Context) -> Self {
            OpenTelemetry(Some(context))
        }

        pub(crate) fn capture() -> Self {
            OpenTelemetry(can_use().then(Context::current))
        }

        #[inline]
        pub(crate) fn enter(&self) -> Option<ContextGuard> {
            self.0.as_ref().filter(|_| can_use()).map(|context| context.clone().attach())
        }
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

        /// Enters the span. Without a span, exits those of other work.
        #[inline]
        pub(crate) fn enter(&self) -> Option<SpanGuard<'_>> {
            if !self.changes_anything() {
                return None;
            }
            if self.0.is_none() {
                return ExitedSpans::exit_all().map(|spans| SpanGuard::Exited { _spans: spans });
            }
            Some(SpanGuard::Entered { _span: self.0.enter() })
        }

        /// Does the same for longer than this value lives.
        #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
        pub(crate) fn enter_owned(&self) -> Option<OwnedSpanGuard> {
            if !self.changes_anything() {
                return None;
            }
            if self.0.is_none() {
                return ExitedSpans::exit_all().map(|spans| OwnedSpanGuard::Exited { _spans: spans });
            }
            Some(OwnedSpanGuard::Entered { _span: self.0.clone().entered() })
        }
    }

    pub(crate) enum SpanGuard<'a> {
        Entered { _span: span::Entered<'a> },
        Exited { _spans: ExitedSpans },
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(crate) enum OwnedSpanGuard {
        Entered { _span: span::EnteredSpan },
        Exited { _spans: ExitedSpans },
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
