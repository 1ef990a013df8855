use std::fmt;
use std::time::Duration;

use ::opentelemetry::InstrumentationScope;
use ::opentelemetry::logs::{LogRecord, Severity};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use super::attributes::{Selection, key};
use super::value::structured;
use crate::log::{can_show, for_each_log_field};

/// Sets the variables that are marked [`log`](crate::ContextVar::log) as attributes of each log record,
/// including those that opentelemetry-appender-tracing makes from the events of `tracing`.
///
/// The variables are those of the code that logs. Put the processor before those that export. See
/// [the module](super) for types, names and limits.
///
/// ```
/// use contextvar::opentelemetry::ContextLogProcessor;
/// use opentelemetry_sdk::logs::SdkLoggerProvider;
///
/// let provider = SdkLoggerProvider::builder()
///     .with_log_processor(ContextLogProcessor::new())
///     // .with_batch_exporter(exporter)
///     .build();
/// # let _ = provider;
/// ```
pub struct ContextLogProcessor {
    selection: Selection,
}

impl ContextLogProcessor {
    /// Returns a processor that shows all variables, at most 32 in each record.
    pub fn new() -> Self {
        ContextLogProcessor { selection: Selection::new() }
    }

    /// Shows only the variables for whose names `filter` returns true. The filter must not log.
    ///
    /// ```
    /// use contextvar::opentelemetry::ContextLogProcessor;
    ///
    /// let processor = ContextLogProcessor::new().with_filter(|name| name != "user");
    /// # let _ = processor;
    /// ```
    pub fn with_filter(mut self, filter: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.selection.filter = Some(Box::new(filter));
        self
    }

    /// Shows at most `n` variables in a record: those that the process wrote first. The default is 32.
    ///
    /// ```
    /// use contextvar::opentelemetry::ContextLogProcessor;
    ///
    /// let processor = ContextLogProcessor::new().with_max_attributes(100);
    /// # let _ = processor;
    /// ```
    pub fn with_max_attributes(mut self, n: usize) -> Self {
        self.selection.max_attributes = n;
        self
    }
}

impl Default for ContextLogProcessor {
    fn default() -> Self {
        ContextLogProcessor::new()
    }
}

impl fmt::Debug for ContextLogProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.selection.max_attributes;
        f.debug_struct("ContextLogProcessor").field("max_attributes", &max).finish_non_exhaustive()
    }
}

impl LogProcessor for ContextLogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        if !can_show() {
            return;
        }
        let mut keys = self.selection.keys();
        // The names of the variables differ from one another, so only the record's own attributes matter.
        let mut own = None;
        for_each_log_field(|name, value| {
            let own = *own.get_or_insert_with(|| record.attributes_iter().count());
            let has = |name: &str| record.attributes_iter().take(own).any(|(key, _)| key.as_str() == name);
            if let Some(name) = keys.next(name, has) {
                record.add_attribute(key(name), structured(value));
            }
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    /// Returns false. The SDK makes a record if any processor wants it; this one wants none for itself.
    fn event_enabled(&self, _: Severity, _: &str, _: Option<&str>) -> bool {
        false
    }
}
