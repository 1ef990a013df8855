//! Variables as attributes of OpenTelemetry's metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Barrier};

use contextvar::opentelemetry::MetricAttributes;
use contextvar::{Context, ContextVar, context_var, task};
use opentelemetry::metrics::{Counter, MeterProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

#[context_var(metric, name = "metrics.tenant")]
static TENANT: String;

#[context_var(metric, name = "metrics.plan")]
static PLAN: &str;

/// The SDK with one counter.
struct Sdk {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
    counter: Counter<u64>,
}

impl Sdk {
    fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let counter = provider.meter("test").u64_counter("counter").build();
        Sdk { exporter, provider, counter }
    }

    /// Returns the counter's values by their attributes, as `key=value,..`.
    fn exported(self) -> BTreeMap<String, u64> {
        self.provider.force_flush().unwrap();
        let exported = self.exporter.get_finished_metrics().unwrap();
        let metric = exported[0].scope_metrics().next().unwrap().metrics().next().unwrap();
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { panic!("{metric:?}") };
        let points = sum.data_points().map(|point| {
            let mut attributes: Vec<_> = point.attributes().map(text).collect();
            attributes.sort();
            (attributes.join(","), point.value())
        });
        points.collect()
    }
}

fn text(attribute: &KeyValue) -> String {
    format!("{}={}", attribute.key, attribute.value)
}

fn with_tenant<R>(tenant: &str, f: impl FnOnce() -> R) -> R {
    TENANT.sync_scope(tenant.to_owned(), f)
}

#[test]
fn the_sdk_exports_the_variables() {
    let attributes = MetricAttributes::new();
    let sdk = Sdk::new();
    let add = || sdk.counter.add(1, &attributes.current(&[KeyValue::new("own", 7)]));
    Context::new().run(|| {
        add();
        with_tenant("acme", add);
        with_tenant("acme", || PLAN.sync_scope("free", add));
        with_tenant("acme", add);
    });
    let expected =
        [("own=7", 1), ("metrics.plan=free,metrics.tenant=acme,own=7", 1), ("metrics.tenant=acme,own=7", 2)];
    assert_eq!(sdk.exported(), expected.map(|(name, count)| (name.to_owned(), count)).into());
}

