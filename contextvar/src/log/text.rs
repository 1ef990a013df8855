use std::fmt;

use super::{LogValue, to_text};

/// A value in a line of text. It is quoted and escaped if it could otherwise be read as more than a value.
pub(crate) struct Text<'a>(pub(crate) &'a LogValue<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LogValue::Str(text) | LogValue::Json(text) => write_quoted(f, text),
            LogValue::Display(_) => write_quoted(f, &to_text(self.0)),
            number => number.fmt(f),
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return f.write_str(text);
    }
    let quoted = format!("{text:?}");
    let is_plain = !text.is_empty() && quoted[1..quoted.len() - 1] == *text && !text.contains([' ', '=']);
    f.write_str(if is_plain { text } else { &quoted })
}
