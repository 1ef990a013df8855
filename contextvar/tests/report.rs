//! Reports of reads and writes that find no context. The reporter is one of the process, so the tests take
//! turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contextvar::report::{self, Access, Cause, Report};
use contextvar::{Context, ContextVar, copy_context, for_each_log_field, task};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

static USER: ContextVar<String> = ContextVar::with_default("user", || "nobody".to_owned()).log();
static TENANT: ContextVar<u64> = ContextVar::new("tenant");
static LOCALE: ContextVar<&str> = ContextVar::with_default("locale", || "en").report(false);

#[cfg(feature = "macros")]
#[contextvar::context_var(report = false)]
static ZONE: &str = "UTC";

/// The reports of one test, which has the reporter to itself.
struct Reports {
    reports: Arc<Mutex<Vec<Report>>>,
    _turn: MutexGuard<'static, ()>,
}

impl Reports {
    fn start() -> Reports {
        static TURN: Mutex<()> = Mutex::new(());

        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = reports.clone();
        report::set_reporter(move |report| {
            // What a reporter reads is not reported.
            USER.get();
            sink.lock().unwrap().push(report);
        });
        Reports { reports, _turn: turn }
    }

    /// Returns the new reports: the line, variable, access and cause of each.
    fn take(&self) -> Vec<(u32, &'static str, Access, Cause)> {
        let reports = std::mem::take(&mut *self.reports.lock().unwrap());
        for report in &reports {
            assert!(report.location().file().ends_with("report.rs"), "{report}");
        }
        reports.iter().map(|it| (it.location().line(), it.variable(), it.access(), it.cause())).collect()
    }
}

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| builder.build().unwrap())
}

#[test]
fn a_read_in_a_task_without_a_context_is_reported_once_for_each_place() {
    let reports = Reports::start();
    let line = line!() + 2;
    for runtime in runtimes() {
        let read = async || USER.get();
        for _ in 0..3 {
            assert_eq!(runtime.block_on(async { tokio::spawn(read()).await.unwrap() }), "nobody");
        }
    }
    assert_eq!(reports.take(), [(line, "user", Access::Read, Cause::NoContext)]);
    let all = report::all();
    let report = all.iter().find(|report| report.location().line() == line).unwrap();
    assert_eq!(report.count(), 6);
    assert!(report.task().is_some());
    let text = report.to_string();
    assert!(text.contains("context variable `user` was read in tokio task "), "{text}");
    assert!(
        text.contains(
            "which was given no context. Start a task with `contextvar::task::spawn` or `spawn_local`"
        ),
        "{text}"
    );
    assert!(text.contains("`contextvar::tower::ContextLayer` around request handlers"), "{text}");
    assert!(format!("{report:?}").contains(r#"variable: "user", access: Read, cause: NoContext, count: 6"#));
}

#[test]
fn every_way_to_read_reports_the_place_of_the_caller() {
    let reports = Reports::start();
    let [runtime, _] = runtimes();
    let first = line!() + 3;
    runtime.block_on(async {
        let task = tokio::spawn(async {
            USER.get();
            USER.with(|user| user.len());
            drop(USER.try_get());
            drop(USER.try_with(|user| user.len()));
            USER.get_or(String::new());
            drop(TENANT.try_get());
            drop(catch_unwind(|| TENANT.get()));
            TENANT.get_or(1);
        });
        task.await.unwrap();
        tokio::task::spawn_blocking(|| USER.get()).await.unwrap();
    });
    let lines: Vec<u32> = reports.take().into_iter().map(|(line, ..)| line).collect();
    assert_eq!(lines, [0, 1, 2, 3, 4, 5, 6, 7, 10].map(|n| first + n));
}

#[test]
fn a_refused_write_is_reported() {
    let reports = Reports::start();
    let [runtime, _] = runtimes();
    let first = line!() + 3;
    runtime.block_on(async {
        let task = tokio::spawn(async {
            drop(TENANT.try_set(1));
            drop(catch_unwind(|| TENANT.set(1)));
            drop(catch_unwind(|| TENANT.sync_scope(1, || ())));
            drop(Context::new().try_apply_changes_to_current(&Context::new()));
        });
        task.await.unwrap();
    });
    let expected = [(0, "tenant"), (1, "tenant"), (2, "tenant"), (3, "apply_changes_to_current")]
        .map(|(n, name)| (first + n, name, Access::Write, Cause::NoContext));
    assert_eq!(reports.take(), expected);
}

#[test]
fn a_task_inside_the_context_of_another_is_reported_where_it_fails() {
    let reports = Reports::start();
    let [runtime, _] = runtimes();
    let first = line!() + 7;
    let mut ctx = Context::new().with_value(&USER, "ada".to_owned());
    ctx.run(|| {
        runtime.block_on(async {
            let local = LocalSet::new();
            let task = local.spawn_local(async {
                assert_eq!(USER.get(), "ada");
                drop(TENANT.try_get());
                drop(TENANT.try_set(1));
            });
            local.run_until(task).await.unwrap();
        });
    });
    let expected = [(0, Access::Read), (1, Access::Write)]
        .map(|(n, access)| (first + n, "tenant", access, Cause::OtherTask));
    assert_eq!(reports.take(), expected);
}

#[test]
fn code_with_a_context_is_not_reported() {
    let reports = Reports::start();
    for runtime in runtimes() {
        runtime.block_on(async {
            // The thread's own context, which `block_on`'s own future uses.
            USER.get();
            let read = || async {
                USER.get();
                drop(TENANT.try_get());
            };
            task::spawn(read()).await.unwrap();
            task::spawn_in_empty_context(read()).await.unwrap();
            task::spawn_blocking(|| USER.get()).await.unwrap();
            tokio::spawn(Context::new().scope(read())).await.unwrap();
        });
    }
    assert_eq!(reports.take(), []);
}

#[test]
fn what_asks_or_is_marked_is_not_reported() {
    let reports = Reports::start();
    for runtime in runtimes() {
        runtime.block_on(async {
            let task = tokio::spawn(async {
                assert!(!USER.is_set());
                assert!(copy_context().is_empty());
                for_each_log_field(|_, _| unreachable!());
                assert_eq!(LOCALE.get(), "en");
                assert!(LOCALE.try_set("fr").is_err());
                #[cfg(feature = "macros")]
                assert_eq!(ZONE.get(), "UTC");
                report::ignore(|| {
                    USER.get();
                    drop(TENANT.try_set(1));
                });
            });
            task.await.unwrap();
        });
    }
    assert_eq!(reports.take(), []);
}

#[test]
fn threads_are_reported_if_asked_for() {
    let reports = Reports::start();
    let read = || {
        let thread = std::thread::Builder::new().spawn(|| {
            let line = line!() + 1;
            USER.get();
            line
        });
        thread.unwrap().join().unwrap()
    };
    read();
    assert_eq!(reports.take(), []);
    report::report_threads(true);
    let line = read();
    std::thread::Builder::new().name("main".to_owned()).spawn(|| USER.get()).unwrap().join().unwrap();
    contextvar::thread::spawn(|| USER.get()).join().unwrap();
    report::report_threads(false);
    assert_eq!(reports.take(), [(line, "user", Access::Read, Cause::Thread)]);
}

#[test]
fn the_reporter_for_tests_panics_in_the_code_that_reads() {
    let _reports = Reports::start();
    report::set_reporter(report::panic);
    let [runtime, _] = runtimes();
    let error = runtime.block_on(async { tokio::spawn(async { USER.get() }).await.unwrap_err() });
    let text = error.into_panic().downcast::<String>().unwrap();
    assert!(text.contains("report.rs") && text.contains("`user` was read"), "{text}");
    report::set_reporter(report::stderr);
    drop(catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { tokio::spawn(async { TENANT.get() }).await })
    })));
}

