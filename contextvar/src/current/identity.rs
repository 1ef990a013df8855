use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(any(feature = "inspect", feature = "report"))]
use super::task::{TaskId, task_id};

/// Tells contexts apart. A copy is another context; a context that has moved is still the same.
#[derive(Clone, Copy)]
pub(super) struct Identity(NonZeroU64);

impl Identity {
    /// The writes in this context are noted for `report`: it may be that of a connection.
    const WATCHED: u64 = 1 << 63;

    /// This is no identity yet. The number is that of the task that made the context for another one.
    #[cfg(feature = "report")]
    const FROM_TASK: u64 = 1 << 62;

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
        // A batch starts at 1 and not at 0, so that no number is 0.
        LAST.set(last + 1);
        Identity(NonZeroU64::new(last + 1).expect("2^62 contexts"))
    }

    /// Returns what a context has in place of an identity if the current task makes it for another task.
    #[inline]
    pub(super) fn of_handed_over() -> Option<Identity> {
        #[cfg(feature = "report")]
        if crate::report::has_reporter() {
            let number = task_id().map_or(0, number_of) & !Self::WATCHED;
            return NonZeroU64::new(Self::WATCHED | Self::FROM_TASK | number).map(Identity);
        }
        None
    }

    /// Returns true if this is an identity, and the context is not watched.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        cfg!(not(feature = "report")) || self.number() < Self::WATCHED
    }

    /// Returns the identity of a context that has `before` in place of one, and whether its writes are noted.
    #[inline]
    pub(super) fn assign(before: Option<Identity>) -> (Identity, bool) {
        #[cfg(feature = "report")]
        match before {
            Some(before) if before.number() & Self::FROM_TASK == 0 => return (before, true),
            Some(before) if before.is_from_other_task() => {
                return (Identity(Identity::new().0 | Self::WATCHED), true);
            }
            _ => (),
        }
        let _ = before;
        (Identity::new(), false)
    }

    /// Returns true if another task than the current one made the context.
    #[cfg(feature = "report")]
    fn is_from_other_task(self) -> bool {
        let made_by = self.number() & !(Self::WATCHED | Self::FROM_TASK);
        task_id().is_some_and(|task| number_of(task) != made_by)
    }

    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0.get()
    }
}

/// Returns the number that a task's id consists of, from its hash: tokio has no function for it.
#[cfg(any(feature = "inspect", feature = "report"))]
#[inline]
pub(crate) fn number_of(task: TaskId) -> u64 {
    use std::hash::{Hash, Hasher};

    struct Number(u64);

    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            bytes.iter().for_each(|&byte| self.0 = self.0 << 8 | u64::from(byte));
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }

    let mut number = Number(0);
    task.hash(&mut number);
    number.finish() & !(Identity::WATCHED | Identity::FROM_TASK)
}
