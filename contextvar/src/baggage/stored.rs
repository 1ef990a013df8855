use std::collections::BTreeMap;

use super::declared::{Declared, declared, find};
use super::error::BaggageError;
use crate::context::Context;

/// Returns the declared variables that are set in a context, as texts by key. For work that is stored and run
/// later, perhaps by another process.
///
/// The texts are those of the variables' codecs, neither percent-encoded nor trimmed nor limited. They
/// contain no undeclared entries that [`extract`](super::extract) keeps, and no baggage of OpenTelemetry.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{Context, baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// #[context_var(baggage = "request.id")]
/// static REQUEST_ID: u64;
///
/// let request = Context::new().with_value(&TENANT, "a, b".to_owned()).with_value(&REQUEST_ID, 7);
/// let row = baggage::store(&request);
/// assert_eq!((&*row["tenant"], &*row["request.id"], row.len()), ("a, b", "7", 2));
///
/// // Later, in another process.
/// let (mut context, ignored) = baggage::restore(row);
/// assert_eq!(ignored, []);
/// context.run(|| assert_eq!((TENANT.get(), REQUEST_ID.get()), ("a, b".to_owned(), 7)));
/// ```
#[track_caller]
#[must_use = "this returns the texts; it changes nothing"]
pub fn store(context: &Context) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    for Declared { key, var, .. } in declared() {
        if var.is_set(context) {
            let mut text = String::new();
            var.encode(context, &mut text);
            entries.insert((*key).to_owned(), text);
        }
    }
    entries
}

/// Returns a new context with the declared variables that are among these entries, and an error for each
/// entry that was ignored: because no variable declares its key, or because its text is not a value of the
/// variable's type.
///
/// Takes what [`store`] returns, or any other keys and texts, for example `&entries` of a
/// `HashMap<String, String>`. If a key is repeated, the last entry counts.
///
/// The codecs and `FromStr`s run inside the new context.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let (context, ignored) = baggage::restore([("tenant", "acme"), ("region", "eu")]);
/// assert_eq!(context[&TENANT], "acme");
/// assert_eq!(ignored[0].to_string(), "baggage entry `region` was ignored: no variable declares this key");
/// ```
#[track_caller]
pub fn restore<K, V>(entries: impl IntoIterator<Item = (K, V)>) -> (Context, Vec<BaggageError>)
where
    K: AsRef<str>,
    V: AsRef<str>,
{
    let declared = declared();
    let mut context = Context::new();
    let mut errors = Vec::new();
    for (key, text) in entries {
        let restored = match find(declared, key.as_ref()) {
            Some(declared) => context.run(|| declared.var.decode(text.as_ref())),
            None => Err("no variable declares this key"),
        };
        errors.extend(restored.err().map(|reason| BaggageError::new(key.as_ref().as_bytes(), reason)));
    }
    (context, errors)
}
