//! `#[with_copied_context]` keeps the drop order and nearly the size of a future, compared with the same
//! function without the attribute.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Mutex;

use contextvar::with_copied_context;
use futures::FutureExt;

use crate::support::{Log, OnDrop};

/// Defines the same functions in the modules `plain` and `copied`.
macro_rules! twins {
    ($($items:tt)*) => {
        #[allow(dead_code)]
        mod plain {
            use super::*;
            $($items)*
        }

        #[allow(dead_code)]
        #[with_copied_context]
        mod copied {
            use super::*;
            $($items)*
        }
    };
}

/// Logs its name when it is dropped.
struct Noting(&'static str, Log);

impl Drop for Noting {
    fn drop(&mut self) {
        self.1.push(self.0);
    }
}

#[expect(dead_code, reason = "only dropped")]
struct Pair(Noting, Noting);

type Waiter = Pin<Box<dyn Future<Output = ()>>>;

twins! {
    pub(super) async fn nothing() {}

    pub(super) async fn borrows(text: &str, list: &mut Vec<usize>) {
        ready(()).await;
        list.push(text.len());
    }

    pub(super) async fn large(array: [u64; 64]) -> u64 {
        ready(()).await;
        array.iter().sum()
    }

    pub(super) async fn named(a: Noting, b: Noting, wait: Waiter) {
        let local = Noting("local", a.1.clone());
        wait.await;
        let _ = (&local, &b);
    }

    pub(super) async fn unused(_a: Noting, _: Noting, _b: Noting, wait: Waiter) {
        wait.await;
    }

    #[allow(clippy::toplevel_ref_arg)]
    pub(super) async fn patterns(Pair(a, _): Pair, (b, _c): (Noting, Noting), ref d: Noting, mut e: Noting, wait: Waiter) {
        e.0 = "e, changed";
        wait.await;
        let _ = (&a, &b, d);
    }

    pub(super) async fn moved(a: Noting, b: Noting, wait: Waiter) {
        wait.await;
        drop(b);
        drop(a);
    }

    pub(super) async fn never_awaits(a: Noting, _b: Noting) {
        drop(Noting("temporary", a.1.clone()));
    }

    pub(super) async fn early(a: Noting, b: Noting, wait: Waiter) -> Result<(), ()> {
        let _local = Noting("local", a.1.clone());
        wait.await;
        Err(())?;
        drop(b);
        Ok(())
    }

    /// A tail expression that borrows an argument; in the next function, one with a temporary that has a
    /// destructor.
    pub(super) async fn tail_borrow(lock: Mutex<u64>) -> u64 {
        *lock.lock().unwrap()
    }

    pub(super) async fn tail_temporary(a: Noting) -> usize {
        let _local = Noting("local", a.1.clone());
        Noting("tail", a.1.clone()).0.len()
    }

    pub(super) async fn shadowed(a: Noting, wait: Waiter) {
        let a = Noting("inner a", a.1.clone());
        wait.await;
        let _ = &a;
    }

    pub(super) struct Service(pub(super) Noting);

    impl Service {
        pub(super) async fn by_ref(&self) -> usize {
            ready(()).await;
            self.0.0.len()
        }

        pub(super) async fn by_value(self, a: Noting, wait: Waiter) {
            wait.await;
            let _ = (&self.0, &a);
        }

        pub(super) async fn by_value_unused(self, _a: Noting, wait: Waiter) {
            wait.await;
        }

        pub(super) async fn by_value_mut(mut self, _a: Noting, wait: Waiter) {
            self.0.0 = "self, changed";
            wait.await;
            assert_eq!(self.0.0, "self, changed");
        }

        pub(super) async fn by_box(self: Box<Self>, a: Noting, wait: Waiter) {
            wait.await;
            let _ = (&self.0, &a);
        }

        pub(super) async fn moved_out(self, a: Noting, wait: Waiter) -> Noting {
            wait.await;
            drop(a);
            self.0
        }
    }
}

/// The state of a future when it is dropped.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Unpolled,
    Suspended,
    Finished,
}

