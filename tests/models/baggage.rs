//! Extracts arbitrary bytes as baggage, and hands them on. Extraction sets declared variables, keeps undeclared
//! entries, or reports what it ignores.

use contextvar::{Context, baggage, context_var, copy_context};
use http::{HeaderMap, HeaderValue};

#[context_var(baggage = "fuzz.number")]
static NUMBER: u64;
#[context_var(baggage = "fuzz.text")]
static TEXT: String;
/// Is not declared with a baggage key.
#[context_var(name = "fuzz.secret")]
static UNDECLARED: String;

pub(crate) fn run(bytes: &[u8]) {
    // A zero byte separates headers.
    let mut headers = HeaderMap::new();
    for value in bytes.split(|byte| *byte == 0) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append("baggage", value);
        }
    }
    let (number, text, sent) = Context::new().run(|| {
        let ignored = baggage::extract_headers(&headers);
        assert!(ignored.iter().all(|error| !error.to_string().is_empty()));
        assert!(!UNDECLARED.is_set());
        let kept = copy_context().iter().any(|entry| entry.name() == "undeclared_baggage");
        let set = [NUMBER.is_set(), TEXT.is_set(), kept].map(usize::from);
        assert_eq!(copy_context().len(), set.iter().sum::<usize>());
        (NUMBER.try_get().ok(), TEXT.try_get().ok(), baggage::headers())
    });

    // What is handed on follows the specification, is read without errors, and is handed on unchanged.
    if let Some(sent) = sent.get("baggage") {
        let octet = |byte: &u8| (0x21..0x7f).contains(byte) && !b"\"\\".contains(byte);
        assert!(sent.as_bytes().iter().all(octet), "{sent:?}");
        assert!(sent.len() <= 8192 && sent.as_bytes().split(|byte| *byte == b',').count() <= 64);
    }
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&sent), []);
        assert_eq!(baggage::headers(), sent);
    });

    // Values that were extracted survive another round through headers, except white space at the ends of
    // text.
    let mut context = Context::new();
    number.into_iter().for_each(|number| context.set(&NUMBER, number));
    text.iter().for_each(|text| context.set(&TEXT, text.clone()));
    let sent = context.run(baggage::headers);
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&sent), []);
        assert_eq!(NUMBER.try_get().ok(), number);
        assert_eq!(TEXT.get_or(String::new()).trim(), text.unwrap_or_default().trim());
    });
}
