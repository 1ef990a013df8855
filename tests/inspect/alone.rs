//! Tests of the whole list, or with many contexts. They run one after another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{pending, ready};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use contextvar::inspect;
use contextvar::{ContextVar, InContext, Scoped, copy_context, task};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test alone, on a thread whose stack is too small for a recursion over a long chain.
fn alone(test: impl FnOnce() + Send) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    inspect::enable();
    thread::scope(|scope| {
        thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, test).unwrap().join().unwrap();
    });
    assert!(inspect::snapshot().is_empty(), "{}", inspect::snapshot());
}

/// Counts the bytes that are allocated.
struct CountingAllocator(AtomicI64);

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator(AtomicI64::new(0));

// SAFETY: both functions forward to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocated() -> i64 {
    ALLOCATOR.0.load(Ordering::SeqCst)
}

/// Hands contexts over, each inside the previous one.
fn chain(length: usize) -> Vec<Option<Box<dyn Send>>> {
    /// Calls `f` in the context of a future that has not finished.
    struct Step(Option<mpsc::Sender<Unit>>, usize);

    type Unit = std::pin::Pin<Box<Scoped<Step>>>;

    impl Future for Step {
        type Output = ();

        fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            let left = self.1;
            if let (Some(send), true) = (self.0.take(), left > 0) {
                let next = Box::pin(Step(Some(send.clone()), left - 1).in_copied_context());
                send.send(next).unwrap();
            }
            std::task::Poll::Pending
        }
    }

    let (send, receive) = mpsc::channel();
    let mut last: Unit = Box::pin(Step(Some(send), length - 1).in_copied_context());
    let mut units: Vec<Option<Box<dyn Send>>> = Vec::new();
    loop {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(last.as_mut().poll(&mut cx).is_pending());
        match receive.try_recv() {
            Ok(next) => units.push(Some(Box::new(std::mem::replace(&mut last, next)))),
            Err(_) => break,
        }
    }
    units.push(Some(Box::new(last)));
    units
}

const LENGTH: usize = if cfg!(miri) { 100 } else { 100_000 };

#[test]
fn a_long_chain_can_end_in_any_order() {
    alone(|| {
        let seed = 21;
        let mut random = StdRng::seed_from_u64(seed);
        for order in ["first to last", "last to first", "random", "all but the last", "together"] {
            let mut links = chain(LENGTH);
            let snapshot = inspect::snapshot();
            assert_eq!(snapshot.len(), LENGTH);
            assert_eq!(snapshot.iter().last().unwrap().depth(), LENGTH - 1);
            match order {
                "first to last" => {}
                "last to first" => links.reverse(),
                "random" => links.shuffle(&mut random),
                "all but the last" => {
                    let last = links.pop();
                    links.reverse();
                    links.drain(..).for_each(drop);
                    // A chain of finished contexts, of which the last one lives.
                    assert_eq!(inspect::snapshot().len(), LENGTH);
                    drop(last);
                }
                _ => links.clear(),
            }
            links.into_iter().for_each(drop);
            assert!(inspect::snapshot().is_empty(), "{order}, seed {seed}");
        }
    });
}

#[test]
fn a_job_that_hands_over_the_next_job_keeps_a_bounded_list() {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (send, mut done) = tokio::sync::mpsc::unbounded_channel();
            fn job(left: usize, send: tokio::sync::mpsc::UnboundedSender<usize>) {
                drop(task::spawn(async move {
                    if left % (LENGTH / 10) == 0 {
                        send.send(inspect::snapshot().len()).unwrap();
                    }
                    if left > 0 {
                        job(left - 1, send);
                    }
                }));
            }
            job(LENGTH, send);
            let mut bytes = Vec::new();
            while let Some(listed) = done.recv().await {
                // The job, the previous job, and the first job.
                assert!(listed <= 3, "{listed}");
                bytes.push(allocated());
            }
            assert_eq!(bytes.len(), 11);
            // The record of the last finished contexts takes a part of it.
            let most = bytes[1] + (256 << 10);
            assert!(bytes.iter().all(|&bytes| bytes < most), "{bytes:?}");
        });
    });
}

