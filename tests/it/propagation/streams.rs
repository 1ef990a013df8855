//! A stream consumed outside of its context.

use std::sync::{Arc, mpsc};

use contextvar::StreamInContext;
use futures::stream::{self, StreamExt};

use super::{USER, ada};
use crate::support::{OnDrop, on_both_flavors};

#[test]
fn a_stream_and_its_consumer_are_isolated() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let users = ada(&held).run(|| {
            stream::iter(["ada", "grace", "edsger"])
                .map(|next| USER.set(next).old_value().copied().unwrap())
                .in_copied_context()
        });
        USER.set("the consumer");
        // PEP 568: a generator's values are not seen by its consumer, nor the consumer's by the generator.
        let seen = users.map(|user| (user, USER.get())).collect::<Vec<_>>().await;
        let consumer = "the consumer";
        assert_eq!(seen, [("ada", consumer), ("ada", consumer), ("grace", consumer)]);
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));

        // A stream dropped halfway is dropped in its context. After a panic no context is left behind.
        let (sender, reported) = mpsc::channel();
        let report = OnDrop(move || sender.send(USER.get()).unwrap());
        let mut endless = ada(&held).run(|| {
            stream::repeat_with(move || {
                let _ = &report;
                USER.get()
            })
            .in_copied_context()
        });
        assert_eq!(endless.next().await, Some("ada"));
        drop(endless);
        assert_eq!((reported.recv().unwrap(), Arc::strong_count(&held)), ("ada", 1));
        let panics = async {
            let mut stream =
                std::pin::pin!(stream::once(async { panic!("on purpose") }).in_context(ada(&held)));
            stream.next().await
        };
        assert!(futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await.is_err());
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));
    });
}
