//! Values and objects in JSON.

use std::fmt::{self, Write};

use crate::log::LogValue;

/// Writes a value as JSON. A number that JSON has no form for is a string.
pub(super) fn write_value(out: &mut String, value: &LogValue<'_>) {
    let result = match value {
        LogValue::Bool(value) => write!(out, "{value}"),
        LogValue::I64(value) => write!(out, "{value}"),
        LogValue::U64(value) => write!(out, "{value}"),
        LogValue::I128(value) => write!(out, "{value}"),
        LogValue::U128(value) => write!(out, "{value}"),
        LogValue::F32(value) if value.is_finite() => write!(out, "{value:?}"),
        LogValue::F64(value) if value.is_finite() => write!(out, "{value:?}"),
        // Outside of its strings, JSON can have line breaks.
        LogValue::Json(value) => value.split(['\n', '\r']).try_for_each(|part| out.write_str(part)),
        value => return write_string(out, value),
    };
    result.expect("a `String` accepts all text");
}

/// Writes the text of a value as a JSON string. If its `Display` fails, the string ends there.
pub(super) fn write_string(out: &mut String, value: &dyn fmt::Display) {
    out.push('"');
    let _ = write!(Escaped(out), "{value}");
    out.push('"');
}

/// Escapes text for a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
            self.0.push_str(&rest[..at]);
            let c = rest[at..].chars().next().expect("found above");
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c => write!(self.0, "\\u{:04x}", u32::from(c))?,
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// A line of text that is one JSON object.
pub(super) struct Object<'a> {
    /// The object without its last brace.
    pub(super) open: &'a str,
    /// That brace, and the white space after it.
    pub(super) close: &'a str,
}

impl<'a> Object<'a> {
    /// Returns the object if the line is one. It checks the brackets and the strings.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let object = line.trim_end();
        if !object.starts_with('{') {
            return None;
        }
        let end = Tokens::new(object).find(|token| token.depth == 0)?.start;
        (end + 1 == object.len()).then(|| Object { open: &line[..end], close: &line[end..] })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open[1..].trim().is_empty()
    }

    /// Returns true if the object has `key`. Finds only keys that JSON does not escape.
    pub(super) fn has_key(&self, key: &str) -> bool {
        Tokens::new(self.open).any(|token| {
            token.depth == 1
                && self.open[token.start..]
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_prefix(key))
                    .is_some_and(|rest| {
                        rest.strip_prefix('"').is_some_and(|rest| rest.trim_start().starts_with(':'))
                    })
        })
    }
}

/// A string or a bracket, with the number of brackets that are open after it.
struct Token {
    start: usize,
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
        let start = self.next + self.text[self.next..].iter().position(|byte| b"\"{}[]".contains(byte))?;
        self.next = start + 1;
        match self.text[start] {
            b'"' => loop {
                self.next += 1;
                match self.text.get(self.next - 1)? {
                    b'\\' => self.next += 1,
                    b'"' => break,
                    _ => (),
                }
            },
            b'{' | b'[' => self.depth += 1,
            _ => self.depth = self.depth.checked_sub(1)?,
        }
        (self.next <= self.text.len()).then_some(Token { start, depth: self.depth })
    }
}
