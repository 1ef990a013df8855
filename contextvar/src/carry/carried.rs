#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
use std::any::Any;
use std::panic::{self, AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

#[cfg(any(feature = "opentelemetry", feature = "tracing"))]
use super::built_in;
use super::registry::{self, Chain, Link};

/// The ambient values that work carries along.
#[derive(Clone, Default)]
pub(crate) struct Carried(Option<Arc<Captured>>);

/// One or more captured values, in the order of their drop.
#[derive(Default)]
struct Captured {
    registered: Chain,
    /// `None` leaves the spans of the code that polls as they are.
    #[cfg(feature = "tracing")]
    span: Option<built_in::Span>,
    #[cfg(feature = "opentelemetry")]
    context: built_in::OpenTelemetry,
}

// A run leaves all values, also after a panic.
impl UnwindSafe for Captured {}
impl RefUnwindSafe for Captured {}

impl Carried {
    /// For work that stays in its task or thread.
    pub(crate) const NOTHING: Carried = Carried(None);

    /// Captures the values that are current.
    #[inline]
    pub(crate) fn capture() -> Carried {
        let captured = Captured::capture();
        #[cfg(not(feature = "opentelemetry"))]
        if captured.registered.is_none() {
            #[cfg(not(feature = "tracing"))]
            return Carried::NOTHING;
            #[cfg(feature = "tracing")]
            if captured.span.as_ref().is_none_or(built_in::Span::is_none) {
                return Carried::no_span();
            }
        }
        Carried::new(captured)
    }

    /// Returns only a context of OpenTelemetry, for work that stays in its task.
    #[cfg(feature = "baggage")]
    pub(crate) fn opentelemetry(context: opentelemetry::Context) -> Carried {
        Carried::new(Captured { context: built_in::OpenTelemetry::new(context), ..Captured::default() })
    }

    fn new(captured: Captured) -> Carried {
        Carried(Some(Arc::new(captured)))
    }

    /// Returns what hides the spans of other work, without an allocation. Each thread has one of its own, so
    /// that threads do not contend for its count.
    #[cfg(all(feature = "tracing", not(feature = "opentelemetry")))]
    fn no_span() -> Carried {
        thread_local! {
            static NO_SPAN: Carried =
                Carried::new(Captured { span: Some(built_in::Span::default()), ..Captured::default() });
        }

        NO_SPAN.try_with(Clone::clone).unwrap_or(Carried::NOTHING)
    }

    /// Runs `work` inside the values. A panic in `work` propagates after all values have been left.
    #[inline]
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(captured) if captured.changes_anything() => captured.run(work),
            _ => work(),
        }
    }

    /// Runs `drop_work` inside the values, or outside of them if they cannot be entered. A panic of the values is
    /// discarded: the work is dropped in any case, and often where no caller could handle the panic.
    #[inline]
    pub(crate) fn run_drop(&self, drop_work: impl FnOnce()) {
        match &self.0 {
            Some(captured) => captured.run_drop(drop_work),
            None => drop_work(),
        }
    }

    /// Drops the values.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(captured) = self.0.take() {
            drop(captured);
        }
    }

    /// Enters the values that guards enter, until the returned value is dropped.
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(crate) fn enter(&self) -> Option<Guards> {
        let captured = self.0.as_ref()?;
        let mut guards = Guards::default();
        #[cfg(feature = "opentelemetry")]
        {
            guards.context = captured.context.enter();
        }
        #[cfg(feature = "tracing")]
        {
            guards.exited = captured.span.as_ref().and_then(built_in::Span::exit_others);
            guards.span = captured.span.as_ref().and_then(built_in::Span::enter_owned);
        }
        if let Some(link) = &captured.registered {
            link.enter(&mut guards.registered);
        }
        Some(guards)
    }
}

