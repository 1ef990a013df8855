use std::fmt;

use crate::log::{LogValue, for_each_log_field, quoted, to_text};

/// The variables that logs show, as they were at one moment: for an error that is reported later, in another
/// context or in none.
///
/// [`capture`](Self::capture) formats the values, so a snapshot keeps no value alive.
///
/// ```
/// use contextvar::{ContextSnapshot, ContextVar};
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
///
/// #[derive(Debug)]
/// struct NotFound {
///     context: ContextSnapshot,
/// }
///
/// let error = REQUEST_ID.sync_scope(7, || NotFound { context: ContextSnapshot::capture() });
/// assert_eq!(format!("not found ({})", error.context), "not found (request_id=7)");
/// ```
///
/// With anyhow, write `result.with_context(ContextSnapshot::capture)`; with eyre,
/// `result.wrap_err_with(ContextSnapshot::capture)`. The report shows the snapshot as one of its causes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ContextSnapshot {
    fields: Vec<Field>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Field {
    name: &'static str,
    value: String,
    /// The value as it is shown in a line of text.
    quoted: Option<String>,
}

impl ContextSnapshot {
    /// Returns the variables of the current context that logs show, with their names and their text. See
    /// [`for_each_log_field`].
    pub fn capture() -> Self {
        let mut fields = Vec::new();
        for_each_log_field(|name, value| fields.push(Field::new(name, value)));
        ContextSnapshot { fields }
    }

    /// Returns the text of the variable that is shown under `name`, or `None` if there is none.
    ///
    /// ```
    /// use contextvar::{ContextSnapshot, ContextVar};
    ///
    /// static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
    ///
    /// let snapshot = TENANT.sync_scope("acme", ContextSnapshot::capture);
    /// assert_eq!(snapshot.get("tenant"), Some("acme"));
    /// assert_eq!(snapshot.get("user"), None);
    /// ```
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|field| field.0 == name).map(|(_, value)| value)
    }

    /// Returns the names and the texts of the variables.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields.iter().map(|field| (field.name, &*field.value))
    }

    /// Returns true if logs showed no variable.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl Field {
    fn new(name: &'static str, value: &LogValue<'_>) -> Self {
        let text = to_text(value);
        Field { name, quoted: quoted(&text), value: text }
    }

    fn shown(&self) -> &str {
        self.quoted.as_ref().unwrap_or(&self.value)
    }
}

/// Writes `name=value` for each variable, as in a line of a log, or `no variables`.
impl fmt::Display for ContextSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no variables");
        }
        let mut separator = "";
        for field in &self.fields {
            [separator, field.name, "=", field.shown()].into_iter().try_for_each(|text| f.write_str(text))?;
            separator = " ";
        }
        Ok(())
    }
}

impl fmt::Debug for ContextSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ContextSnapshot");
        for field in &self.fields {
            debug.field(field.name, &format_args!("{}", field.shown()));
        }
        debug.finish()
    }
}
