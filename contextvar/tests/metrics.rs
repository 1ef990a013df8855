//! Variables as labels of the `metrics` crate. The tests have a process of their own: without a list of
//! variables, a recorder shows those of all tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Barrier};

use contextvar::metrics::ContextRecorder;
use contextvar::{Context, ContextVar, context_var, task, thread};
use metrics::{counter, gauge, histogram, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

#[context_var(metric, name = "tenant")]
static TENANT: String;

#[context_var(metric, name = "plan")]
static PLAN: &str;

fn recorder() -> (ContextRecorder<DebuggingRecorder>, Snapshotter) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    (ContextRecorder::new(recorder).with_variables(&[&TENANT, &PLAN]), snapshotter)
}

/// Returns the metrics as `name{label=value,..}`, each with its count.
fn taken(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let mut metrics = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let names: BTreeSet<_> = key.labels().map(|label| label.key()).collect();
        assert_eq!(names.len(), key.labels().len(), "{key} has a label twice");
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let count = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(value) => value.0 as u64,
            DebugValue::Histogram(values) => values.len() as u64,
        };
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        assert_eq!(metrics.insert(name, count), None, "the recorder got {key} twice");
    }
    metrics
}

/// Returns the metrics that `f` records.
fn metrics_of(recorder: (ContextRecorder<DebuggingRecorder>, Snapshotter), f: impl FnOnce()) -> Vec<String> {
    Context::new().run(|| with_local_recorder(&recorder.0, f));
    taken(&recorder.1).into_keys().collect()
}

fn with_tenant<R>(tenant: impl ToString, f: impl FnOnce() -> R) -> R {
    TENANT.sync_scope(tenant.to_string(), f)
}

#[test]
fn each_kind_of_metric_has_the_variables_of_its_place_as_labels() {
    let recorded = metrics_of(recorder(), || {
        counter!("outside").increment(1);
        with_tenant("acme", || {
            counter!("counter").increment(1);
            gauge!("gauge", "own" => "1").set(1);
            PLAN.sync_scope("free", || histogram!("histogram", "own" => "1".to_owned()).record(1));
        });
    });
    assert_eq!(
        recorded,
        [
            "counter{tenant=acme}",
            "gauge{own=1,tenant=acme}",
            "histogram{own=1,plan=free,tenant=acme}",
            "outside{}"
        ]
    );
}

#[test]
fn a_recorder_can_be_installed_where_its_inner_one_can() {
    fn check<T: metrics::Recorder + fmt::Debug + Send + Sync + Unpin + 'static>() {}
    check::<ContextRecorder<DebuggingRecorder>>();
}

#[test]
fn a_description_passes_through() {
    let (recorder, snapshotter) = recorder();
    with_local_recorder(&recorder, || {
        metrics::describe_counter!("described", metrics::Unit::Bytes, "a counter");
        metrics::describe_gauge!("described", metrics::Unit::Bytes, "a gauge");
        metrics::describe_histogram!("described", metrics::Unit::Bytes, "a histogram");
        counter!("described").increment(1);
        gauge!("described").set(1);
        histogram!("described").record(1);
    });
    let described: Vec<_> = snapshotter.snapshot().into_vec().into_iter().map(|entry| entry.2).collect();
    let expected = ["a counter", "a gauge", "a histogram"].map(|text| Some(text.into()));
    assert_eq!(described, expected);
}

#[test]
fn a_label_of_the_metric_keeps_its_name() {
    let recorded = metrics_of(recorder(), || {
        with_tenant("acme", || {
            counter!("a", "tenant" => "own").increment(1);
            counter!("b", "tenant" => "own", "tenant_2" => "own").increment(1);
            // The same text is still the metric's own label and the variable's.
            counter!("c", "tenant" => "acme").increment(1);
        });
    });
    assert_eq!(
        recorded,
        [
            "a{tenant=own,tenant_2=acme}",
            "b{tenant=own,tenant_2=own,tenant_3=acme}",
            "c{tenant=acme,tenant_2=acme}"
        ]
    );
}

