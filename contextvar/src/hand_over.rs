//! Notifies `inspect` when a context is handed to other work.

#[cfg(feature = "inspect")]
use std::fmt;
#[cfg(feature = "inspect")]
use std::panic::Location;

use crate::context::Context;
use crate::current::Contents;

/// The kind of work that a context was handed to. See [`ListedContext::kind`](crate::inspect::ListedContext::kind).
#[cfg_attr(not(feature = "inspect"), allow(dead_code, unreachable_pub, reason = "for feature `inspect`"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// A request until the head of its response is ready, and again after the request has finished.
    Request,
    /// A request while the body of its response is being sent.
    Body,
    /// A task, or a future for one: `task::spawn`, `in_inherited_context`.
    Task,
    /// A blocking call: `task::spawn_blocking`.
    BlockingCall,
    /// A thread: `thread::spawn`.
    Thread,
    /// A stream for another task: `StreamInContext::in_inherited_context`.
    Stream,
    /// A closure that other code calls: `Context::bind`.
    Closure,
    /// A future or a stream in a scope: `Context::scope`, a function with `#[with_copied_context]`.
    Scope,
}

#[cfg(feature = "inspect")]
impl Kind {
    /// Returns the name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Body => "body",
            Kind::Task => "task",
            Kind::BlockingCall => "blocking_call",
            Kind::Thread => "thread",
            Kind::Stream => "stream",
            Kind::Closure => "closure",
            Kind::Scope => "scope",
        }
    }
}

/// Writes the name: `request`, `blocking call`.
#[cfg(feature = "inspect")]
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Kind::BlockingCall { "blocking call" } else { self.name() })
    }
}

/// A place in the code. Takes no space without feature `inspect`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(#[cfg(feature = "inspect")] pub(crate) &'static Location<'static>);

impl Place {
    /// Returns the place of the caller.
    #[cfg_attr(feature = "inspect", track_caller)]
    #[inline(always)]
    pub(crate) fn here() -> Place {
        Place(
            #[cfg(feature = "inspect")]
            Location::caller(),
        )
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(crate) fn at(_location: &'static std::panic::Location<'static>) -> Place {
        Place(
            #[cfg(feature = "inspect")]
            _location,
        )
    }
}

impl Contents {
    /// Lists the context, if `inspect` is on, until the contents are dropped.
    #[inline(always)]
    #[cfg_attr(not(feature = "inspect"), allow(unused_mut))]
    pub(crate) fn hand_over(mut self, _kind: Kind, _place: Place) -> Contents {
        #[cfg(feature = "inspect")]
        if crate::inspect::is_on() {
            self.listing = crate::inspect::Listing::new(self.map.clone(), _kind, _place.0);
        }
        self
    }
}

impl Context {
    /// Lists the context, if `inspect` is on, until it is dropped.
    #[inline(always)]
    pub(crate) fn hand_over(self, kind: Kind, place: Place) -> Context {
        Context { contents: self.contents.hand_over(kind, place) }
    }

    /// Returns an empty context for work that outlives the current one. `inspect` lists it as a root, so that such
    /// work is no leftover of a request.
    #[cfg(feature = "tokio")]
    pub(crate) fn new_for_other_work(_kind: Kind, _place: Place) -> Context {
        #[cfg_attr(not(feature = "inspect"), allow(unused_mut))]
        let mut context = Context::new();
        #[cfg(feature = "inspect")]
        if crate::inspect::is_on() {
            context.contents.listing = crate::inspect::Listing::new_root(_kind, _place.0);
        }
        context
    }

    /// Removes the context, whose work has ended, from the list.
    #[inline]
    pub(crate) fn unlist(&mut self) {
        #[cfg(feature = "inspect")]
        {
            self.contents.listing = crate::inspect::Listing::NONE;
        }
    }

    /// Excludes the next entry of the context from the number of polls: it creates the work, or drops it.
    #[inline]
    pub(crate) fn next_entry_is_no_poll(&self) {
        #[cfg(feature = "inspect")]
        if let Some(entry) = self.contents.listing.entry() {
            entry.next_entry_is_no_poll();
        }
    }

    /// Marks the context of a request as the context of its response's body.
    #[cfg(any(feature = "hyper", feature = "tower"))]
    #[inline]
    pub(crate) fn becomes_that_of_body(&self) {
        #[cfg(feature = "inspect")]
        if let Some(entry) = self.contents.listing.entry() {
            entry.set_kind(Kind::Body);
        }
    }
}