/// Beyond a limit, the SDK's own attribute for that is the only one besides those of the metric.
#[test]
fn beyond_the_limit_the_sdk_exports_an_overflow() {
    let attributes = MetricAttributes::new().with_limit(2);
    let sdk = Sdk::new();
    let add = || sdk.counter.add(1, &attributes.current(&[]));
    Context::new().run(|| {
        with_tenant("acme", add);
        PLAN.sync_scope("free", add);
        with_tenant("new", add);
        with_tenant("newer", || PLAN.sync_scope("free", add));
        with_tenant("acme", add);
        add();
    });
    let expected =
        [("", 1), ("metrics.plan=free", 1), ("metrics.tenant=acme", 2), ("otel.metric.overflow=true", 2)];
    assert_eq!(sdk.exported(), expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn attributes_have_types() {
    static BOOL: ContextVar<bool> = ContextVar::new("attribute.bool").log();
    static SIGNED: ContextVar<i8> = ContextVar::new("attribute.signed").log();
    static UNSIGNED: ContextVar<u64> = ContextVar::new("attribute.unsigned").log();
    static LARGE: ContextVar<i128> = ContextVar::new("attribute.large").log();
    static FLOAT: ContextVar<f32> = ContextVar::new("attribute.float").log();
    static TEXT: ContextVar<&str> = ContextVar::new("attribute.text").log();
    static DISPLAY: ContextVar<std::net::Ipv4Addr> = ContextVar::new("attribute.display").log();
    #[context_var(log = serde, name = "attribute.json")]
    static JSON: Vec<u8>;

    let attributes = MetricAttributes::new()
        .with_variables(&[&BOOL, &SIGNED, &UNSIGNED, &LARGE, &FLOAT, &TEXT, &DISPLAY, &JSON])
        .with_limit(3);
    let current = || -> BTreeMap<_, _> {
        let attributes = attributes.current(&[]).into_iter();
        attributes.map(|attribute| (attribute.key.to_string(), attribute.value)).collect()
    };
    Context::new().run(|| {
        BOOL.set(true);
        SIGNED.set(-7);
        UNSIGNED.set(7);
        LARGE.set(7);
        FLOAT.set(0.5);
        TEXT.set("text");
        DISPLAY.set([127, 0, 0, 1].into());
        JSON.set(vec![1, 2]);
        let expected = [
            ("attribute.bool", Value::Bool(true)),
            ("attribute.signed", Value::I64(-7)),
            ("attribute.unsigned", Value::I64(7)),
            ("attribute.large", Value::I64(7)),
            ("attribute.float", Value::F64(0.5)),
            ("attribute.text", "text".into()),
            ("attribute.display", "127.0.0.1".into()),
            ("attribute.json", "[1,2]".into()),
        ];
        assert_eq!(current(), expected.map(|(name, value)| (name.to_owned(), value)).into());

        UNSIGNED.set(u64::MAX);
        LARGE.set(i128::MIN);
        let large = current();
        assert_eq!(large["attribute.unsigned"], u64::MAX.to_string().into());
        assert_eq!(large["attribute.large"], i128::MIN.to_string().into());

        // Its bits differ from itself, and it counts once all the same.
        for _ in 0..2 {
            FLOAT.set(f32::NAN);
            assert_eq!(current()["attribute.float"], "NaN".into());
        }
    });
}

#[test]
fn own_attributes_come_first_and_keep_their_keys() {
    let attributes = MetricAttributes::default().with_variables(&[&PLAN, &TENANT]);
    let own = [
        KeyValue::new("metrics.tenant", "own"),
        KeyValue::new("metrics.tenant_2", 1),
        KeyValue::new("metrics.tenant", "own twice"),
    ];
    Context::new().run(|| {
        assert_eq!(attributes.current(&own), own);
        let all = with_tenant("acme", || PLAN.sync_scope("free", || attributes.current(&own)));
        assert_eq!(all[..3], own);
        assert_eq!(
            all[3..],
            [KeyValue::new("metrics.plan", "free"), KeyValue::new("metrics.tenant_3", "acme")]
        );
    });
}

#[test]
fn a_secret_and_an_unset_variable_are_no_attributes() {
    static SECRET: ContextVar<&str> = ContextVar::new("metrics.secret").metric().secret();

    let attributes = MetricAttributes::new();
    Context::new().run(|| {
        SECRET.set("sesame");
        assert_eq!(attributes.current(&[]), []);
    });
}

#[test]
fn threads_share_the_limit_of_attributes_exactly() {
    const THREADS: usize = 4;

    let attributes = MetricAttributes::new().with_variables(&[&TENANT]).with_limit(20);
    let start = Barrier::new(THREADS);
    let run = &|thread: usize| {
        start.wait();
        let tenants = (0..100).map(|number| ((number + thread * 25) % 100).to_string());
        let sets = tenants.map(|tenant| with_tenant(&tenant, || attributes.current(&[])));
        sets.map(|set| set.iter().map(text).collect::<String>()).collect::<Vec<_>>()
    };
    let sets: BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(sets.len(), 21);
    assert!(sets.contains("otel.metric.overflow=true"));
}

#[test]
fn the_attributes_of_a_hundred_requests_do_not_mix() {
    static ATTRIBUTES: MetricAttributes = MetricAttributes::new();

    let sdk = Sdk::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let barrier = Arc::new(tokio::sync::Barrier::new(100));
        let requests: Vec<_> = (0..100)
            .map(|number| {
                let (barrier, counter) = (barrier.clone(), sdk.counter.clone());
                let request = async move {
                    TENANT.set(format!("{number:02}"));
                    barrier.wait().await;
                    counter.add(1, &ATTRIBUTES.current(&[]));
                    let inner = task::spawn(async move {
                        tokio::task::yield_now().await;
                        counter.add(1, &ATTRIBUTES.current(&[]));
                    });
                    inner.await.unwrap();
                    barrier.wait().await;
                };
                tokio::spawn(Context::new().scope(request))
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
    });
    let expected = (0..100).map(|number| (format!("metrics.tenant={number:02}"), 2));
    assert_eq!(sdk.exported(), expected.collect());
}

#[test]
fn a_display_can_read_the_attributes() {
    static ATTRIBUTES: MetricAttributes = MetricAttributes::new().with_limit(1);

    struct Reads;

    impl fmt::Display for Reads {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let others = ATTRIBUTES.current(&[]).iter().map(text).collect::<String>();
            write!(f, "({others})")
        }
    }

    static READS: ContextVar<Reads> = ContextVar::new("metrics.reads").metric();

    Context::new().run(|| {
        with_tenant("acme", || {
            READS.set(Reads);
            // The `Display`'s set comes first.
            assert_eq!(ATTRIBUTES.current(&[]), [KeyValue::new("otel.metric.overflow", true)]);
            assert_eq!(READS.with(Reads::to_string), "(otel.metric.overflow=true)");
        });
    });
    assert_eq!(with_tenant("acme", || ATTRIBUTES.current(&[])), [KeyValue::new("metrics.tenant", "acme")]);
}
