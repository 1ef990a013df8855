//! Streams.

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
        // PEP 568: what a generator sets is not seen by who consumes it, and the other way round.
        let seen = users.map(|user| (user, USER.get())).collect::<Vec<_>>().await;
        let consumer = "the consumer";
        assert_eq!(seen, [("ada", consumer), ("ada", consumer), ("grace", consumer)]);
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));

        // Dropped half way: in its context. Panicked: nothing is left.
        let (sender, said) = mpsc::channel();
        let says = OnDrop(move || sender.send(USER.get()).unwrap());
        let mut endless = ada(&held).run(|| {
            stream::repeat_with(move || {
                let _ = &says;
                USER.get()
            })
            .in_copied_context()
        });
        assert_eq!(endless.next().await, Some("ada"));
        drop(endless);
        assert_eq!((said.recv().unwrap(), Arc::strong_count(&held)), ("ada", 1));
        let panics = async {
            let mut stream =
                std::pin::pin!(stream::once(async { panic!("on purpose") }).in_context(ada(&held)));
            stream.next().await
        };
        assert!(futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await.is_err());
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));
    });
}
