//! The pages' programs are the ones that are tested here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Checks that the programs on a page are those in a directory, and that none is longer than 30 lines.
fn assert_programs(page: &str, directory: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(package.join("../../contextvar/src/guide").join(page)).unwrap();
    let on_page: BTreeSet<_> =
        page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();

    let mut files = Vec::new();
    for entry in fs::read_dir(package.join(directory)).unwrap() {
        files.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let recipe =
        |file: &'static str| Some(file.split_once("\n// Recipe\n\n")?.1.split_once("\n// Test\n")?.0);
    let tested: BTreeSet<_> = files.leak().iter().filter_map(|file| recipe(file)).collect();

    if let Some(recipe) = on_page.symmetric_difference(&tested).next() {
        panic!("this program is on the page or tested, but not both:\n{recipe}");
    }
    for recipe in &tested {
        let lines = recipe.lines().count();
        assert!(lines <= 30, "{lines} lines:\n{recipe}");
    }
    assert!(!tested.is_empty());
}

#[test]
fn getting_started() {
    assert_programs("getting_started.md", "getting_started");
}

#[test]
fn recipes_for_servers() {
    assert_programs("recipes_for_servers.md", "servers");
}

#[test]
fn recipes_for_data_and_tasks() {
    assert_programs("recipes_for_data_and_tasks.md", "data");
}

#[test]
fn live_view() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(package.join("../../contextvar/src/guide/live_view.md")).unwrap();
    let file = fs::read_to_string(package.join("live_view.rs")).unwrap();
    let recipe = file.split_once("\n// Recipe\n\n").unwrap().1.split_once("\n// Test\n").unwrap().0;
    assert!(page.contains(&format!("```rust,no_run\n{recipe}```")), "the page does not have\n{recipe}");
    assert!(recipe.lines().count() <= 30);
}