#[test]
fn variables_of_one_name_have_different_labels() {
    static FIRST: ContextVar<u8> = ContextVar::new("twin").metric();
    static SECOND: ContextVar<u8> = ContextVar::new("twin").metric();

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&SECOND, &FIRST]);
    let recorded = metrics_of((recorder, snapshotter), || {
        FIRST.sync_scope(1, || SECOND.sync_scope(2, || counter!("a").increment(1)));
        FIRST.sync_scope(1, || SECOND.sync_scope(2, || counter!("b", "twin" => "own").increment(1)));
    });
    assert_eq!(recorded, ["a{twin=1,twin_2=2}", "b{twin=own,twin_3=1,twin_2=2}"]);
}

#[test]
fn a_kept_handle_has_the_labels_of_its_registration() {
    let recorded = metrics_of(recorder(), || {
        let outside = counter!("outside");
        let inside = with_tenant("acme", || counter!("inside"));
        with_tenant("initech", || (outside.increment(1), inside.increment(1)));
    });
    assert_eq!(recorded, ["inside{tenant=acme}", "outside{}"]);
}

/// Unless there is a list, the labels are the variables that are marked `metric`.
#[test]
fn the_marked_variables_are_labels() {
    #[context_var(metric, name = "marked.default")]
    static DEFAULT: &str = "eu";
    #[context_var(metric, log = |value| value.0, name = "marked.part")]
    static PART: (u8, u8);
    #[context_var(log, log_default, name = "marked.logged")]
    static LOGGED: &str = "no";
    static SECRET: ContextVar<&str> = ContextVar::new("marked.secret").metric().log().secret();
    static NEITHER: ContextVar<&str> = ContextVar::new("marked.neither");

    let default = |name: &str| name.contains("marked.default=eu") && !name.contains("marked.part");
    let set = |name: &str| name.contains("marked.default=us") && name.contains("marked.part=7");
    let debugging = DebuggingRecorder::new();
    let snapshotter = debugging.snapshotter();
    let recorded = metrics_of((ContextRecorder::new(debugging), snapshotter), || {
        counter!("a").increment(1);
        DEFAULT.set("us");
        PART.set((7, 8));
        LOGGED.set("no");
        SECRET.set("no");
        NEITHER.set("no");
        counter!("b").increment(1);
    });
    assert!(default(&recorded[0]) && set(&recorded[1]), "{recorded:?}");
    assert!(!recorded.concat().contains("=no"), "{recorded:?}");
}

