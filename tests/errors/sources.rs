//! The string literals of both crates: each that reads like a message is on the page.

use std::collections::BTreeSet;
use std::fs;

use crate::files;
use crate::page::{Page, normalize};

/// Files of tests, and of code that only makes text for tests.
const TESTS: [&str; 3] = ["src/expansions.rs", "src/manifest.rs", "storage/own_counts.rs"];

/// Literals that are no messages: formats, and reasons why something can't happen.
const OTHERS: [&str; 24] = [
    " in tokio task {task}",
    " of the panic at {place}",
    "a closure is taken once, by a method that takes `self`",
    "a context is found once",
    "a layer of `Infallible` has none that reject",
    "a link calls the work once",
    "a method that takes `self` takes the closure once",
    "cannot access a Thread Local Storage value during or after destruction",
    "fewer than 2^32 contexts",
    "fewer than 2^32 threads",
    "it is set, so it rejected the entry",
    "more numbers than names",
    "no type implements `PythonValue`",
    "only called where it can't be reached",
    "only the last link is free",
    "page.html has a place for the script",
    "page.html has a place for the style",
    "places are added under the lock",
    "the caller has found an entry",
    "the header is before the value",
    "the keys are strings, and no `Serialize` fails",
    "the size of a node is small",
    "the type is too large",
    "`inspect` takes no space where it is off",
];

/// A string literal, and what is before it on its line.
struct Literal {
    text: String,
    before: String,
}

/// Returns the string literals of a source file up to its module of tests.
fn literals(source: &str) -> Vec<Literal> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut literals = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(length) = char_literal(rest) {
            rest = &rest[length..];
        } else if first == '"' {
            let end = end_of_string(&rest[1..]);
            let start = source.len() - rest.len();
            let line = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
            literals.push(Literal { text: unescape(&rest[1..=end]), before: source[line..start].to_owned() });
            rest = &rest[end + 2..];
        } else if rest.starts_with("r#\"") {
            rest = &rest[3 + rest[3..].find("\"#").expect("a raw string ends") + 2..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    literals
}

/// Returns the length of the char literal at the start.
fn char_literal(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let end = if inner.starts_with('\\') { 2 } else { inner.chars().next()?.len_utf8() };
    inner.get(end..)?.starts_with('\'').then_some(1 + end + 1)
}

/// Returns where the closing quote is.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let is_end = |c: char| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    };
    text.find(is_end).expect("a string ends")
}

fn unescape(text: &str) -> String {
    let mut unescaped = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => unescaped.push('\n'),
                Some(c) => unescaped.push(c),
                None => {}
            },
            c => unescaped.push(c),
        }
    }
    unescaped
}

/// Returns the parts of a format string between arguments that are not names between backticks.
fn parts(format: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_code = false;
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        is_code ^= c == '`';
        if c == '{' && !is_code {
            rest = &rest[rest.find('}').map_or(rest.len(), |end| end + 1)..];
            parts.push(String::new());
        } else {
            parts.last_mut().expect("never empty").push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    parts
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn every_message_in_the_sources_is_on_the_page() {
    let page = Page::read();
    let mut others = BTreeSet::from(OTHERS);
    let mut count = 0;
    let sources = ["contextvar/src", "contextvar-macros/src"].map(|folder| files(folder, &["rs"])).concat();
    for file in sources.into_iter().filter(|file| !TESTS.iter().any(|test| file.ends_with(test))) {
        for Literal { text, before } in literals(&fs::read_to_string(&file).unwrap()) {
            // Attributes, rustc's labels and notes, Python code, and a header of the live view.
            let is_other = ["reason = ", "must_use = ", "label = ", "note = ", " c", "(c"];
            let is_other =
                is_other.iter().any(|end| before.ends_with(end)) || text.starts_with("default-src ");
            if is_other || words(&text) < 4 {
                continue;
            }
            if OTHERS.contains(&&*text) {
                others.remove(&*text);
                continue;
            }
            for part in text.split("\nsee ").next().map(parts).unwrap_or_default() {
                let part = normalize(&part);
                let part = part.trim_matches([' ', ':', ',', ';', '.']);
                if words(part) >= 3 {
                    assert!(page.contains(part), "{file:?}: this message is not on the page: {text}\n{part}");
                    count += 1;
                }
            }
        }
    }
    assert!(others.is_empty(), "no source has {others:?}");
    assert!(count >= 100, "{count}");
}