#[test]
fn a_listed_context_takes_less_than_300_bytes() {
    alone(|| {
        const COUNT: usize = if cfg!(miri) { 100 } else { 10_000 };

        let mut units: Vec<Scoped<_>> = Vec::with_capacity(COUNT);
        inspect::disable();
        let before = allocated();
        units.extend((0..COUNT).map(|_| pending::<()>().in_copied_context()));
        let off = allocated() - before;
        units.clear();
        inspect::enable();
        let before = allocated();
        units.extend((0..COUNT).map(|_| pending::<()>().in_copied_context()));
        let on = allocated() - before;
        let bytes = (on - off) as usize / COUNT;
        assert!((100..=300).contains(&bytes), "{bytes} bytes a context");
    });
}

#[test]
fn the_list_can_be_turned_off_and_on_at_any_time() {
    static TENANT: ContextVar<u32> = ContextVar::new("tenant").debug();

    alone(|| {
        let shown = || -> Vec<String> {
            let snapshot = inspect::snapshot();
            snapshot.iter().map(|it| format!("{:?} {}", it.variables().next(), it.polls())).collect()
        };
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let set = |value| {
            Box::pin(
                async move {
                    drop(TENANT.set(value));
                    pending::<()>().await
                }
                .in_copied_context(),
            )
        };

        assert!(inspect::is_enabled());
        let mut listed = set(1);
        inspect::disable();
        assert!(!inspect::is_enabled());
        let mut unlisted = set(2);
        assert_eq!(inspect::snapshot().len(), 1);
        // The listed context stays listed.
        assert!(listed.as_mut().poll(&mut cx).is_pending() && unlisted.as_mut().poll(&mut cx).is_pending());
        assert_eq!(shown(), [r#"Some(("tenant", "1")) 1"#]);
        inspect::enable();
        assert!(listed.as_mut().poll(&mut cx).is_pending() && unlisted.as_mut().poll(&mut cx).is_pending());
        assert_eq!(shown(), [r#"Some(("tenant", "1")) 2"#]);
        // A context handed over in one that is not listed has no parent.
        let child = unlisted.context().clone().bind(|| ());
        assert_eq!(inspect::snapshot().roots().count(), 2);
        inspect::disable();
        drop((listed, unlisted, child));
        assert!(inspect::snapshot().is_empty());
        inspect::enable();

        // In the middle of a poll.
        for is_listed in [true, false] {
            if !is_listed {
                inspect::disable();
            }
            let toggles = async move {
                if is_listed {
                    inspect::disable()
                } else {
                    inspect::enable()
                }
                drop(TENANT.set(3));
                drop(ready(()).in_copied_context());
                assert_eq!(inspect::snapshot().len(), usize::from(is_listed));
                pending::<()>().await
            };
            let mut toggles = Box::pin(toggles.in_copied_context());
            assert!(toggles.as_mut().poll(&mut cx).is_pending());
            drop(toggles);
            assert!(inspect::snapshot().is_empty());
            inspect::enable();
        }
    });
}

#[cfg(feature = "adapters")]
#[test]
fn the_record_of_finished_contexts_begins_when_the_list_was_last_turned_on() {
    fn unix_ms() -> f64 {
        std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() * 1000.0
    }

    alone(|| {
        inspect::disable();
        // The clock starts now, and the list is turned on later by more than the clocks differ.
        drop(inspect::snapshot());
        let start = unix_ms();
        while unix_ms() < start + 50.0 {
            std::thread::yield_now();
        }
        let before = unix_ms();
        inspect::enable();
        let after = unix_ms();
        // It is on already.
        let page = inspect::page().allow(|_| true);
        let (head, ()) = http::Request::get("/?finished").body(()).unwrap().into_parts();
        let finished: serde_json::Value = serde_json::from_slice(page.respond(&head).body()).unwrap();
        let since = finished["since_ms"].as_f64().unwrap();
        // The system's clock can be adjusted meanwhile.
        assert!((before - 5.0..after + 5.0).contains(&since), "{before} {since} {after}");
    });
}

#[test]
fn contexts_are_handed_over_while_another_thread_turns_the_list_off_and_on() {
    alone(|| {
        let (stop, stopped) = mpsc::channel::<()>();
        let toggles = thread::spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                inspect::disable();
                inspect::enable();
            }
        });
        let mut random = StdRng::seed_from_u64(21);
        let mut units = Vec::new();
        for _ in 0..if cfg!(miri) { 50 } else { 20_000 } {
            if random.random() || units.is_empty() {
                units.push(copy_context().scope(pending::<()>()));
            } else {
                drop(units.swap_remove(random.random_range(0..units.len())));
            }
        }
        drop(units);
        drop(stop);
        toggles.join().unwrap();
    });
}
