//! Variables in the headers of a response.

use std::any::Any;
use std::fmt::{self, Write};
use std::mem;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::current;
use crate::var::{ContextValue, ContextVar};

/// Writes a variable of the current context to the headers of a response.
pub(super) type WriteHeader = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

pub(super) fn write_header<T: ContextValue + fmt::Display>(
    name: HeaderName,
    var: &'static ContextVar<T>,
) -> WriteHeader {
    let to_value = |value: &T| {
        // The two most common types need no formatting.
        let any: &dyn Any = value;
        if let Some(text) = any.downcast_ref::<String>() {
            return to_printable(text.as_bytes());
        }
        if let Some(number) = any.downcast_ref::<u64>() {
            return Some(HeaderValue::from(*number));
        }
        let mut text = Text::EMPTY;
        write!(text, "{value}").ok()?;
        to_printable(text.as_bytes())
    };
    Arc::new(move |headers| {
        let value = current::read(var.variable(), |_| (), |_| None, to_value);
        if let Some(value) = value.flatten() {
            headers.entry(&name).or_insert(value);
        }
    })
}

/// Returns the text as the value of a header, if it is printable ASCII.
fn to_printable(text: &[u8]) -> Option<HeaderValue> {
    // A `HeaderValue` could have other characters, beyond ASCII.
    if text.is_ascii() { HeaderValue::from_bytes(text).ok() } else { None }
}

/// Writes the variables of the current context.
#[inline]
pub(super) fn write_headers<B>(headers: &Option<Arc<[WriteHeader]>>, response: &mut Response<B>) {
    if let Some(headers) = headers {
        headers.iter().for_each(|write| write(response.headers_mut()));
    }
}

/// Text that is on the stack while it is short. The header's value is then its only allocation.
struct Text {
    short: [u8; 64],
    /// The length of the text in `short`.
    len: usize,
    /// All of the text, if it does not fit in `short`.
    long: Vec<u8>,
}

impl Text {
    const EMPTY: Text = Text { short: [0; 64], len: 0, long: Vec::new() };

    fn as_bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        match self.short.get_mut(self.len..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(text.as_bytes());
                self.len = end;
            }
            _ => {
                self.long.extend(&self.short[..mem::take(&mut self.len)]);
                self.long.extend(text.as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length() {
        for parts in [
            vec![],
            vec![0],
            vec![1, 2],
            vec![63, 1],
            vec![64],
            vec![65],
            vec![60, 5, 1],
            vec![0, 70, 0, 64, 9],
        ] {
            let mut text = Text::EMPTY;
            let mut whole = String::new();
            for (part, letter) in parts.into_iter().zip('a'..) {
                let part = letter.to_string().repeat(part);
                text.write_str(&part).unwrap();
                whole += &part;
            }
            assert_eq!(text.as_bytes(), whole.as_bytes());
        }
    }
}