/// Returns the names of the values in the order in which they drop, when a future returned by `make` is
/// dropped at `moment`.
fn drops<F: Future>(
    moment: Moment,
    make: impl FnOnce(&dyn Fn(&'static str) -> Noting, Waiter) -> F,
) -> Vec<String> {
    let log = Log::default();
    let waiter: Waiter = match moment {
        Moment::Finished => Box::pin(ready(())),
        _ => Box::pin(pending()),
    };
    let waiter_log = log.clone();
    let on_drop = OnDrop(move || waiter_log.push("wait"));
    let waiter: Waiter = Box::pin(waiter.inspect(move |()| {
        let _ = &on_drop;
    }));
    let new = |name| Noting(name, log.clone());
    let mut future = Box::pin(make(&new, waiter));
    log.push("made");
    match moment {
        Moment::Unpolled => {}
        Moment::Suspended => drop(future.as_mut().now_or_never()),
        Moment::Finished => {
            drop(future.as_mut().now_or_never().expect("the future is finished"));
            log.push("finished");
        }
    }
    drop(future);
    log.take()
}

macro_rules! assert_same_drops {
    ($($make:expr;)*) => {$({
        use plain::Service;
        for moment in [Moment::Unpolled, Moment::Suspended, Moment::Finished] {
            let [plain, copied] = {
                let plain = {
                    use plain::*;
                    drops(moment, $make)
                };
                let copied = {
                    use copied::*;
                    drops(moment, $make)
                };
                [plain, copied]
            };
            assert!(plain.len() > 2, "{:?}", plain);
            assert_eq!(copied, plain, "{moment:?}: {}", stringify!($make));
        }
        let _ = size_of::<Service>();
    })*};
}

#[test]
fn arguments_drop_as_without_the_attribute() {
    assert_same_drops! {
        |n, wait| named(n("a"), n("b"), wait);
        |n, wait| unused(n("_a"), n("_"), n("_b"), wait);
        |n, wait| patterns(Pair(n("a"), n("a, rest")), (n("b"), n("_c")), n("d"), n("e"), wait);
        |n, wait| moved(n("a"), n("b"), wait);
        |n, wait| { drop(wait); never_awaits(n("a"), n("_b")) };
        |n, wait| early(n("a"), n("b"), wait);
        |n, wait| { drop(wait); tail_temporary(n("a")) };
        |n, wait| shadowed(n("a"), wait);
    }
}

#[test]
fn self_drops_as_without_the_attribute() {
    assert_same_drops! {
        |n, wait| Service(n("self")).by_value(n("a"), wait);
        |n, wait| Service(n("self")).by_value_unused(n("_a"), wait);
        |n, wait| Service(n("self")).by_value_mut(n("_a"), wait);
        |n, wait| Box::new(Service(n("self"))).by_box(n("a"), wait);
        |n, wait| Service(n("self")).moved_out(n("a"), wait);
    }
}

#[test]
fn a_tail_expression_can_borrow_an_argument() {
    assert_eq!(plain::tail_borrow(Mutex::new(1)).now_or_never(), Some(1));
    assert_eq!(copied::tail_borrow(Mutex::new(1)).now_or_never(), Some(1));
}

#[test]
fn futures_are_at_most_40_bytes_larger() {
    fn wait() -> Waiter {
        Box::pin(ready(()))
    }
    let log = Log::default();
    let n = |name| Noting(name, log.clone());
    macro_rules! assert_sizes {
        ($($make:expr;)*) => {$({
            let plain = { use plain::*; std::mem::size_of_val(&$make) };
            let copied = { use copied::*; std::mem::size_of_val(&$make) };
            assert!(plain <= copied && copied <= plain + 40, "{}: {} and {}", stringify!($make), plain, copied);
        })*};
    }
    assert_sizes! {
        nothing();
        borrows("text", &mut vec![]);
        large([0; 64]);
        named(n("a"), n("b"), wait());
        unused(n("_a"), n("_"), n("_b"), wait());
        patterns(Pair(n("a"), n("a, rest")), (n("b"), n("_c")), n("d"), n("e"), wait());
        early(n("a"), n("b"), wait());
        tail_borrow(Mutex::new(1));
        Service(n("self")).by_ref();
        Service(n("self")).by_value(n("a"), wait());
        Service(n("self")).moved_out(n("a"), wait());
    }
}
