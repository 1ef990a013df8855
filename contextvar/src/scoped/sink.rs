use std::pin::Pin;
use std::task::{self, Poll};

use futures_sink::Sink;

use super::Scoped;
use crate::error::address;

/// # Panics
///
/// Panics when an item is sent to a sink that is also a stream and has ended as a stream: the sink was
/// dropped with it. Split it first, and wrap the halves.
impl<S: Sink<Item>, Item> Sink<Item> for Scoped<S> {
    type Error = S::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.with_sink(|sink| sink.poll_ready(cx)).expect(DROPPED)
    }

    fn start_send(self: Pin<&mut Self>, item: Item) -> Result<(), S::Error> {
        self.with_sink(|sink| sink.start_send(item)).expect(DROPPED)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.with_sink(|sink| sink.poll_flush(cx)).unwrap_or(Poll::Ready(Ok(())))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.with_sink(|sink| sink.poll_close(cx)).unwrap_or(Poll::Ready(Ok(())))
    }
}

const DROPPED: &str = concat!(
    "sent to a `Scoped` whose stream has ended, which dropped the sink as well: split it first, and wrap the halves\nsee ",
    address!("sink-after-its-stream")
);

impl<S> Scoped<S> {
    /// Runs `f` in the context. Returns `None` if the sink was dropped.
    fn with_sink<R>(self: Pin<&mut Self>, f: impl FnOnce(Pin<&mut S>) -> R) -> Option<R> {
        let mut this = self.project();
        this.context.run(|| this.carried.run(|| this.inner.as_mut().as_pin_mut().map(f)))
    }
}
