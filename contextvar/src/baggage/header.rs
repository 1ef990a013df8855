//! Reads a header: `key=value;property;property=value,key=value`.

use std::borrow::Cow;

use super::error::BaggageError;
use super::percent::{decode, push_octets, visible_except};

/// The limits of the specification, for the headers of one request together.
pub(super) const MAX_BYTES: usize = 8192;
pub(super) const MAX_ENTRIES: usize = 64;

/// A well-formed entry.
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    /// The decoded value.
    value: Cow<'a, str>,
    raw_value: &'a str,
    properties: &'a str,
}

/// Calls `f` with each entry of all headers, as far as they are within the limits. Calls it with an error for
/// each malformed entry, and with one for all entries beyond the limits. Empty elements of the list do not
/// count.
pub(super) fn for_each_entry<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    mut f: impl FnMut(Result<Entry<'a>, BaggageError>),
) {
    // The end of the last element in the headers, joined with commas.
    let mut end = 0;
    let mut count = 0;
    for header in headers {
        let text = std::str::from_utf8(header).ok();
        let mut start = 0;
        while start <= header.len() {
            let rest = &header[start..];
            let plain = text.and_then(|text| split_plain(&text[start..]));
            let length = match plain {
                Some((key, value)) => key.len() + 1 + value.len(),
                None => rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len()),
            };
            start += length + 1;
            end += length + 1;
            let element = rest[..length].trim_ascii();
            if element.is_empty() {
                continue;
            }
            count += 1;
            let beyond = match (count > MAX_ENTRIES, end - 1 > MAX_BYTES) {
                (true, _) => Some("it and what follows exceed the limit of 64 entries"),
                (_, true) => Some("it and what follows exceed the limit of 8192 bytes"),
                _ => None,
            };
            if let Some(reason) = beyond {
                return f(Err(error(element, reason)));
            }
            f(match plain {
                Some((key, value)) => {
                    Ok(Entry { key: key.into(), value: value.into(), raw_value: value, properties: "" })
                }
                None => Entry::parse(element).map_err(|reason| error(element, reason)),
            });
        }
    }
}

#[cold]
fn error(element: &[u8], reason: &'static str) -> BaggageError {
    let end = element.iter().position(|byte| b"=;".contains(byte)).unwrap_or(element.len());
    BaggageError::new(element[..end].trim_ascii(), reason)
}

/// Splits a text at an ASCII character, as `str::split_once` does, which takes longer for short texts.
pub(super) fn split_once(text: &str, ascii: u8) -> Option<(&str, &str)> {
    let index = text.bytes().position(|byte| byte == ascii)?;
    Some((&text[..index], &text[index + 1..]))
}

/// Returns the key and the value of a list's first entry in one pass. Returns `None` if the entry has
/// whitespace, properties or encoded bytes, which most entries do not have: [`Entry::parse`] reads those.
fn split_plain(list: &str) -> Option<(&str, &str)> {
    let equals = list.bytes().position(|byte| !is_key_byte(byte)).filter(|&equals| equals > 0)?;
    let (key, value) = (&list[..equals], list[equals..].strip_prefix('=')?);
    let end = value.bytes().position(|byte| !is_plain(byte)).unwrap_or(value.len());
    let (value, rest) = value.split_at(end);
    (rest.is_empty() || rest.starts_with(',')).then_some((key, value))
}

impl<'a> Entry<'a> {
    fn parse(element: &'a [u8]) -> Result<Self, &'static str> {
        let is_text = |text: &&str| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let text = std::str::from_utf8(element).ok().filter(is_text);
        let text = text.ok_or("it has a byte that is not printable ASCII")?;
        let (pair, properties) = split_once(text, b';').unwrap_or((text, ""));
        let (key, value) = split_once(pair, b'=').ok_or("it has no `=`")?;
        // Receivers differ in whether they decode keys. OpenTelemetry for Python encodes them.
        let key = decode(key.trim_ascii_end())?;
        if !is_key(&key) {
            return Err("its key is not valid");
        }
        let raw_value = value.trim_ascii();
        Ok(Entry { key, value: decode(raw_value)?, raw_value, properties })
    }

    /// Returns the decoded value without whitespace at its ends.
    pub(super) fn value(&self) -> &str {
        match &self.value {
            // It stands in the header as it is, and was trimmed there.
            Cow::Borrowed(value) => value,
            Cow::Owned(value) => value.trim(),
        }
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
    if properties.is_empty() {
        return Ok(());
    }
    let start = header.len();
    for property in properties.split(';').map(str::trim_ascii).filter(|property| !property.is_empty()) {
        let (key, value) = match split_once(property, b'=') {
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
    const KEY: [bool; 256] = visible_except(b"\"(),/:;<=>?@[\\]{}%");
    KEY[usize::from(byte)]
}

/// Returns true for the bytes of a value that stand for themselves and do not end it.
fn is_plain(byte: u8) -> bool {
    const PLAIN: [bool; 256] = visible_except(b",;%");
    PLAIN[usize::from(byte)]
}
