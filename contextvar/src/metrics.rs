//! Adds context variables to the labels of the [`metrics`] crate.
//!
//! Wrap your recorder in a [`ContextRecorder`]. Every counter, gauge and histogram then has the variables that
//! are marked [`metric`](crate::ContextVar::metric) and set as labels, in all the code of a request: in
//! nested functions, spawned tasks, blocking calls, threads.
//!
//! ```
//! use contextvar::ContextVar;
//! use contextvar::metrics::ContextRecorder;
//! use metrics::counter;
//! use metrics_util::debugging::DebuggingRecorder;
//!
//! static TENANT: ContextVar<&str> = ContextVar::new("tenant").metric();
//!
//! let recorder = DebuggingRecorder::new(); // yours, such as that of metrics-exporter-prometheus
//! # let snapshotter = recorder.snapshotter();
//! metrics::set_global_recorder(ContextRecorder::new(recorder)).unwrap();
//!
//! TENANT.sync_scope("acme", || counter!("orders", "kind" => "book").increment(1));
//!
//! # let (key, ..) = snapshotter.snapshot().into_vec().remove(0);
//! // orders{kind="book",tenant="acme"} 1
//! # let labels: Vec<_> = key.key().labels().map(|label| (label.key(), label.value())).collect();
//! # assert_eq!(labels, [("kind", "book"), ("tenant", "acme")]);
//! ```
//!
//! # Which variables
//!
//! Every combination of values is a time series of its own, for every metric. Mark variables that have few
//! values: a tenant's plan, a region, a locale, a client's version, a route. Do not mark a request's id, a
//! user, or text that a client chooses: those belong in logs and traces. A tenant can be a label if there
//! are hundreds of tenants, not if there are millions.
//!
//! [`ContextRecorder::with_variables`] takes a list instead of the marks.
//!
//! # The limit
//!
//! A recorder gives the first 1000 combinations of the variables' values their labels, and
//! [`with_limit`](ContextRecorder::with_limit) sets another number. A combination that comes later is counted
//! under one further set of labels, in which each of the variables that the process has written is `other`. So a client that sends a new
//! tenant with each request cannot use up the memory of this process or of the metrics' store. It can use up
//! the limit, and all tenants that come later are `other`. Check a value that clients choose before you set
//! the variable.
//!
//! The limit is for the variables. The metrics' own labels multiply the number of series.
//!
//! # Where labels are read
//!
//! The labels are those of the place where the macro (`counter!`, `gauge!`, `histogram!`) runs. A handle that
//! the macro returned and that is kept, in a static or a struct, has the labels of that place forever:
//!
//! ```
//! # use contextvar::ContextVar;
//! # static TENANT: ContextVar<&str> = ContextVar::new("tenant").metric();
//! let kept = metrics::counter!("orders"); // no tenant, wherever it is incremented
//! TENANT.sync_scope("acme", || kept.increment(1));
//! ```
//!
//! # Names
//!
//! No metric has a label twice. A label that the metric has itself keeps its name, and a variable of that name
//! is shown as `name_2`, or with the next number that is free. Some exporters change the names of labels, for
//! example dots to underscores: give variables names that your exporter keeps.
//!
//! # Values
//!
//! A value's label is its text, as [logs](crate::for_each_log_field) show it. A variable that is not set and
//! has no default is no label, and a [`secret`](crate::ContextVar::secret) variable never is.
//!
//! A `Display` can itself use a metric. That metric has the other variables as labels.
//!
//! # Cost
//!
//! With two variables that are text, `counter!("x").increment(1)` takes 2130 instructions more than without
//! this recorder: one allocation for the labels, one for each value, and a lock that readers share. With
//! metrics-tracing-context and a span with two fields it takes 3000 more. If no variable is set, it takes 165 more.

use std::hash::Hasher;

use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::context::AnyContextVar;
use crate::labels::{Label, Labels};
use crate::log::{LogValue, to_text};

/// A recorder that adds the variables of the current context to the labels of each metric, and passes it to
/// another recorder. See [the module](self).
#[derive(Debug)]
pub struct ContextRecorder<R> {
    inner: R,
    labels: Labels<::metrics::Label>,
}

impl<R> ContextRecorder<R> {
    /// Wraps a recorder. The labels are the variables that are marked [`metric`](crate::ContextVar::metric).
    ///
    /// ```
    /// use contextvar::metrics::ContextRecorder;
    /// use metrics::NoopRecorder;
    ///
    /// metrics::set_global_recorder(ContextRecorder::new(NoopRecorder)).unwrap();
    /// ```
    pub const fn new(inner: R) -> Self {
        ContextRecorder { inner, labels: Labels::new() }
    }

    /// Makes these variables the labels, instead of those that are marked `metric`. Each must be marked
    /// [`metric`](crate::ContextVar::metric) or [`log`](crate::ContextVar::log), because otherwise its values
    /// cannot be shown as text.
    ///
    /// Where a variable is not set, its default is used if it is declared with `#[context_var(metric)]` or
    /// `#[context_var(log_default)]`.
    ///
    /// # Panics
    ///
    /// Panics if a variable is marked neither `metric` nor `log`, or is `secret`.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::metrics::ContextRecorder;
    /// use metrics::NoopRecorder;
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant").log();
    /// static PLAN: ContextVar<&str> = ContextVar::new("plan").log();
    ///
    /// let recorder = ContextRecorder::new(NoopRecorder).with_variables(&[&TENANT, &PLAN]);
    /// ```
    #[must_use = "this returns the recorder; it changes nothing in place"]
    #[track_caller]
    pub fn with_variables(mut self, variables: &[&'static dyn AnyContextVar]) -> Self {
        self.labels = self.labels.with_variables(variables);
        self
    }

    /// Sets how many combinations of the variables' values have labels of their own. The default is 1000.
    ///
    /// The first combinations keep their labels until the process ends. All others share one set of labels,
    /// with the value `other` for each variable. A combination counts once, however many metrics have it. A
    /// metric for which no variable has a value does not count.
    ///
    /// ```
    /// use contextvar::metrics::ContextRecorder;
    /// use metrics::NoopRecorder;
    ///
    /// let recorder = ContextRecorder::new(NoopRecorder).with_limit(50);
    /// ```
    #[must_use = "this returns the recorder; it changes nothing in place"]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.labels.limit = limit;
        self
    }

    fn with_labels<T>(&self, key: &Key, register: impl FnOnce(&Key) -> T) -> T {
        let own = key.labels();
        let labels = self.labels.current(own.as_slice());
        if labels.is_empty() {
            return register(key);
        }
        let labels = if own.len() == 0 { labels } else { own.cloned().chain(labels).collect() };
        register(&Key::from_parts(key.name_shared(), labels))
    }
}

impl<R: Recorder> Recorder for ContextRecorder<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.with_labels(key, |key| self.inner.register_counter(key, metadata))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.with_labels(key, |key| self.inner.register_gauge(key, metadata))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.with_labels(key, |key| self.inner.register_histogram(key, metadata))
    }
}

impl Label for ::metrics::Label {
    fn new(name: &'static str, value: &LogValue<'_>) -> Self {
        Self::new(name, to_text(value))
    }

    fn name(&self) -> &str {
        self.key()
    }

    fn rename(&mut self, name: String) {
        *self = Self::new(name, self.value().to_owned());
    }

    fn hash_value(&self, hasher: &mut impl Hasher) {
        hasher.write(self.value().as_bytes());
    }

    fn beyond_limit(names: impl Iterator<Item = &'static str>) -> Vec<Self> {
        names.map(|name| Self::from_static_parts(name, "other")).collect()
    }
}
