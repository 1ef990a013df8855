use std::fmt::{self, Write};

use super::LogValue;

/// Appends the text of a value. The text ends where a `Display` returns an error.
pub(crate) fn push_value(text: &mut String, value: &LogValue<'_>) {
    match *value {
        LogValue::Str(value) | LogValue::Json(value) => text.push_str(value),
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
    text.push_str(std::str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

/// Appends a value to a line of text. It is quoted and escaped if it could otherwise be read as more than a
/// value.
#[cfg(feature = "tracing")]
pub(crate) fn push_text(line: &mut String, value: &LogValue<'_>) {
    match *value {
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
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    if !text.is_empty() && text.bytes().all(is_plain) {
        return None;
    }
    let quoted = format!("{text:?}");
    let is_plain = !text.is_empty() && quoted[1..quoted.len() - 1] == *text && !text.contains([' ', '=']);
    (!is_plain).then_some(quoted)
}
