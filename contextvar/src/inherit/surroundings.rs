use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

/// What was current where work was handed over, besides the context: the span of `tracing`, the context of
/// OpenTelemetry.
pub(crate) struct Surroundings {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    /// None where the thread is exiting.
    #[cfg(feature = "opentelemetry")]
    context: Option<opentelemetry::Context>,
}

impl Surroundings {
    pub(crate) fn current() -> Self {
        Surroundings {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
            #[cfg(feature = "opentelemetry")]
            context: opentelemetry_is_there().then(opentelemetry::Context::current),
        }
    }

    /// Runs `f` with them as the current ones.
    fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        #[cfg(feature = "opentelemetry")]
        let _attached =
            self.context.clone().filter(|_| opentelemetry_is_there()).map(|context| context.attach());
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        f()
    }

    pub(crate) fn around<F>(self, inner: F) -> Within<F> {
        Within { inner: Some(inner), surroundings: self }
    }
}

/// Whether OpenTelemetry's current context can be used: at the exit of a thread it panics, which in a destructor
/// would abort the process.
#[cfg(feature = "opentelemetry")]
fn opentelemetry_is_there() -> bool {
    struct There(bool);

    // So that it has a destructor, and is gone before what was made before it.
    impl Drop for There {
        fn drop(&mut self) {}
    }

    thread_local! {
        static THERE: There = There(std::panic::catch_unwind(opentelemetry::Context::current).is_ok());
    }

    THERE.try_with(|there| there.0).unwrap_or(false)
}

pin_project! {
    /// A future, or a closure, in its surroundings: when it is polled or called, and while it is dropped.
    pub(crate) struct Within<F> {
        #[pin]
        inner: Option<F>,
        surroundings: Surroundings,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                this.surroundings.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F> Within<F> {
    pub(crate) fn call<R>(mut self) -> R
    where
        F: FnOnce() -> R,
    {
        let f = self.inner.take().expect("only this takes a closure, and it takes `self`");
        self.surroundings.run(f)
    }
}

impl<F: Future> Future for Within<F> {
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
