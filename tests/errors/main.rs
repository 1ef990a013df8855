//! The guide's page of errors has every message of the library, and the addresses in messages lead to their
//! entries.

mod page;
mod runtime;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use page::{PAGE, Page, repository};

/// Returns the files with one of these extensions in a folder of the repository, without build outputs.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    fn add(path: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                for entry in fs::read_dir(path).unwrap() {
                    add(&entry.unwrap().path(), extensions, files);
                }
            }
        } else if path.extension().is_some_and(|it| extensions.iter().any(|extension| it == *extension)) {
            files.push(path.to_owned());
        }
    }

    let mut files = Vec::new();
    add(&repository().join(folder), extensions, &mut files);
    files.sort();
    files
}

/// One compile error of a `.stderr` file.
struct CompileError {
    /// The text between `error:` and the place.
    message: String,
    /// The anchor in the address that the message or a note has.
    anchor: Option<String>,
}

fn compile_errors(text: &str) -> Vec<CompileError> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("error") {
            blocks.push(Vec::new());
        }
        blocks.last_mut().expect("the file begins with an error").push(line);
    }
    let error = |block: Vec<&str>| {
        let head: Vec<&str> =
            block.iter().copied().take_while(|line| !line.trim_start().starts_with("--> ")).collect();
        let head = head.join("\n");
        let (message, _) =
            head.split_once("\n").filter(|(_, rest)| rest.trim().starts_with("see ")).unwrap_or((&head, ""));
        let (_, message) = message.split_once(": ").expect("a message follows `error:`");
        let addresses: Vec<&str> =
            block.iter().filter_map(|line| line.split_once(PAGE)).map(|(_, anchor)| anchor).collect();
        assert!(addresses.len() <= 1, "{head}");
        CompileError {
            message: message.to_owned(),
            anchor: addresses.first().map(|anchor| (*anchor).to_owned()),
        }
    };
    blocks.into_iter().map(error).collect()
}

#[test]
fn every_compile_error_is_in_the_entry_that_it_names() {
    let page = Page::read();
    let (mut linked, mut unlinked) = (0, 0);
    for folder in ["tests/ui/fail", "tests/python/ui"] {
        for file in files(folder, &["stderr"]) {
            for CompileError { message, anchor } in compile_errors(&fs::read_to_string(&file).unwrap()) {
                let Some(anchor) = anchor else {
                    // Only rustc's own messages have no address.
                    let mut of_rustc = page.entries.iter().filter(|entry| entry.group == "refused-by-rustc");
                    assert!(of_rustc.any(|entry| entry.has(&message)), "{file:?}: {message}");
                    unlinked += 1;
                    continue;
                };
                let entry = page.entry(&anchor).unwrap_or_else(|| panic!("{file:?}: no entry `{anchor}`"));
                assert!(entry.has(&message), "{file:?}: `{anchor}` does not have this message: {message}");
                linked += 1;
            }
        }
    }
    // All files were found.
    assert!(linked >= 80 && unlinked >= 20, "{linked} {unlinked}");
}

/// Macros and messages name entries in several forms.
#[test]
fn every_address_leads_to_an_entry() {
    let page = Page::read();
    let mut count = 0;
    for folder in ["contextvar", "contextvar-macros", "docs", "examples", "tests", "README.md"] {
        for file in files(folder, &["rs", "md", "stderr", "py"]) {
            if file.starts_with(repository().join("tests/errors")) {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let forms =
                ["guide/errors#", "guide/errors/index.html#", "guide::errors#", "address!(\"", "Anchor(\""];
            let anchors = forms.iter().flat_map(|form| text.split(form).skip(1));
            for anchor in
                anchors.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap())
            {
                // The form itself, followed by a placeholder.
                if !anchor.is_empty() {
                    assert!(page.entry(anchor).is_some(), "{file:?}: no entry `{anchor}`");
                    count += 1;
                }
            }
            if file.ends_with("guide/errors.md") {
                for anchor in text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
                    assert!(page.entry(anchor).is_some(), "no entry `{anchor}`");
                }
            }
        }
    }
    assert!(count >= 150, "{count}");
}

/// An entry that no code names any more is out of date.
#[test]
fn every_entry_about_a_compile_error_is_named_by_code() {
    let sources: String = ["contextvar/src", "contextvar-macros/src"]
        .iter()
        .flat_map(|folder| files(folder, &["rs"]))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let groups = [
        "packages-and-features",
        "arguments-of-the-attributes",
        "on-a-static",
        "on-a-function",
        "on-a-layer",
    ];
    let page = Page::read();
    let named = page.entries.iter().filter(|entry| groups.contains(&&*entry.group));
    for entry in
        named.filter(|entry| !groups.contains(&&*entry.anchor) && !entry.anchor.starts_with("corrected"))
    {
        let anchor = &entry.anchor;
        let forms = [format!("Anchor(\"{anchor}\")"), format!("guide/errors#{anchor}\"")];
        assert!(forms.iter().any(|form| sources.contains(form)), "no code names the entry `{anchor}`");
    }
}
