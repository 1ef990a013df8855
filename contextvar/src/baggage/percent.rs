//! The percent-encoding of values.

use std::borrow::Cow;

/// All bytes that the specification allows in a value, except three: `%` starts an encoded byte,
/// OpenTelemetry for Rust ends a value at its second `=`, and OpenTelemetry for Python reads a `+` as a space.
const KEPT: [bool; 256] = visible_except(b"\",;\\%=+");

/// Returns true if [`push_encoded`] copies the text as it is.
pub(super) fn is_kept(text: &str) -> bool {
    text.bytes().all(|byte| KEPT[usize::from(byte)])
}

/// Percent-encodes a value of any text.
pub(super) fn push_encoded(header: &mut String, text: &str) {
    push(header, text, &KEPT);
}

/// Copies a value that is percent-encoded. Encodes the bytes that a value cannot have: some senders leave
/// spaces, quotes and backslashes as they are.
pub(super) fn push_octets(header: &mut String, text: &str) {
    const KEPT: [bool; 256] = visible_except(b"\",;\\");
    push(header, text, &KEPT);
}

/// Returns the set of the visible ASCII characters without some.
pub(super) const fn visible_except(without: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        set[byte as usize] = true;
        byte += 1;
    }
    let mut index = 0;
    while index < without.len() {
        set[without[index] as usize] = false;
        index += 1;
    }
    set
}

fn push(header: &mut String, text: &str, kept: &[bool; 256]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

    let mut rest = text;
    loop {
        let end = rest.bytes().position(|byte| !kept[usize::from(byte)]).unwrap_or(rest.len());
        header.push_str(&rest[..end]);
        rest = &rest[end..];
        let Some(encoded) = rest.chars().next() else { return };
        let (encoded, after) = rest.split_at(encoded.len_utf8());
        for byte in encoded.bytes() {
            let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
            header.push('%');
            header.push(digit(byte >> 4));
            header.push(digit(byte & 15));
        }
        rest = after;
    }
}

/// Decodes percent-encoded text.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);

    if text.bytes().all(|byte| byte != b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err("it has a `%` without two hexadecimal digits"),
            },
            _ => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| "its decoded text is not UTF-8")
}
