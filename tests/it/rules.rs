//! The page of rules.

use std::fs;
use std::path::Path;

#[test]
fn every_rule_of_the_page_has_its_tests() {
    fn read(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *text += &fs::read_to_string(path).unwrap();
            }
        }
    }

    let mut tests = String::new();
    for directory in ["core", "it"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut tests);
    }
    let page = include_str!("../../docs/rules.md");
    let rules: Vec<&str> = page.lines().filter(|line| line.starts_with('|') && line.contains('`')).collect();
    assert_eq!(rules.len(), 16);
    for rule in rules {
        let cell =
            rule.replace("\\|", "/").trim_end_matches(" |").rsplit('|').next().unwrap().trim().to_owned();
        for name in cell.split(", ").map(|name| name.trim_matches('`')) {
            assert!(
                tests.contains(&format!("#[test]\nfn {name}() {{")),
                "no test `{name}` of the rule: {rule}"
            );
        }
    }
}

#[test]
fn what_can_not_be_written_is_refused() {
    let page = include_str!("../../docs/cpython.md");
    let (_, table) = page.split_once("## What can't be written here").unwrap();
    let files: Vec<&str> = table
        .lines()
        .filter(|line| line.ends_with("` |"))
        .map(|line| line.trim_end_matches("` |").rsplit('`').next().unwrap())
        .collect();
    assert_eq!(files.len(), 7);
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/fail/api").join(file).with_extension("rs");
        assert!(path.exists(), "{path:?}");
    }
}
