//! The places that read or write without a context. They are found without a lock, and never forgotten.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};

use once_cell::race::OnceRef;

use super::{Access, Cause};
use crate::current::TaskId;

pub(super) struct Place {
    pub(super) location: &'static Location<'static>,
    pub(super) variable: &'static str,
    pub(super) access: Access,
    pub(super) cause: Cause,
    /// The number of accesses. A place with 0 is not reported yet.
    pub(super) count: AtomicU64,
    /// The number of writes in contexts that may be a connection's.
    pub(super) looks: AtomicU64,
    first: OnceLock<First>,
    next: Link,
}

/// The task of the first access.
struct First {
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "always `None`"))]
    task: Option<TaskId>,
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    spawned_at: Option<&'static Location<'static>>,
}

type Link = OnceRef<'static, Place>;

impl Place {
    /// A write that is refused and one in a connection's context are different mistakes, also at one place.
    #[inline]
    fn is_of_kind(&self, access: Access, cause: Cause) -> bool {
        let is_in_connection = |cause| cause == Cause::Connection;
        self.access == access && is_in_connection(self.cause) == is_in_connection(cause)
    }

    /// Sets the task of the first access.
    pub(super) fn set_task(&self, task: Option<TaskId>) {
        let first = First {
            task,
            #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
            spawned_at: task.and_then(super::spawns::location),
        };
        let _ = self.first.set(first);
    }

    #[cfg(feature = "tokio")]
    pub(super) fn task(&self) -> Option<TaskId> {
        self.first.get()?.task
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(super) fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.first.get()?.spawned_at
    }
}

const BUCKETS: usize = 256;

/// The places, by a hash of the line and the variable. A list in each bucket, which only grows.
static PLACES: [Link; BUCKETS] = [const { Link::new() }; BUCKETS];

#[inline]
pub(super) fn find_or_add(
    variable: &'static str,
    access: Access,
    cause: Cause,
    location: &'static Location<'static>,
) -> &'static Place {
    let hash = (location.line() as usize).wrapping_mul(31) ^ variable.as_ptr().addr() >> 3;
    let start = &PLACES[hash % BUCKETS];
    let is_it = |place: &Place| {
        ptr::eq(place.location, location)
            && ptr::eq(place.variable, variable)
            && place.is_of_kind(access, cause)
    };
    match find(start, is_it) {
        Ok(place) => place,
        Err(_) => find_equal_or_add(start, variable, access, cause, location),
    }
}

/// Returns a place that is new, or that is known by another address of its `Location`.
#[cold]
#[inline(never)]
fn find_equal_or_add(
    start: &'static Link,
    variable: &'static str,
    access: Access,
    cause: Cause,
    location: &'static Location<'static>,
) -> &'static Place {
    /// Locked while a place is added.
    static ADDING: Mutex<()> = Mutex::new(());

    let is_it = |place: &Place| {
        place.location == location && place.variable == variable && place.is_of_kind(access, cause)
    };
    if let Ok(place) = find(start, is_it) {
        return place;
    }
    let _adding = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
    find(start, is_it).unwrap_or_else(|end| {
        let place: &'static Place = Box::leak(Box::new(Place {
            location,
            variable,
            access,
            cause,
            count: AtomicU64::new(0),
            // So that the first look is the number 1, a power of two.
            looks: AtomicU64::new(1),
            first: OnceLock::new(),
            next: Link::new(),
        }));
        let is_free = end.set(place);
        debug_assert!(is_free.is_ok(), "places are added under the lock");
        place
    })
}

/// Returns the place, or the link at the end of the list.
#[inline]
fn find(mut link: &'static Link, is_it: impl Fn(&Place) -> bool) -> Result<&'static Place, &'static Link> {
    while let Some(place) = link.get() {
        if is_it(place) {
            return Ok(place);
        }
        link = &place.next;
    }
    Err(link)
}
