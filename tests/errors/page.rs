//! The guide's page of errors: its entries, their anchors and their messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where the addresses in messages begin.
pub(crate) const PAGE: &str = "https://docs.rs/contextvar/latest/contextvar/guide/errors#";

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The text below a heading, up to the next heading.
pub(crate) struct Entry {
    pub(crate) anchor: String,
    /// The anchor of the group or section around it.
    pub(crate) group: String,
    messages: Vec<Message>,
}

/// A message on the page. Messages are between double backticks.
struct Message {
    /// Normalized.
    text: String,
    /// True if the page leaves the rest out: the message ends with ` ..`.
    is_start: bool,
}

impl Entry {
    /// Returns true if the entry has this message.
    pub(crate) fn has(&self, message: &str) -> bool {
        let message = normalize(message);
        self.messages.iter().any(|it| match it.is_start {
            true => message.starts_with(&it.text),
            false => message == it.text,
        })
    }
}

pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
}

impl Page {
    pub(crate) fn read() -> Page {
        let text = fs::read_to_string(repository().join("contextvar/src/guide/errors.md")).unwrap();
        let mut entries: Vec<Entry> = Vec::new();
        let mut anchors = BTreeSet::new();
        let mut group = String::new();
        let mut is_code = false;
        let mut body = String::new();
        let finish = |entries: &mut Vec<Entry>, body: &mut String| {
            if let Some(entry) = entries.last_mut() {
                entry.messages = messages(body);
            }
            body.clear();
        };
        for line in text.lines() {
            if line.starts_with("```") {
                is_code = !is_code;
            } else if let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) {
                finish(&mut entries, &mut body);
                let level = 1 + heading.find(|c| c != '#').unwrap();
                let anchor = anchor(heading.trim_start_matches('#').trim());
                assert!(anchors.insert(anchor.clone()), "rustdoc numbers the second heading `{anchor}`");
                if level <= 3 {
                    group.clone_from(&anchor);
                }
                entries.push(Entry { anchor, group: group.clone(), messages: Vec::new() });
            } else if !is_code {
                body.push_str(line);
                body.push('\n');
            }
        }
        finish(&mut entries, &mut body);
        Page { entries }
    }

    pub(crate) fn entry(&self, anchor: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.anchor == anchor)
    }

    /// Asserts that the text is a message and the address of an entry that has this message, each on a line of
    /// its own.
    #[track_caller]
    pub(crate) fn assert_linked(&self, text: &str) {
        let (message, address) = text.rsplit_once("\nsee ").unwrap_or_else(|| panic!("no address: {text}"));
        let anchor = address.strip_prefix(PAGE).unwrap_or_else(|| panic!("another page: {text}"));
        let entry = self.entry(anchor).unwrap_or_else(|| panic!("`{anchor}` is not on the page: {text}"));
        assert!(entry.has(message), "the entry `{anchor}` does not have the message: {message}");
    }

    /// Asserts that an entry has this message.
    #[track_caller]
    pub(crate) fn assert_has(&self, message: &str) {
        assert!(self.entries.iter().any(|entry| entry.has(message)), "not on the page: {message}");
    }

    /// Returns true if a message on the page contains the text, which is normalized.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.entries.iter().flat_map(|entry| &entry.messages).any(|message| message.text.contains(text))
    }
}

/// Returns the id that rustdoc gives a heading.
fn anchor(heading: &str) -> String {
    let id = |c: char| match c {
        _ if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
        _ if c.is_ascii_whitespace() => Some('-'),
        _ => None,
    };
    heading.chars().filter_map(id).collect()
}

fn messages(text: &str) -> Vec<Message> {
    let spans = text.split("``").skip(1).step_by(2);
    let message = |span: &str| {
        let text = normalize(span);
        match text.strip_suffix("..").filter(|start| start.ends_with(' ')) {
            Some(start) => Message { text: start.trim_end().to_owned(), is_start: true },
            None => Message { text, is_start: false },
        }
    };
    spans.map(message).collect()
}

/// Replaces what depends on the program: names between backticks by `_`, numbers by `0`, and white space by one
/// space.
pub(crate) fn normalize(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut normal = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n > 0 {
            normal.push('`');
        }
        normal.push_str(&if n % 2 == 1 { normalize_code(part) } else { normalize_numbers(part) });
    }
    normal
}

/// Replaces each name, path, string and number by `_`, and drops the arguments of types.
fn normalize_code(code: &str) -> String {
    let mut normal = String::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            '{' => rest.find('}').map_or(rest.len(), |end| end + 1),
            _ if is_name(first) => {
                let mut length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                while let Some(next) =
                    rest[length..].strip_prefix("::").filter(|next| next.starts_with(is_name))
                {
                    length = rest.len() - next.len() + next.find(|c| !is_name(c)).unwrap_or(next.len());
                }
                length
            }
            _ => {
                normal.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        normal.push('_');
        rest = &rest[length..];
    }
    while let Some(start) = normal.find("_<_>") {
        normal.replace_range(start..start + 4, "_");
    }
    normal
}

fn normalize_numbers(text: &str) -> String {
    let mut normal = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            normal.push(c);
        } else if !normal.ends_with('0') {
            normal.push('0');
        }
    }
    normal
}

#[test]
fn messages_that_differ_in_names_are_the_same() {
    for (one, other) in [
        (
            "unknown argument `title`: takes `name = \"..\"`",
            "unknown argument `nmae`: takes `name = \"user\"`",
        ),
        ("`Rc<str>` is not `Send + 'static`", "`Vec<Cell<u8>>` is not `Send +\n'static`"),
        ("`{ident}` in tokio task {task}", "`config::USER` in tokio task {task}"),
        ("in tokio task 3, `USER`", "in tokio task 17, `ADMIN`"),
    ] {
        assert_eq!(normalize(one), normalize(other));
    }
    for (one, other) in [
        ("`secret` is never logged", "`secret` is never shown"),
        ("`VAR = value` entries, `future`", "`VAR = value` entries, `future`, `skip`"),
        ("takes `true` or `false`", "takes true or `false`"),
    ] {
        assert_ne!(normalize(one), normalize(other));
    }
}
