//! The page's recipes are the ones that are tested here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_page_has_the_tested_recipes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(directory.join("../../contextvar/src/guide/logs.md")).unwrap();
    let on_page: BTreeSet<_> = page.split("```rust\n").skip(1).map(|rest| rest.split("```").next()).collect();

    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        files.extend(fs::read_to_string(entry.unwrap().path()));
    }
    let recipe =
        |file: &'static str| Some(file.split_once("\n// Recipe\n\n")?.1.split_once("\n// Test\n")?.0);
    let tested: BTreeSet<_> = files.leak().iter().map(|file| recipe(file)).filter(Option::is_some).collect();

    if let Some(recipe) = on_page.symmetric_difference(&tested).next() {
        panic!("this recipe is on the page or tested, but not both:\n{}", recipe.unwrap());
    }
    assert!(tested.len() >= 13, "{}", tested.len());
}
