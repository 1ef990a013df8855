use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

/// The ambient values of other libraries that work inherits: the span of `tracing` and the context of
/// OpenTelemetry.
pub(crate) struct Surroundings {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    /// `None` on a thread that is exiting.
    #[cfg(feature = "opentelemetry")]
    context: Option<opentelemetry::Context>,
}

impl Surroundings {
    pub(crate) fn current() -> Self {
        Surroundings {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
            #[cfg(feature = "opentelemetry")]
            context: can_use_opentelemetry().then(opentelemetry::Context::current),
        }
    }

    /// Runs `f` in this span and this OpenTelemetry context.
    fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        #[cfg(feature = "opentelemetry")]
        let _attached =
            self.context.clone().filter(|_| can_use_opentelemetry()).map(|context| context.attach());
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        f()
    }

    pub(crate) fn wrap<F>(self, inner: F) -> InSurroundings<F> {
        InSurroundings { inner: Some(inner), surroundings: self }
    }
}

/// Returns true if OpenTelemetry's current context can be used. On a thread that is exiting it panics, which
/// would abort the process in a destructor.
#[cfg(feature = "opentelemetry")]
fn can_use_opentelemetry() -> bool {
    struct CanUse(bool);

    // Gives the thread-local a destructor. It runs before that of OpenTelemetry's thread-local, which is
    // initialized earlier.
    impl Drop for CanUse {
        fn drop(&mut self) {}
    }

    thread_local! {
        static CAN_USE: CanUse = CanUse(std::panic::catch_unwind(opentelemetry::Context::current).is_ok());
    }

    CAN_USE.try_with(|can_use| can_use.0).unwrap_or(false)
}

pin_project! {
    /// A future or a closure in its surroundings: they are current while it is polled, called or dropped.
    pub(crate) struct InSurroundings<F> {
        #[pin]
        inner: Option<F>,
        surroundings: Surroundings,
    }

    impl<F> PinnedDrop for InSurroundings<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                this.surroundings.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F> InSurroundings<F> {
    pub(crate) fn call<R>(mut self) -> R
    where
        F: FnOnce() -> R,
    {
        let f = self.inner.take().expect("a closure is taken once, by a method that takes `self`");
        self.surroundings.run(f)
    }
}

impl<F: Future> Future for InSurroundings<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.surroundings.run(|| {
            let future = this.inner.as_mut().as_pin_mut();
            let output = future.expect("a task polled after it has finished").poll(cx);
            if output.is_ready() {
                this.inner.set(None);
            }
            output
        })
    }
}
