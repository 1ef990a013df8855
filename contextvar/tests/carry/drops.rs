//! Dropping work, and the values that it carries.

use super::*;

#[test]
fn values_are_current_while_work_is_dropped() {
    on_both_flavors(|| async {
        // An aborted task.
        let (report, reports) = self::report();
        let task = with_values(|| {
            task::spawn(async move {
                let _report = report;
                pending::<()>().await
            })
        });
        yield_now().await;
        task.abort();
        task.await.unwrap_err();
        assert_eq!(reports.recv().unwrap(), (1, 2));

        // One that is never polled.
        let (report, reports) = self::report();
        let future = with_values(|| {
            async move {
                let _report = report;
            }
            .in_inherited_context()
        });
        drop(future);
        assert_eq!(reports.recv().unwrap(), (1, 2));

        // One that panics.
        let (report, reports) = self::report();
        let task = with_values(|| {
            task::spawn(async move {
                let _report = report;
                panic!("on purpose");
            })
        });
        let error = task.await.unwrap_err();
        assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
        assert_eq!(reports.recv().unwrap(), (1, 2));
        assert!(tokio::spawn(async { ENTERED.with_borrow(Vec::is_empty) }).await.unwrap());

        // One that finishes.
        let (report, reports) = self::report();
        let keep = with_values(|| task::spawn(poll_fn(move |_| (Poll::Ready(()), &report).0)));
        keep.await.unwrap();
        assert_eq!(reports.recv().unwrap(), (1, 2));
    });
}

#[test]
fn the_future_then_the_values_then_the_context_are_dropped() {
    struct InContextOnly(Log);
    impl Drop for InContextOnly {
        fn drop(&mut self) {
            self.0.push("context");
        }
    }
    static HELD: ContextVar<Arc<InContextOnly>> = ContextVar::new("held");

    set_up();
    let expected = ["future in ada", "value in ada", "context"];
    for finishes in [true, false] {
        let log = Log::default();
        let future = {
            let log = log.clone();
            let held = Arc::new(InContextOnly(log.clone()));
            let mut ctx = Context::new().with_value(&USER, "ada").with_value(&HELD, held);
            let on_drop = OnDrop({
                let log = log.clone();
                move || log.push(&format!("future in {}", USER.get()))
            });
            ctx.run(|| {
                STEPS.set(Some(log));
                let future = async move {
                    let _on_drop = on_drop;
                    if !finishes {
                        pending().await
                    }
                };
                let future = future.in_inherited_context();
                STEPS.set(None);
                future
            })
        };
        let mut future = Box::pin(future);
        let poll = future.as_mut().poll(&mut std_task::Context::from_waker(Waker::noop()));
        assert_eq!(poll.is_ready(), finishes);
        if finishes {
            assert_eq!(log.take(), expected);
        }
        drop(future);
        assert_eq!(log.take(), if finishes { &[][..] } else { &expected });
    }
}

#[test]
fn a_panic_in_the_drop_of_a_value_leaks_no_output() {
    set_up();
    let output = Arc::new(());
    let hand_over = || {
        let (log, output) = (Log::default(), output.clone());
        log.push("panic");
        STEPS.set(Some(log));
        let work = inherit_and_return(output);
        STEPS.set(None);
        work
    };
    fn inherit_and_return<T: Send + 'static>(output: T) -> impl Future<Output = T> {
        async { output }.in_inherited_context()
    }

    let text = panic_text(|| futures::executor::block_on(hand_over()));
    assert_eq!((text.as_str(), Arc::strong_count(&output)), ("in the drop of a value", 1));
    let call = || {
        let (log, output) = (Log::default(), output.clone());
        log.push("panic");
        STEPS.set(Some(log));
        let thread = thread::spawn(move || output);
        STEPS.set(None);
        thread.join()
    };
    assert!(call().is_err());
    assert_eq!(Arc::strong_count(&output), 1);
}
