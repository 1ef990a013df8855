//! The page as one document.

use std::hash::{BuildHasher, RandomState};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("script.js"),
    include_str!("text.js"),
    include_str!("model.js"),
    include_str!("rows.js"),
    include_str!("details.js"),
    include_str!("requests.js"),
    include_str!("lost.js"),
    include_str!("timeline.js"),
);

/// Returns the document.
pub(super) fn document(nonce: &str) -> String {
    let template = TEMPLATE.replace("NONCE", nonce);
    // Split before anything is filled in, because the style or the script can contain a placeholder.
    let (head, rest) = template.split_once("/*STYLE*/").expect("page.html has a place for the style");
    let (middle, tail) = rest.split_once("/*SCRIPT*/").expect("page.html has a place for the script");
    [head, STYLE, middle, SCRIPT, tail].concat()
}

/// Returns the value of `Content-Security-Policy`.
pub(super) fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns 128 bits that no client can guess before the response is sent.
///
/// The keys of the hashers come from the system's random numbers, and a hash (SipHash) does not reveal its key.
/// That is enough for a second line of defense: the document has no outside text that could use a guess.
pub(super) fn nonce() -> String {
    let [high, low] = [RandomState::new(), RandomState::new()].map(|keys| keys.hash_one(()));
    format!("{high:016x}{low:016x}")
}