#[test]
fn a_list_selects_the_variables() {
    #[context_var(log, log_default, name = "logged")]
    static LOGGED: &str = "default";

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&LOGGED, &PLAN]);
    assert!(format!("{recorder:?}").contains(r#"["logged", "plan"]"#));
    let recorded = metrics_of((recorder, snapshotter), || {
        with_tenant("acme", || {
            PLAN.sync_scope("free", || counter!("a").increment(1));
            LOGGED.sync_scope("set", || counter!("b").increment(1));
        });
    });
    assert_eq!(recorded, ["a{logged=default,plan=free}", "b{logged=set}"]);
}

#[test]
fn a_variable_that_cannot_be_a_label_is_refused() {
    static NEITHER: ContextVar<&str> = ContextVar::new("neither");
    static SECRET: ContextVar<&str> = ContextVar::new("secret").metric().secret();

    let neither = || drop(ContextRecorder::new(()).with_variables(&[&TENANT, &NEITHER]));
    let secret = || drop(ContextRecorder::new(()).with_variables(&[&SECRET]));
    for (name, refused) in [("neither", &neither as &dyn Fn()), ("secret", &secret)] {
        let message = panic::catch_unwind(AssertUnwindSafe(refused)).unwrap_err();
        let message = message.downcast::<String>().unwrap();
        assert!(message.starts_with(&format!("context variable `{name}` cannot be a label")), "{message}");
    }
}

#[test]
fn a_value_of_each_type_is_its_text() {
    #[context_var(metric, name = "option")]
    static OPTION: Option<u64>;
    #[context_var(metric, name = "debug")]
    static DEBUG: std::net::Ipv4Addr;
    #[context_var(metric, name = "bool")]
    static BOOL: bool;
    #[context_var(metric, name = "float")]
    static FLOAT: f64;
    #[context_var(metric, name = "text")]
    static TEXT: Arc<str>;

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&OPTION, &DEBUG, &BOOL, &FLOAT, &TEXT]);
    let recorded = metrics_of((recorder, snapshotter), || {
        OPTION.sync_scope(None, || counter!("a").increment(1));
        OPTION.set(Some(7));
        DEBUG.set([127, 0, 0, 1].into());
        BOOL.set(true);
        FLOAT.set(0.5);
        TEXT.set("\"a b\"".into());
        counter!("b").increment(1);
    });
    assert_eq!(recorded, ["a{}", r#"b{bool=true,debug=127.0.0.1,float=0.5,option=7,text="a b"}"#]);
}

#[test]
fn beyond_the_limit_sets_of_labels_share_one() {
    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_limit(2);
    let recorded = metrics_of((recorder, snapshotter.clone()), || {
        let count = |tenant: &str| with_tenant(tenant, || counter!("a").increment(1));
        count("acme");
        PLAN.sync_scope("free", || count("acme"));
        ["new", "newer", "newest"].into_iter().for_each(count);
        // Other variables, and the same set for other metrics.
        PLAN.sync_scope("free", || counter!("a").increment(1));
        with_tenant("new", || gauge!("b", "plan" => "own").set(1));
        // Sets that came before the limit stay, and nothing set is not a set.
        count("acme");
        counter!("a").increment(1);
    });
    assert_eq!(
        recorded,
        [
            "a{plan=free,tenant=acme}",
            "a{plan=other,tenant=other}",
            "a{tenant=acme}",
            "a{}",
            "b{plan=own,plan_2=other,tenant=other}"
        ]
        .map(str::to_owned)
    );
}

#[test]
fn with_a_limit_of_zero_all_sets_share_one() {
    let (recorder, snapshotter) = recorder();
    let recorded = metrics_of((recorder.with_limit(0), snapshotter), || {
        with_tenant("acme", || PLAN.sync_scope("free", || counter!("a").increment(1)));
    });
    assert_eq!(recorded, ["a{plan=other,tenant=other}"]);
}

/// The order in which the variables are shown depends on which of them are set.
#[test]
fn a_set_of_labels_counts_once_whether_a_value_is_set_or_a_default() {
    #[context_var(metric, name = "region")]
    static REGION: &str = "eu";

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&REGION, &PLAN, &TENANT]).with_limit(1);
    let recorded = metrics_of((recorder, snapshotter), || {
        let count = || with_tenant("acme", || PLAN.sync_scope("free", || counter!("a").increment(1)));
        count();
        REGION.sync_scope("eu", count);
    });
    assert_eq!(recorded, ["a{plan=free,region=eu,tenant=acme}"]);
}

#[test]
fn threads_share_the_limit_exactly() {
    const THREADS: u64 = 8;
    const TENANTS: u64 = 200;
    const LIMIT: u64 = 50;

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&TENANT]).with_limit(LIMIT as usize);
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (recorder, start) = (&recorder, &start);
            scope.spawn(move || {
                start.wait();
                with_local_recorder(recorder, || {
                    for tenant in 0..TENANTS {
                        // Half of the tenants are those of all threads.
                        let tenant = if tenant % 2 == 0 { tenant } else { 1000 * number + tenant };
                        with_tenant(tenant, || counter!("a").increment(1));
                    }
                });
            });
        }
    });
    let counts = taken(&snapshotter);
    assert_eq!(counts.len() as u64, LIMIT + 1);
    assert_eq!(counts.values().sum::<u64>(), THREADS * TENANTS);
}

/// Threads that find room at the same time, where there is room for one.
#[test]
fn a_race_for_the_last_place_has_one_winner() {
    const THREADS: usize = 8;

    let rounds: Vec<_> = (0..500).map(|_| recorder()).map(|(r, s)| (r.with_limit(1), s)).collect();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for tenant in 0..THREADS {
            let (rounds, start) = (&rounds, &start);
            scope.spawn(move || {
                with_tenant(tenant, || {
                    for (recorder, _) in rounds {
                        start.wait();
                        with_local_recorder(recorder, || counter!("a").increment(1));
                    }
                });
            });
        }
    });
    for (_, snapshotter) in rounds {
        assert_eq!(taken(&snapshotter).len(), 2);
    }
}

