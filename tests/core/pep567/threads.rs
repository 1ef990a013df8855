//! Tests of threads and thread pools.

use std::sync::{Barrier, mpsc};

use contextvar::{Context, context_var, copy_context, thread};

#[test]
fn test_context_threads_1() {
    #[context_var]
    static VAR: usize;

    VAR.set(1000);
    let all_have_set = Barrier::new(10);
    std::thread::scope(|s| {
        for number in 0..10 {
            let all_have_set = &all_have_set;
            s.spawn(move || {
                assert!(!VAR.is_set(), "a new thread's context is empty");
                for step in 0..10 {
                    VAR.set(number + step);
                    all_have_set.wait();
                    assert_eq!(VAR.get(), number + step);
                }
            });
        }
    });
    assert_eq!(VAR.get(), 1000);
}

#[test]
fn test_context_thread_inherit() {
    #[context_var]
    static VAR: u32;

    VAR.set(1);
    let change = || {
        let seen = VAR.try_get().ok();
        VAR.set(2);
        seen
    };
    // `-X thread_inherit_context=0`, then `=1`.
    assert_eq!(std::thread::spawn(change).join().unwrap(), None);
    assert_eq!(thread::spawn(change).join().unwrap(), Some(1));
    // `Thread(target=change, context=ctx)`, with a context that has a value and with an empty one.
    let mut custom = Context::new().with_value(&VAR, 3);
    assert_eq!(std::thread::spawn(move || custom.run(change)).join().unwrap(), Some(3));
    assert_eq!(thread::spawn(move || Context::new().run(change)).join().unwrap(), None);
    assert_eq!(VAR.get(), 1);
}

/// Stands for `ThreadPoolExecutor.submit`: a job runs in its worker's context unless it carries its own.
#[test]
fn thread_pool_executor() {
    #[context_var]
    static VAR: u32;

    type Job = Box<dyn FnOnce() -> Option<u32> + Send>;
    let (submit, jobs) = mpsc::channel::<Job>();
    let (finish, finished) = mpsc::channel();
    let worker = std::thread::spawn(move || jobs.iter().for_each(|job| finish.send(job()).unwrap()));

    let set = |value| {
        move || {
            let before = VAR.try_get().ok();
            VAR.set(value);
            before
        }
    };
    VAR.set(1);
    let mut ctx = copy_context();
    submit.send(Box::new(set(2))).unwrap();
    submit.send(Box::new(move || ctx.run(set(3)))).unwrap();
    submit.send(Box::new(set(4))).unwrap();
    drop(submit);
    worker.join().unwrap();
    assert_eq!(finished.iter().collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    assert_eq!(VAR.get(), 1);
}