impl Captured {
    #[inline(always)]
    fn capture() -> Captured {
        #[cfg(feature = "opentelemetry")]
        let context = built_in::OpenTelemetry::capture();
        #[cfg(feature = "tracing")]
        let span = Some(built_in::Span::capture());
        Captured {
            registered: registry::capture(),
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "opentelemetry")]
            context,
        }
    }

    /// Returns false if entering the values would change nothing on this thread.
    #[inline]
    fn changes_anything(&self) -> bool {
        // Work that has not been polled often takes the shortest way.
        #[cfg(feature = "opentelemetry")]
        if !self.context.is_known_to_be_empty() {
            return true;
        }
        self.changes_anything_without_context()
    }

    /// Does the same if OpenTelemetry's context is known to be empty.
    #[cfg_attr(feature = "opentelemetry", inline(never))]
    #[cfg_attr(not(feature = "opentelemetry"), inline)]
    fn changes_anything_without_context(&self) -> bool {
        #[cfg(feature = "tracing")]
        if self.span.as_ref().is_some_and(built_in::Span::changes_anything) {
            return true;
        }
        if self.registered.is_some() {
            return true;
        }
        #[cfg(feature = "opentelemetry")]
        return built_in::current_context_has_known_values();
        #[cfg(not(feature = "opentelemetry"))]
        return false;
    }

    /// Not inlined, so that work without values has no code for them.
    #[inline(never)]
    fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        #[cfg(feature = "opentelemetry")]
        let _context = self.context.enter();
        #[cfg(feature = "tracing")]
        let span = self.span.as_ref().and_then(built_in::Span::enter);
        #[cfg(feature = "tracing")]
        let exited = match (&span, &self.span) {
            (None, Some(none)) => none.exit_others(),
            _ => None,
        };
        let result = match &self.registered {
            None => work(),
            Some(link) => run_in_link(&**link, work),
        };
        // Tested here, because the compiler does not inline the test as a part of a drop.
        #[cfg(feature = "tracing")]
        if let Some(span) = span {
            drop(span);
        } else if let Some(exited) = exited {
            drop(exited);
        }
        result
    }

    /// Does what [`Carried::run_drop`] does.
    fn run_drop(&self, drop_work: impl FnOnce()) {
        let mut drop_work = Some(drop_work);
        let mut result = Ok(());
        let run = || {
            self.run(|| {
                if let Some(drop_work) = drop_work.take() {
                    result = panic::catch_unwind(AssertUnwindSafe(drop_work));
                }
            });
        };
        let _of_values = panic::catch_unwind(AssertUnwindSafe(run));
        if let Some(drop_work) = drop_work {
            drop_work();
        }
        if let Err(panic) = result {
            panic::resume_unwind(panic);
        }
    }
}

/// A closure and the values that it carries along, without an allocation: the closure is called once.
pub(crate) struct Bound<F> {
    f: Option<F>,
    captured: Captured,
}

impl<F> Bound<F> {
    /// Captures the values that are current, for `f`.
    #[inline]
    pub(crate) fn new(f: F) -> Self {
        Bound { captured: Captured::capture(), f: Some(f) }
    }

    #[inline]
    pub(crate) fn call<R>(mut self) -> R
    where
        F: FnOnce() -> R,
    {
        let f = self.f.take().expect("a method that takes `self` takes the closure once");
        let result = self.captured.run(f);
        // Dropped here and not at the end, where a panic of the drop would leak the result.
        drop(self);
        result
    }
}

impl<F> Drop for Bound<F> {
    #[inline]
    fn drop(&mut self) {
        if self.f.is_some() {
            self.captured.run_drop(|| self.f = None);
        }
    }
}

#[cold]
fn run_in_link<R>(link: &dyn Link, work: impl FnOnce() -> R) -> R {
    let mut work = Some(work);
    let mut result = None;
    link.run(&mut || result = work.take().map(|work| work()));
    result.expect("a link calls the work once")
}

/// Values that were entered for a poll. The innermost is dropped first.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
#[derive(Default)]
pub(crate) struct Guards {
    registered: Vec<Box<dyn Any>>,
    #[cfg(feature = "tracing")]
    exited: Option<built_in::ExitedSpans>,
    #[cfg(feature = "tracing")]
    span: Option<::tracing::span::EnteredSpan>,
    #[cfg(feature = "opentelemetry")]
    context: Option<opentelemetry::ContextGuard>,
}

#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
impl Drop for Guards {
    fn drop(&mut self) {
        while let Some(guard) = self.registered.pop() {
            drop(guard);
        }
    }
}
