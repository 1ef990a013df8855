//! The times and the thread of a context. The clock ticks every millisecond, so a time can be off by a millisecond in
//! either direction.

use std::thread;
use std::time::{Duration, Instant};

use contextvar::inspect;

use crate::support::*;

const TICK: Duration = Duration::from_millis(1);

/// The most that a time can be too long: the scheduler can delay the thread that writes the time.
const INEXACT: Duration = Duration::from_millis(100);

/// The most that a time can be too short, for the same reason. Less than the differences between the times below.
const LATE: Duration = Duration::from_millis(15);

/// Works for this time.
fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[track_caller]
fn assert_between(time: Duration, least: Duration, most: Duration) {
    assert!((least.saturating_sub(LATE)..=most + 2 * TICK).contains(&time), "{time:?} {least:?} {most:?}");
}

#[test]
#[cfg_attr(miri, ignore = "spins")]
fn the_busy_time_is_that_of_all_polls_and_the_longest_poll_that_of_one() {
    in_root(|root| {
        let mut unit = Unit::new("busy");
        let start = Instant::now();
        let mut least = Duration::ZERO;
        let mut most = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for millis in [30, 60, 20] {
            let time = Duration::from_millis(millis);
            let poll = Instant::now();
            unit.run(move || spin(time));
            let took = poll.elapsed();
            least += time;
            most += took;
            longest = longest.max(took);
        }
        let context = only(root);
        assert_eq!(context.polls(), 4);
        assert_between(context.busy(), least - 3 * TICK, most + INEXACT);
        assert_between(context.longest_poll(), Duration::from_millis(60), longest + INEXACT);
        assert!(context.longest_poll() < context.busy());
        assert_between(context.age(), least, start.elapsed() + INEXACT);
    });
}

#[test]
#[cfg_attr(miri, ignore = "spins")]
fn a_poll_shows_its_thread_and_time_while_it_runs() {
    in_root(|root| {
        let mut unit = Unit::new("runs");
        assert_eq!((only(root).running_on(), only(root).running_for()), (None, None));
        let name = thread::current().name().unwrap().to_owned();
        unit.run(move || {
            spin(Duration::from_millis(40));
            let context = only(root);
            assert_eq!(context.running_on(), Some(&*name));
            assert_between(
                context.running_for().unwrap(),
                Duration::from_millis(40),
                Duration::from_secs(10),
            );
            assert!(context.longest_poll() >= context.running_for().unwrap());
            assert!(context.busy() >= context.running_for().unwrap());
            assert_eq!(context.last_polled(), Some(Duration::ZERO));
        });
        let before = Instant::now();
        spin(Duration::from_millis(30));
        let context = only(root);
        assert_eq!((context.running_on(), context.running_for()), (None, None));
        assert_between(context.last_polled().unwrap(), Duration::from_millis(30), before.elapsed() + INEXACT);
    });
}

#[test]
#[cfg_attr(miri, ignore = "spins")]
fn a_context_that_has_finished_shows_when() {
    in_root(|root| {
        let mut unit = Unit::new("finished");
        let child = unit.child("child");
        spin(Duration::from_millis(20));
        drop(unit);
        let before = Instant::now();
        spin(Duration::from_millis(30));
        let snapshot = inspect::snapshot();
        let [finished, _] = snapshot.descendants(root) else { panic!("{snapshot:?}") };
        assert_between(finished.finished().unwrap(), Duration::from_millis(30), before.elapsed() + INEXACT);
        assert_between(finished.age(), Duration::from_millis(50), Duration::from_secs(10));
        assert_eq!(finished.running_on(), None);
        drop(child);
    });
}

#[test]
fn a_context_that_was_not_polled_has_no_last_poll() {
    in_root(|root| {
        let future = contextvar::copy_context().scope(std::future::pending::<()>());
        let context = only(root);
        assert_eq!((context.last_polled(), context.polls(), context.running_on()), (None, 0, None));
        assert_eq!((context.busy(), context.longest_poll()), (Duration::ZERO, Duration::ZERO));
        drop(future);
    });
}

#[test]
#[cfg_attr(miri, ignore = "takes a second")]
fn no_snapshot_takes_the_pause_before_a_poll_for_a_part_of_it() {
    // A thread polls a context for a moment, again and again, after a long pause. A snapshot that reads the end of
    // the last poll, and then the thread of the next one, would show a poll as long as the pause.
    let (send, receive) = std::sync::mpsc::channel();
    let polls = thread::spawn(move || {
        in_root(|_| {
            let mut unit = Unit::new("pauses");
            for _ in 0..20 {
                spin(Duration::from_millis(20));
                unit.run(|| ());
            }
            send.send(()).unwrap();
        });
    });
    while receive.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
        // Lets other tests run a moment without snapshots.
        thread::yield_now();
        if let Some(context) = inspect::snapshot().iter().find(|it| it.name() == Some("pauses")) {
            assert!(context.polls() <= 21);
            assert!(context.longest_poll() < Duration::from_millis(19), "{:?}", context.longest_poll());
        }
    }
    polls.join().unwrap();
}
