//! Threads that exit.

use super::*;

#[test]
fn work_can_be_dropped_while_a_thread_exits() {
    tokio::task_local! {
        static NAME: String;
    }
    thread_local! {
        static KEPT: RefCell<Option<Box<dyn Send>>> = const { RefCell::new(None) };
    }

    set_up();
    carry::register(carry::task_local(&NAME));
    let (sender, reports) = mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so it is dropped last, after the values of `NAME` and of the library.
        KEPT.set(None);
        let work = NAME.sync_scope("ada".to_owned(), || {
            with_values(|| {
                let name = || NAME.try_with(Clone::clone).ok();
                let report = OnDrop(move || sender.send(name()).unwrap());
                async move { drop(report) }.in_inherited_context()
            })
        });
        KEPT.set(Some(Box::new(work)));
    })
    .join()
    .unwrap();
    // Where the task-local still exists it is set, otherwise the work was dropped all the same.
    assert!(matches!(reports.recv().unwrap().as_deref(), None | Some("ada")));
}

#[test]
fn a_thread_that_exits_does_not_capture() {
    use contextvar::carry::{Ambient, register};

    struct Spawns(mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.send(thread::spawn(|| ()).join().is_ok()).unwrap();
        }
    }
    thread_local! {
        static SPAWNS: RefCell<Option<Spawns>> = const { RefCell::new(None) };
        // With a destructor.
        static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    }

    // Panics where `NAME` is gone.
    register(Ambient::guarded(|| NAME.with_borrow(|name| (!name.is_empty()).then(|| name.clone())), |_| ()));
    let (sender, reported) = mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so dropped last.
        SPAWNS.set(Some(Spawns(sender)));
        thread::spawn(|| ()).join().unwrap();
    })
    .join()
    .unwrap();
    assert!(reported.recv().unwrap());
}

/// A value whose thread-local is gone is left out, and those that are still there are captured.
#[test]
fn a_first_capture_while_the_thread_exits_leaves_out_what_is_gone() {
    struct Spawns(mpsc::Sender<((u32, u32), bool)>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let thread = thread::spawn(|| (seen(), GONE.with_borrow(Option::is_some)));
            self.0.send(thread.join().unwrap()).unwrap();
        }
    }
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            GONE.set(None);
        }
    }
    thread_local! {
        static SPAWNS: RefCell<Option<Spawns>> = const { RefCell::new(None) };
        // With a destructor.
        static GONE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    set_up();
    let enter = |value: &String| {
        GONE.set(Some(value.clone()));
        Restore
    };
    carry::register(carry::Ambient::guarded(|| GONE.with_borrow(Clone::clone), enter));
    for is_gone in [true, false] {
        let (sender, reported) = mpsc::channel();
        let exits = std::thread::spawn(move || {
            let set = || GONE.set(Some("ada".to_owned()));
            if !is_gone {
                set();
            }
            // What is initialized first is dropped last.
            SPAWNS.set(Some(Spawns(sender)));
            if is_gone {
                set();
            }
            A.set(1);
            B.set(2);
        });
        exits.join().unwrap();
        assert_eq!(reported.recv().unwrap(), ((1, 2), !is_gone));
    }
}
