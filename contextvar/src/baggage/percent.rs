//! The percent-encoding of values.

use std::borrow::Cow;

/// Percent-encodes a value of any text.
pub(super) fn push_encoded(header: &mut String, text: &str) {
    // All bytes that the specification allows, except three: `%` starts an encoded byte, OpenTelemetry for
    // Rust ends a value at its second `=`, and OpenTelemetry for Python reads a `+` as a space.
    const KEPT: [bool; 256] = bytes(b"\",;\\%=+");
    push(header, text, &KEPT);
}

/// Copies a value that is percent-encoded. Encodes the bytes that a value cannot have: some senders leave
/// spaces, quotes and backslashes as they are.
pub(super) fn push_octets(header: &mut String, text: &str) {
    const KEPT: [bool; 256] = bytes(b"\",;\\");
    push(header, text, &KEPT);
}

/// Returns the set of the visible ASCII characters without some.
const fn bytes(without: &[u8]) -> [bool; 256] {
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

    let mut copied = 0;
    for (index, byte) in text.bytes().enumerate().filter(|&(_, byte)| !kept[usize::from(byte)]) {
        // Bytes that are kept are ASCII. Those that are not can be inside a character.
        if copied < index {
            header.push_str(&text[copied..index]);
        }
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        header.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        copied = index + 1;
    }
    header.push_str(&text[copied..]);
}

/// Decodes percent-encoded text.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some((start, encoded)) = text.split_once('%') else { return Ok(Cow::Borrowed(text)) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(start.as_bytes());
    for part in encoded.split('%') {
        let digit = |index: usize| char::from(*part.as_bytes().get(index)?).to_digit(16);
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("it has a `%` without two hexadecimal digits");
        };
        decoded.push((high * 16 + low) as u8);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| "its decoded text is not UTF-8")
}
