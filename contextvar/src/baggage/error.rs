use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::header::is_key;

/// Returned by [`extract`](super::extract) for an incoming entry that was ignored, and by
/// [`restore`](super::restore) for a stored one.
///
/// The guide [lists the reasons](https://docs.rs/contextvar/latest/contextvar/guide/errors#baggage-entry-ignored).
///
/// ```
/// use contextvar::{Context, baggage};
///
/// let request = http::Request::builder().header("baggage", "tenant").body(()).unwrap();
/// let errors = Context::new().run(|| baggage::extract_headers(request.headers()));
/// assert_eq!(errors[0].key(), "tenant");
/// assert_eq!(errors[0].to_string(), "baggage entry `tenant` was ignored: it has no `=`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageError {
    key: Cow<'static, str>,
    reason: &'static str,
}

impl BaggageError {
    /// Returns an error about the entry of a declared variable.
    pub(super) fn declared(key: &'static str, reason: &'static str) -> Self {
        BaggageError { key: Cow::Borrowed(key), reason }
    }

    /// Returns an error about an entry with any text in place of its key.
    pub(super) fn new(key: &[u8], reason: &'static str) -> Self {
        const MAX_BYTES: usize = 64;

        let text = match std::str::from_utf8(key) {
            Ok(text) if is_key(text) && text.len() <= MAX_BYTES => text.to_owned(),
            _ if key.len() <= MAX_BYTES => key.escape_ascii().to_string(),
            _ => format!("{}..", key[..MAX_BYTES].escape_ascii()),
        };
        BaggageError { key: Cow::Owned(text), reason }
    }

    /// Returns the entry's key. If the entry has no valid key, returns the text before its `=`, escaped like
    /// a byte string. A key that no variable declares is cut after 64 bytes.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "baggage entry `{}` was ignored: {}", self.key, self.reason)
    }
}

impl Error for BaggageError {}
