//! loom's primitives, with `const` constructors, so that the library's files can have them in statics.
//!
//! loom's objects live for one run of a model. So each primitive here gets a loom object on first use, and a
//! new one on first use in the next run. The objects of atomics are made when a run begins: loom demands that
//! the creation of an atomic happens before all of its uses.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::{self, ManuallyDrop};
pub(crate) use std::sync::atomic::Ordering;
use std::sync::{LockResult, PoisonError};

pub(crate) use loom::sync::MutexGuard;

/// Runs `f` in all interleavings.
pub(crate) fn model(f: impl Fn() + Send + Sync + 'static) {
    /// Statics have the loom objects of one model at a time.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    static RUNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    loom::model(move || {
        RUN.set(RUNS.fetch_add(1, Ordering::Relaxed) + 1);
        AtomicU32::prepare();
        AtomicUsize::prepare();
        f();
    });
}

thread_local! {
    /// The number of the current run. All loom threads of a run are on one thread.
    static RUN: Cell<u64> = const { Cell::new(0) };
}

/// A loom object of the current run.
struct PerRun<L> {
    object: UnsafeCell<Option<L>>,
    run: Cell<u64>,
}

// SAFETY: one model runs at a time, on one thread, and loom switches threads only inside its own functions.
// `get` makes the object without one.
unsafe impl<L: Sync> Sync for PerRun<L> {}

impl<L> PerRun<L> {
    const fn new() -> Self {
        PerRun { object: UnsafeCell::new(None), run: Cell::new(0) }
    }

    /// Returns the object of this run, made by `make` on first use.
    fn get(&self, make: impl FnOnce() -> L) -> &L {
        if self.run.replace(RUN.get()) != RUN.get() {
            // SAFETY: references to an object are used only in the run that made it.
            mem::forget(unsafe { (*self.object.get()).replace(make()) });
        }
        // SAFETY: the object is not replaced during this run.
        unsafe { (*self.object.get()).as_ref() }.expect("made in this run")
    }
}

macro_rules! atomic {
    ($name:ident, $integer:ty, $field:ident) => {
        #[allow(dead_code)]
        pub(crate) struct $name {
            initial: $integer,
            per_run: PerRun<loom::sync::atomic::$name>,
        }

        #[allow(dead_code)]
        impl $name {
            pub(crate) const fn new(initial: $integer) -> Self {
                $name { initial, per_run: PerRun::new() }
            }

            /// Makes as many loom objects with each initial value as the models need.
            fn prepare() {
                PREPARED.with(|prepared| {
                    let make = |value: u8| {
                        (0..16).map(|_| loom::sync::atomic::$name::new(<$integer>::from(value))).collect()
                    };
                    *prepared.$field.borrow_mut() = INITIAL.map(make);
                });
            }

            fn get(&self) -> &loom::sync::atomic::$name {
                self.per_run.get(|| {
                    PREPARED.with(|prepared| {
                        let index = INITIAL.iter().position(|&value| self.initial == <$integer>::from(value));
                        let object = prepared.$field.borrow_mut()[index.expect("in `INITIAL`")].pop();
                        object.expect("`prepare` makes enough objects")
                    })
                })
            }

            pub(crate) fn load(&self, order: Ordering) -> $integer {
                self.get().load(order)
            }

            pub(crate) fn store(&self, value: $integer, order: Ordering) {
                self.get().store(value, order);
            }

            pub(crate) fn fetch_add(&self, value: $integer, order: Ordering) -> $integer {
                self.get().fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $integer, order: Ordering) -> $integer {
                self.get().fetch_sub(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $integer,
                new: $integer,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$integer, $integer> {
                self.get().compare_exchange(current, new, success, failure)
            }
        }
    };
}

atomic!(AtomicU32, u32, u32);
atomic!(AtomicUsize, usize, usize);

/// The initial values of atomics.
const INITIAL: [u8; 2] = [0, 1];

/// The loom objects that are not in use yet, those with each initial value together.
#[derive(Default)]
struct Prepared {
    u32: RefCell<[Vec<loom::sync::atomic::AtomicU32>; INITIAL.len()]>,
    usize: RefCell<[Vec<loom::sync::atomic::AtomicUsize>; INITIAL.len()]>,
}

thread_local! {
    static PREPARED: Prepared = Prepared::default();
}

/// In a static, `T` must own nothing at first: each run begins with a bitwise copy of the initial value.
pub(crate) struct Mutex<T> {
    initial: ManuallyDrop<T>,
    per_run: PerRun<loom::sync::Mutex<T>>,
}

// SAFETY: as for `PerRun`; `initial` is only copied.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(initial: T) -> Self {
        Mutex { initial: ManuallyDrop::new(initial), per_run: PerRun::new() }
    }

    fn get(&self) -> &loom::sync::Mutex<T> {
        // SAFETY: only this copy is used, or else `T` owns nothing.
        self.per_run.get(|| loom::sync::Mutex::new(unsafe { std::ptr::read(&*self.initial) }))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.get().lock()
    }

    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.get();
        self.per_run.object.into_inner().expect("made by `get`").into_inner()
    }
}

/// Stands in for std's, which lets one thread at a time compute the value while others wait.
pub(crate) struct OnceLock<T> {
    is_set: AtomicUsize,
    computing: Mutex<()>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written once, under the lock, before `is_set` is stored, and read only after that was
// loaded.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    pub(crate) const fn new() -> Self {
        OnceLock { is_set: AtomicUsize::new(0), computing: Mutex::new(()), value: UnsafeCell::new(None) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: see `Sync`.
        if self.is_set.load(Ordering::Acquire) == 1 { unsafe { (*self.value.get()).as_ref() } } else { None }
    }

    pub(crate) fn get_or_init(&self, compute: impl FnOnce() -> T) -> &T {
        let _computing = self.computing.lock();
        if self.is_set.load(Ordering::Relaxed) == 0 {
            let value = compute();
            // SAFETY: see `Sync`.
            unsafe { *self.value.get() = Some(value) };
            self.is_set.store(1, Ordering::Release);
        }
        self.get().expect("set above")
    }
}
