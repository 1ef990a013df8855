//! Values and objects in JSON.

use std::fmt::{self, Write};

use crate::log::{self, Bytes, LogValue, push_display};

/// Appends a value as JSON. A number that JSON has no form for is a string.
pub(super) fn push_value(out: &mut String, value: &LogValue<'_>) {
    match *value {
        LogValue::Str(text) => push_str(out, text),
        // Outside of its strings, JSON can have line breaks.
        LogValue::Json(text) => out.extend(text.split(['\n', '\r'])),
        LogValue::F32(value) if value.is_finite() => push_display(out, &format_args!("{value:?}")),
        LogValue::F64(value) if value.is_finite() => push_display(out, &format_args!("{value:?}")),
        LogValue::F32(_) | LogValue::F64(_) | LogValue::Display(_) => {
            out.push('"');
            // If a `Display` fails, the string ends there.
            let _ = write!(Escaped(out), "{value}");
            out.push('"');
        }
        number => log::push_value(out, &number),
    }
}

/// Appends a JSON string.
pub(super) fn push_str(out: &mut String, text: &str) {
    out.push('"');
    Escaped(out).push_str(text);
    out.push('"');
}

/// Escapes text for a JSON string.
struct Escaped<'a>(&'a mut String);

impl Escaped<'_> {
    fn push_str(&mut self, text: &str) {
        static PLAIN: Bytes = Bytes::new(b' ', b'~', b"\"\\");

        if PLAIN.contain(text) {
            return self.0.push_str(text);
        }
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c.is_control() => push_display(self.0, &format_args!("\\u{:04x}", u32::from(c))),
                c => self.0.push(c),
            }
        }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

/// A line of text that is one JSON object.
pub(super) struct Object<'a> {
    /// The object without its last brace.
    pub(super) open: &'a str,
    /// That brace, and the white space after it.
    pub(super) close: &'a str,
    /// The keys, as they are between the quotes.
    keys: Vec<&'a str>,
}

impl<'a> Object<'a> {
    /// Returns the object if the line is one. It checks the brackets and the strings.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let object = line.trim_end();
        if !object.starts_with('{') {
            return None;
        }
        let bytes = object.as_bytes();
        let mut keys = Vec::with_capacity(16);
        for Token { start, end, depth } in Tokens::new(object) {
            match depth {
                0 if end < object.len() => return None,
                0 => return Some(Object { open: &line[..start], close: &line[start..], keys }),
                1 if bytes[start] == b'"' && bytes[end..].trim_ascii_start().starts_with(b":") => {
                    keys.push(&object[start + 1..end - 1]);
                }
                _ => (),
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open[1..].trim().is_empty()
    }

    /// Returns true if the object has `key`. Finds only keys that JSON does not escape.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }
}

/// A string or a bracket, with the number of brackets that are open after it.
struct Token {
    start: usize,
    end: usize,
    depth: usize,
}

/// The strings and the brackets of a JSON text.
struct Tokens<'a> {
    text: &'a [u8],
    next: usize,
    depth: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Tokens { text: text.as_bytes(), next: 0, depth: 0 }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let mut at = self.next;
        let start = loop {
            match self.text.get(at)? {
                b'"' | b'{' | b'}' | b'[' | b']' => break at,
                _ => at += 1,
            }
        };
        at += 1;
        match self.text[start] {
            b'"' => loop {
                match self.text.get(at)? {
                    b'"' => break at += 1,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            },
            b'{' | b'[' => self.depth += 1,
            _ => self.depth = self.depth.checked_sub(1)?,
        }
        self.next = at;
        Some(Token { start, end: at, depth: self.depth })
    }
}
