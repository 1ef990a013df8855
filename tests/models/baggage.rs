//! Extracts arbitrary bytes as baggage. Extraction sets declared variables or nothing.

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
    let (number, text) = Context::new().run(|| {
        let ignored = baggage::extract_headers(&headers);
        assert!(ignored.iter().all(|error| !error.to_string().is_empty()));
        assert!(!UNDECLARED.is_set());
        assert_eq!(copy_context().len(), usize::from(NUMBER.is_set()) + usize::from(TEXT.is_set()));
        (NUMBER.try_get().ok(), TEXT.try_get().ok())
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