/// All of them are under way at the same time, on several threads, and hand work over.
#[test]
fn a_hundred_requests_do_not_mix() {
    let (recorder, snapshotter) = recorder();
    metrics::set_global_recorder(recorder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let barrier = Arc::new(tokio::sync::Barrier::new(100));
        let requests: Vec<_> = (0..100)
            .map(|number| {
                let barrier = barrier.clone();
                let request = async move {
                    TENANT.set(format!("{number:02}"));
                    barrier.wait().await;
                    counter!("requests").increment(1);
                    let inner = task::spawn(async {
                        tokio::task::yield_now().await;
                        counter!("requests").increment(1);
                    });
                    let call = task::spawn_blocking(|| counter!("requests").increment(1));
                    let thread = thread::spawn(|| counter!("requests").increment(1));
                    inner.await.unwrap();
                    call.await.unwrap();
                    thread.join().unwrap();
                    barrier.wait().await;
                    // This task has no context.
                    tokio::spawn(async { counter!("none").increment(1) }).await.unwrap();
                };
                tokio::spawn(Context::new().scope(request))
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
    });
    let mut expected: BTreeMap<_, _> =
        (0..100).map(|number| (format!("requests{{tenant={number:02}}}"), 4)).collect();
    expected.insert("none{}".to_owned(), 100);
    assert_eq!(taken(&snapshotter), expected);
}

#[test]
fn an_aborted_task_counts_in_its_own_context() {
    struct CountDrop;

    impl Drop for CountDrop {
        fn drop(&mut self) {
            counter!("dropped").increment(1);
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let recorded = metrics_of(recorder(), || {
        runtime.block_on(async {
            let (sender, started) = tokio::sync::oneshot::channel();
            let work = async {
                let _count = CountDrop;
                sender.send(()).unwrap();
                std::future::pending::<()>().await;
            };
            let task = with_tenant("acme", || task::spawn(work));
            started.await.unwrap();
            task.abort();
            assert!(with_tenant("initech", || task).await.unwrap_err().is_cancelled());
        });
    });
    assert_eq!(recorded, ["dropped{tenant=acme}"]);
}

/// A value whose `Display` uses metrics, and the other variables.
struct Counting;

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        counter!("displayed").increment(1);
        f.write_str("counting")
    }
}

#[test]
fn a_display_can_use_metrics() {
    static COUNTING: ContextVar<Counting> = ContextVar::new("counting").metric();
    static ALSO: ContextVar<Counting> = ContextVar::new("counting.also").metric();

    for limit in [0, 1, 1000] {
        let (recorder, snapshotter) = recorder();
        let recorder = recorder.with_variables(&[&COUNTING, &ALSO, &PLAN]).with_limit(limit);
        let recorded = metrics_of((recorder, snapshotter), || {
            PLAN.set("free");
            COUNTING.set(Counting);
            ALSO.set(Counting);
            counter!("a").increment(1);
        });
        if limit == 1000 {
            assert_eq!(
                recorded,
                [
                    "a{counting=counting,counting.also=counting,plan=free}",
                    "displayed{counting.also=counting,plan=free}",
                    "displayed{counting=counting,plan=free}",
                    // In a `Display` that another `Display` calls.
                    "displayed{}"
                ]
            );
        }
    }
}

#[test]
fn a_display_that_fails_or_panics_breaks_nothing() {
    struct Fails(bool);

    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("partly")?;
            assert!(!self.0, "on purpose");
            Err(fmt::Error)
        }
    }

    static FAILS: ContextVar<Fails> = ContextVar::new("fails").metric();

    let (recorder, snapshotter) = recorder();
    let recorder = recorder.with_variables(&[&FAILS, &TENANT]).with_limit(1);
    let recorded = metrics_of((recorder, snapshotter), || {
        let panics = || FAILS.sync_scope(Fails(true), || counter!("panics").increment(1));
        panic::catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        FAILS.sync_scope(Fails(false), || counter!("fails").increment(1));
        with_tenant("acme", || counter!("after").increment(1));
    });
    assert_eq!(recorded, ["after{fails=other,tenant=other}", "fails{fails=partly}"]);
}
