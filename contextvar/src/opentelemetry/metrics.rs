use std::hash::{Hash, Hasher};

use opentelemetry::{KeyValue, Value};

use crate::context::AnyContextVar;
use crate::labels::{Label, Labels};
use crate::log::{LogValue, to_text};

/// Adds the variables of the current context to the attributes of OpenTelemetry's metrics.
///
/// The variables are those that are marked [`metric`](crate::ContextVar::metric), or a
/// [list](Self::with_variables). A service keeps one `MetricAttributes` for all its metrics, in a static or a
/// struct.
///
/// ```
/// use contextvar::ContextVar;
/// use contextvar::opentelemetry::MetricAttributes;
/// use opentelemetry::KeyValue;
///
/// static TENANT: ContextVar<&str> = ContextVar::new("tenant").metric();
///
/// static ATTRIBUTES: MetricAttributes = MetricAttributes::new().with_limit(200);
///
/// TENANT.set("acme");
/// // orders.add(1, &ATTRIBUTES.current(&[KeyValue::new("kind", "book")]));
/// assert_eq!(
///     ATTRIBUTES.current(&[KeyValue::new("kind", "book")]),
///     [KeyValue::new("kind", "book"), KeyValue::new("tenant", "acme")],
/// );
/// ```
///
/// # The limit
///
/// Every combination of values is a time series of its own, for every metric. Mark variables that have few
/// values, and not a request's id. The first 1000 combinations of the variables' values are attributes, or as
/// many as [`with_limit`](Self::with_limit) says. A combination that comes later is counted under the
/// attribute `otel.metric.overflow=true` instead, as OpenTelemetry's own limit does it. That limit counts for
/// each metric, and gives up the metric's own attributes as well; here they stay.
///
/// # Values
///
/// Booleans, numbers and text keep their types. A number that OpenTelemetry's types cannot represent, and any
/// other value, is its text, as [logs](crate::for_each_log_field) show it. A variable that is not set and has
/// no default is no attribute, and a [`secret`](crate::ContextVar::secret) variable never is.
#[derive(Debug)]
pub struct MetricAttributes {
    labels: Labels<KeyValue>,
}

impl MetricAttributes {
    /// Returns the attributes of the variables that are marked [`metric`](crate::ContextVar::metric).
    ///
    /// ```
    /// use contextvar::opentelemetry::MetricAttributes;
    ///
    /// static ATTRIBUTES: MetricAttributes = MetricAttributes::new();
    /// # assert!(ATTRIBUTES.current(&[]).is_empty());
    /// ```
    pub const fn new() -> Self {
        MetricAttributes { labels: Labels::new() }
    }

    /// Makes these variables the attributes, instead of those that are marked `metric`. Each must be marked
    /// [`metric`](crate::ContextVar::metric) or [`log`](crate::ContextVar::log), because otherwise its values
    /// cannot be shown.
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
    /// use std::sync::LazyLock;
    ///
    /// use contextvar::ContextVar;
    /// use contextvar::opentelemetry::MetricAttributes;
    ///
    /// static PLAN: ContextVar<&str> = ContextVar::new("plan").log();
    ///
    /// static ATTRIBUTES: LazyLock<MetricAttributes> =
    ///     LazyLock::new(|| MetricAttributes::new().with_variables(&[&PLAN]));
    ///
    /// assert_eq!(PLAN.sync_scope("free", || ATTRIBUTES.current(&[]).len()), 1);
    /// ```
    #[must_use = "this returns the attributes; it changes nothing in place"]
    #[track_caller]
    pub fn with_variables(mut self, variables: &[&'static dyn AnyContextVar]) -> Self {
        self.labels = self.labels.with_variables(variables);
        self
    }

    /// Sets how many combinations of the variables' values are attributes. The default is 1000.
    ///
    /// The first combinations are attributes until the process ends. For all others,
    /// [`current`](Self::current) adds the attribute `otel.metric.overflow=true` instead.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::opentelemetry::MetricAttributes;
    /// use opentelemetry::KeyValue;
    ///
    /// static TENANT: ContextVar<u64> = ContextVar::new("tenant").metric();
    ///
    /// let attributes = MetricAttributes::new().with_limit(1);
    /// let of_tenant = |tenant| TENANT.sync_scope(tenant, || attributes.current(&[]));
    /// assert_eq!(of_tenant(7), [KeyValue::new("tenant", 7)]);
    /// assert_eq!(of_tenant(8), [KeyValue::new("otel.metric.overflow", true)]);
    /// assert_eq!(of_tenant(7), [KeyValue::new("tenant", 7)]);
    /// ```
    #[must_use = "this returns the attributes; it changes nothing in place"]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.labels.limit = limit;
        self
    }

    /// Returns `own` and, after these, the variables of the current context.
    ///
    /// No key is added twice: a variable whose name is a key in `own` is added as `name_2`, or with the next
    /// number that is free.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::opentelemetry::MetricAttributes;
    /// use opentelemetry::KeyValue;
    ///
    /// static KIND: ContextVar<&str> = ContextVar::new("kind").metric();
    ///
    /// let attributes = MetricAttributes::new();
    /// let book = [KeyValue::new("kind", "book")];
    /// assert_eq!(attributes.current(&book), book);
    /// KIND.set("gift");
    /// assert_eq!(attributes.current(&book)[1], KeyValue::new("kind_2", "gift"));
    /// ```
    #[must_use = "pass the attributes to a metric"]
    pub fn current(&self, own: &[KeyValue]) -> Vec<KeyValue> {
        let mut labels = self.labels.current(own);
        if !own.is_empty() {
            labels.splice(..0, own.iter().cloned());
        }
        labels
    }
}

impl Default for MetricAttributes {
    fn default() -> Self {
        Self::new()
    }
}

impl Label for KeyValue {
    fn new(name: &'static str, value: &LogValue<'_>) -> Self {
        let integer = |value: Option<i64>| value.map(Value::I64);
        let typed = match *value {
            LogValue::Bool(value) => Some(Value::Bool(value)),
            LogValue::I64(value) => integer(Some(value)),
            LogValue::U64(value) => integer(value.try_into().ok()),
            LogValue::I128(value) => integer(value.try_into().ok()),
            LogValue::U128(value) => integer(value.try_into().ok()),
            // NaN does not equal itself, so it would be a new value each time.
            LogValue::F32(value) => (!value.is_nan()).then(|| Value::F64(value.into())),
            LogValue::F64(value) => (!value.is_nan()).then_some(Value::F64(value)),
            LogValue::Str(value) => Some(Value::String(value.to_owned().into())),
            LogValue::Json(_) | LogValue::Display(_) => None,
        };
        KeyValue::new(name, typed.unwrap_or_else(|| to_text(value).into()))
    }

    fn name(&self) -> &str {
        self.key.as_str()
    }

    fn rename(&mut self, name: String) {
        self.key = name.into();
    }

    fn hash_value(&self, hasher: &mut impl Hasher) {
        match &self.value {
            Value::Bool(value) => value.hash(hasher),
            Value::I64(value) => value.hash(hasher),
            Value::String(value) => hasher.write(value.as_str().as_bytes()),
            _ => self.hash(hasher),
        }
    }

    fn beyond_limit(_: impl Iterator<Item = &'static str>) -> Vec<Self> {
        vec![KeyValue::new("otel.metric.overflow", true)]
    }
}
