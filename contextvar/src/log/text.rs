use std::fmt::{self, Write};

use super::LogValue;

/// Appends the text of a value. The text ends where a `Display` returns an error.
pub(crate) fn push_value(text: &mut String, value: &LogValue<'_>) {
    match *value {
        LogValue::Str(value) | LogValue::Json(value) => text.push_str(value),
        LogValue::Bool(value) => text.push_str(if value { "true" } else { "false" }),
        LogValue::U64(value) => push_integer(text, value),
        LogValue::I64(value) => {
            if value < 0 {
                text.push('-');
            }
            push_integer(text, value.unsigned_abs());
        }
        value => push_display(text, &value),
    }
}

/// Appends what a `Display` writes before it returns an error.
pub(crate) fn push_display(text: &mut String, value: &dyn fmt::Display) {
    let _ = write!(text, "{value}");
}

/// Appends a number. `write!` takes five times as long.
fn push_integer(text: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    for &digit in &digits[start..] {
        text.push(char::from(digit));
    }
}

/// Appends a value to a line of text. It is quoted and escaped if it could otherwise be read as more than a
/// value.
#[cfg(feature = "tracing")]
pub(crate) fn push_text(line: &mut String, value: &LogValue<'_>) {
    match *value {
        LogValue::Str(text) | LogValue::Json(text) if is_plain(text) => line.push_str(text),
        LogValue::Str(text) | LogValue::Json(text) => line.push_str(quoted(text).as_deref().unwrap_or(text)),
        LogValue::Display(value) => {
            let start = line.len();
            push_display(line, value);
            if let Some(quoted) = quoted(&line[start..]) {
                line.replace_range(start.., &quoted);
            }
        }
        number => push_value(line, &number),
    }
}

/// Returns the text in quotes, or `None` if a line shows it without.
pub(crate) fn quoted(text: &str) -> Option<String> {
    if is_plain(text) { None } else { quoted_if_needed(text) }
}

/// Returns true if a line shows the text without quotes, which is so for most. Returns false for some others.
#[inline]
fn is_plain(text: &str) -> bool {
    static PLAIN: Bytes = Bytes::new(b'!', b'~', b"\"\\=");

    !text.is_empty() && PLAIN.contain(text)
}

#[cold]
fn quoted_if_needed(text: &str) -> Option<String> {
    let quoted = format!("{text:?}");
    let is_plain = !text.is_empty() && quoted[1..quoted.len() - 1] == *text && !text.contains([' ', '=']);
    (!is_plain).then_some(quoted)
}

/// A set of bytes. It is a table, so that a look at a text takes a few instructions per byte.
pub(crate) struct Bytes([bool; 256]);

impl Bytes {
    /// Returns the bytes from `first` to `last`, except these.
    pub(crate) const fn new(first: u8, last: u8, except: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = first;
        while byte <= last {
            table[byte as usize] = true;
            byte += 1;
        }
        let mut at = 0;
        while at < except.len() {
            table[except[at] as usize] = false;
            at += 1;
        }
        Bytes(table)
    }

    /// Returns true if the text has no other bytes.
    #[inline]
    pub(crate) fn contain(&self, text: &str) -> bool {
        // Without a branch per byte.
        text.bytes().fold(true, |all, byte| all & self.0[usize::from(byte)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_if_it_has_another_byte() {
        for byte in 0..=127 {
            let text = format!("a{}b", char::from(byte));
            let is_plain = byte.is_ascii_graphic() && !b"\"\\=".contains(&byte);
            assert_eq!(quoted(&text).is_none(), is_plain, "{text:?}");
        }
        assert_eq!(quoted("größe"), None);
        assert_eq!(quoted("").as_deref(), Some("\"\""));
    }
}
