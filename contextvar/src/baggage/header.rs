//! Reads a header: `key=value;property;property=value,key=value`.

use std::borrow::Cow;
use std::iter;

use super::error::BaggageError;
use super::percent::{decode, push_octets};

/// The limits of the specification, for the headers of one request together.
pub(super) const MAX_BYTES: usize = 8192;
pub(super) const MAX_ENTRIES: usize = 64;

/// A well-formed entry.
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    /// The decoded value.
    pub(super) value: Cow<'a, str>,
    raw_value: &'a str,
    properties: &'a str,
}

/// Returns the entries of all headers, as far as they are within the limits. Returns an error for each
/// malformed entry, and one for all entries beyond the limits. Empty elements of the list do not count.
pub(super) fn entries<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Result<Entry<'a>, BaggageError>> {
    let mut elements = headers.into_iter().flat_map(|header| header.split(|&byte| byte == b','));
    // The end of the last element in the headers, joined with commas.
    let mut end = 0;
    let mut count = 0;
    let mut is_full = false;
    iter::from_fn(move || {
        while !is_full {
            let element = elements.next()?;
            end += element.len() + 1;
            let element = element.trim_ascii();
            if element.is_empty() {
                continue;
            }
            count += 1;
            let beyond = match (count > MAX_ENTRIES, end - 1 > MAX_BYTES) {
                (true, _) => Some("it and what follows exceed the limit of 64 entries"),
                (_, true) => Some("it and what follows exceed the limit of 8192 bytes"),
                _ => None,
            };
            is_full = beyond.is_some();
            let entry = beyond.map_or_else(|| Entry::parse(element), Err);
            return Some(entry.map_err(|reason| {
                let end = element.iter().position(|byte| b"=;".contains(byte)).unwrap_or(element.len());
                BaggageError::new(element[..end].trim_ascii(), reason)
            }));
        }
        None
    })
}

impl<'a> Entry<'a> {
    fn parse(element: &'a [u8]) -> Result<Self, &'static str> {
        let is_text = |text: &&str| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let text = std::str::from_utf8(element).ok().filter(is_text);
        let text = text.ok_or("it has a byte that is not printable ASCII")?;
        let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
        let (key, value) = pair.split_once('=').ok_or("it has no `=`")?;
        // Receivers differ in whether they decode keys. OpenTelemetry for Python encodes them.
        let key = decode(key.trim_ascii_end())?;
        if !is_key(&key) {
            return Err("its key is not valid");
        }
        let raw_value = value.trim_ascii();
        Ok(Entry { key, value: decode(raw_value)?, raw_value, properties })
    }

    /// Appends the entry to a header, with its value and properties as they came.
    pub(super) fn push_to(&self, header: &mut String) -> Result<(), &'static str> {
        let start = header.len();
        header.reserve(self.key.len() + self.raw_value.len() + self.properties.len() + 3);
        if start > 0 {
            header.push(',');
        }
        header.push_str(&self.key);
        header.push('=');
        push_octets(header, self.raw_value);
        let pushed = push_properties(header, self.properties);
        if pushed.is_err() {
            header.truncate(start);
        }
        pushed
    }
}

/// Appends the properties of an entry, each after a `;`. If one is malformed, appends none and returns an
/// error.
pub(super) fn push_properties(header: &mut String, properties: &str) -> Result<(), &'static str> {
    let start = header.len();
    for property in properties.split(';').map(str::trim_ascii).filter(|property| !property.is_empty()) {
        let (key, value) = match property.split_once('=') {
            Some((key, value)) => (key.trim_ascii_end(), Some(value.trim_ascii_start())),
            None => (property, None),
        };
        let is_valid = !key.is_empty() && key.bytes().all(|byte| byte == b'%' || is_key_byte(byte));
        if !is_valid || value.is_some_and(|value| decode(value).is_err()) {
            header.truncate(start);
            return Err("a property of it is malformed");
        }
        header.push(';');
        header.push_str(key);
        if let Some(value) = value {
            header.push('=');
            push_octets(header, value);
        }
    }
    Ok(())
}

/// Returns true if `text` is a token without `%`, which receivers would decode. The attribute accepts the
/// same keys.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_key_byte)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte)
}
