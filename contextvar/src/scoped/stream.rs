use std::pin::Pin;
use std::task::{self, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::Scoped;

impl<S: Stream> Stream for Scoped<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_item(|stream| stream.poll_next(cx), |_| false)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), S::size_hint)
    }
}

impl<S: Stream> FusedStream for Scoped<S> {
    fn is_terminated(&self) -> bool {
        self.inner.is_none()
    }
}
