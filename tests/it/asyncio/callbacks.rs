//! Tests of the event loop: callbacks, timers, threads and connections.

use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use contextvar::{Context, InContext as _, context_var, copy_context, task};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

on_both_flavors! {
    in_a_task:
    test_context_2 call_soon call_soon_threadsafe test_to_thread_contextvars test_to_thread_concurrent
    test_start_server
}

async fn test_context_2() {
    #[context_var]
    static VAR: u32 = 0;

    let event_loop = event_loop();
    for round in [10, 20] {
        let (set_result, future) = oneshot::channel();
        VAR.set(round);
        let on_done = callback(move || {
            let seen = VAR.get();
            VAR.set(1000);
            set_result.send(seen).unwrap();
        });
        VAR.set(round + 1);
        assert!(event_loop.send(on_done).is_ok());
        assert_eq!(future.await.unwrap(), round, "the callback runs in a copy taken where it was created");
        assert_eq!(VAR.get(), round + 1);
        for step in 2..5 {
            VAR.set(round + step);
            yield_now().await;
            assert_eq!(VAR.get(), round + step);
        }
    }
}

async fn call_soon() {
    #[context_var]
    static VAR: u32 = 0;

    let event_loop = event_loop();
    let (seen, mut all_seen) = mpsc::unbounded_channel();
    let see_and_set = |value| {
        let seen = seen.clone();
        move || {
            seen.send(VAR.get()).unwrap();
            VAR.set(value);
        }
    };
    VAR.set(1);
    assert!(event_loop.send(callback(see_and_set(100))).is_ok());
    VAR.set(2);
    assert!(event_loop.send(callback(see_and_set(100))).is_ok());
    // Two callbacks with `context=ctx`: the second sees the value set by the first.
    let ctx = Arc::new(Mutex::new(Context::new()));
    for value in [10, 20] {
        let (ctx, see_and_set) = (ctx.clone(), see_and_set(value));
        assert!(event_loop.send(Box::new(move || ctx.lock().unwrap().run(see_and_set))).is_ok());
    }
    // A callback without a context sees none of these values.
    assert!(event_loop.send(Box::new(move || seen.send(VAR.get()).unwrap())).is_ok());
    for expected in [1, 2, 0, 10, 0] {
        assert_eq!(all_seen.recv().await, Some(expected));
    }
    assert_eq!((VAR.get(), ctx.lock().unwrap()[&VAR]), (2, 20));
}

/// `call_soon_threadsafe` and `run_coroutine_threadsafe` use the context of the calling thread.
async fn call_soon_threadsafe() {
    #[context_var]
    static VAR: u32 = 0;

    VAR.set(1);
    let (event_loop, runtime) = (event_loop(), Handle::current());
    let (seen, see) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        VAR.set(2);
        assert!(event_loop.send(callback(move || seen.send(VAR.get()).unwrap())).is_ok());
        VAR.set(3);
        runtime.spawn(async { VAR.get() }.in_copied_context())
    });
    let coroutine = thread.join().unwrap();
    assert_eq!((see.await.unwrap(), coroutine.await.unwrap(), VAR.get()), (2, 3, 1));
}

/// A timer runs in the context of the call that started it.
#[tokio::test(start_paused = true)]
async fn call_later() {
    #[context_var]
    static VAR: u32 = 0;

    let timers = [3, 2, 1].map(|minutes| {
        VAR.set(minutes);
        task::spawn(async move {
            sleep(Duration::from_secs(60 * u64::from(minutes))).await;
            VAR.get()
        })
    });
    for (timer, minutes) in timers.into_iter().zip([3, 2, 1]) {
        assert_eq!(timer.await.unwrap(), minutes);
    }
}

async fn test_to_thread_contextvars() {
    #[context_var]
    static VAR: &str;

    VAR.set("parrot");
    let set = || {
        let seen = VAR.get();
        VAR.set("cheese");
        seen
    };
    assert_eq!(task::spawn_blocking(set).await.unwrap(), "parrot");
    assert_eq!(VAR.get(), "parrot");
    let mut ctx = Context::new().with_value(&VAR, "spam");
    assert_eq!(tokio::task::spawn_blocking(move || ctx.run(set)).await.unwrap(), "spam");

    // `run_in_executor` passes no context on. Here no value stays on its threads either.
    let without = tokio::task::spawn_blocking(|| (VAR.is_set(), VAR.try_set("eggs").is_ok()));
    assert_eq!(without.await.unwrap(), (false, false));
}

async fn test_to_thread_concurrent() {
    #[context_var]
    static VAR: usize;

    let all_have_set = Arc::new(Barrier::new(10));
    let threads = [(); 10].map(|()| {
        VAR.set(VAR.get_or(0) + 1);
        let all_have_set = all_have_set.clone();
        task::spawn_blocking(move || {
            let seen = VAR.get();
            VAR.set(seen * 100);
            all_have_set.wait();
            (seen, VAR.get())
        })
    });
    for (thread, number) in threads.into_iter().zip(1..) {
        assert_eq!(thread.await.unwrap(), (number, number * 100));
    }
}

/// From `test_server_context`: a server keeps the context it was started in, and each connection has a copy.
async fn test_start_server() {
    #[context_var]
    static VAR: &str = "default";

    VAR.set("before_server");
    let (connect, mut connections) = mpsc::unbounded_channel::<oneshot::Sender<_>>();
    let server = task::spawn(async move {
        while let Some(connection) = connections.recv().await {
            task::spawn(async move {
                let seen = VAR.get();
                VAR.set("in_handler");
                yield_now().await;
                connection.send((seen, VAR.get())).unwrap();
            });
        }
        VAR.get()
    });
    VAR.set("after_server");

    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let (connection, answer) = oneshot::channel();
        connect.send(connection).unwrap();
        clients.spawn(answer);
    }
    for answer in clients.join_all().await {
        assert_eq!(answer.unwrap(), ("before_server", "in_handler"));
    }
    drop(connect);
    assert_eq!(server.await.unwrap(), "before_server");
    assert_eq!(VAR.get(), "after_server");
}

type Callback = Box<dyn FnOnce() + Send>;

/// Starts a task that runs callbacks and has no context.
fn event_loop() -> mpsc::UnboundedSender<Callback> {
    let (sender, mut callbacks) = mpsc::unbounded_channel::<Callback>();
    tokio::spawn(async move {
        while let Some(callback) = callbacks.recv().await {
            callback();
        }
    });
    sender
}

/// Returns a callback that runs `f` in a copy of the current context.
fn callback(f: impl FnOnce() + Send + 'static) -> Callback {
    let mut ctx = copy_context();
    Box::new(move || ctx.run(f))
}
