use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells contexts apart. A copy is another context; a context that has moved is still the same.
#[derive(Clone, Copy)]
pub(super) struct Identity(NonZeroU64);

impl Identity {
    /// No identity yet, in a context that was made for another task.
    pub(super) const HANDED_OVER: Identity = Identity(NonZeroU64::MIN);

    #[inline]
    pub(super) fn is_assigned(self) -> bool {
        self.number() > Self::HANDED_OVER.number()
    }

    /// Returns an identity that no context has had. Each thread takes a batch of numbers at a time.
    #[cold]
    pub(super) fn new() -> Self {
        const BATCH: u64 = 1024;
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static LAST: Cell<u64> = const { Cell::new(0) };
        }

        let mut last = LAST.get();
        if last % BATCH == 0 {
            last = BATCHES.fetch_add(1, Ordering::Relaxed) * BATCH;
        }
        LAST.set(last + 1);
        // A batch starts at 2: 0 is no identity, and 1 is `HANDED_OVER`.
        Identity(NonZeroU64::new(last + 2).expect("2^64 contexts"))
    }

    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0.get()
    }
}
