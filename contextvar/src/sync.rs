//! The synchronization primitives of the modules that `tests/loom` checks. Those tests put loom's in their
//! place.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};