#[test]
fn threads_that_meet_at_one_place_report_it_once() {
    let reports = Reports::start();
    let [_, runtime] = runtimes();
    let line = line!() + 1;
    let read = || async { TENANT.get_or(0) };
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100).map(|_| tokio::spawn(read())).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(reports.take(), [(line, "tenant", Access::Read, Cause::NoContext)]);
    assert_eq!(report::all().iter().find(|report| report.location().line() == line).unwrap().count(), 100);
}

#[cfg(feature = "tracing")]
#[test]
fn the_reporter_for_logs_warns() {
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Lines;

        fn make_writer(&self) -> Lines {
            self.clone()
        }
    }

    let _reports = Reports::start();
    report::set_reporter(report::tracing);
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    let [runtime, _] = runtimes();
    let line = line!() + 2;
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async { tokio::spawn(async { USER.get() }).await.unwrap() });
    });
    let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();
    let place = format!("report.rs:{line}:");
    let see = "see=\"https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context\"";
    for part in [" WARN contextvar: ", "variable=\"user\"", &place, "was read in tokio task", see] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(text.lines().count(), 1);
}

/// Needs the runtime's hooks for the places of spawns.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
#[test]
fn a_report_names_the_place_of_the_spawn() {
    use contextvar::runtime::{Hooks, InheritContext};

    let _reports = Reports::start();
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder
            .on_task_spawn(report::record_spawn)
            .on_task_terminate(report::forget_spawn)
            .build()
            .unwrap();
        let read = async || TENANT.get_or(0);
        let line = line!() - 1;
        let spawned = line!() + 1;
        runtime.block_on(async { tokio::spawn(read()).await.unwrap() });
        let all = report::all();
        let report = all.iter().find(|report| report.location().line() == line).unwrap();
        let place = report.spawned_at().unwrap();
        assert!(place.file().ends_with("report.rs"));
        assert_eq!(place.line(), spawned);
        assert!(report.to_string().contains(&format!("(spawned at {place})")), "{report}");
    }
    // The same with the hooks that let tasks inherit, for the task of a `LocalSet`, which has no hooks.
    let hooks = Hooks::new().on_task_spawn(report::record_spawn).on_task_terminate(report::forget_spawn);
    let runtime = Builder::new_current_thread().inherit_context_with(hooks).build().unwrap();
    let line = line!() + 1;
    let read = async || TENANT.get_or(0);
    runtime
        .block_on(async { LocalSet::new().run_until(async { tokio::task::spawn_local(read()).await }).await })
        .unwrap();
    let all = report::all();
    let report = all.iter().find(|report| report.location().line() == line).unwrap();
    assert_eq!((report.cause(), report.spawned_at()), (Cause::NoContext, None));
}
