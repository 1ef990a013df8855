//! The manifest of the crate that is compiled.

use std::path::Path;
use std::{env, fs};

thread_local! {
    static NAMES_CONTEXTVAR: bool = env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|package| fs::read_to_string(Path::new(&package).join("Cargo.toml")).ok())
        .is_none_or(|manifest| has_contextvar(&manifest));
}

/// Returns whether the crate can depend on a crate named `contextvar`. False only if its manifest speaks against it.
pub(crate) fn names_contextvar() -> bool {
    // The tests of this crate expand code of other crates.
    cfg!(test) || NAMES_CONTEXTVAR.with(|names| *names)
}

/// Returns whether `contextvar` is a word of the manifest, as it is wherever a dependency has that name. A package that is
/// renamed, as by `cv = { package = "contextvar" }`, does not count.
fn has_contextvar(manifest: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "-_/".contains(c);
    manifest.lines().any(|line| {
        let line = line.replace([' ', '\t', '"', '\''], "").replace("package=contextvar", "");
        line.match_indices("contextvar")
            .any(|(at, word)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
    })
}

#[test]
fn dependencies_are_found_in_manifests() {
    for manifest in [
        "[dependencies]\ncontextvar = \"1\"",
        "[dependencies]\n\"contextvar\"={ version = \"1\" }",
        "[dependencies.contextvar]\nversion = \"1\"",
        "[target.'cfg(unix)'.dev-dependencies]\ncontextvar.workspace = true",
        "dependencies = { contextvar = \"1\" }",
        "[package]\nname = \"contextvar\"",
    ] {
        assert!(has_contextvar(manifest), "{manifest}");
    }
    for manifest in [
        "",
        "[dependencies]\nserde = \"1\"",
        "[dependencies]\ncv = { version = \"1\", package = \"contextvar\" }",
        "[dependencies.cv]\npackage='contextvar'",
        "[dependencies]\ncontextvar-macros = \"1\"\nmy_contextvar = { path = \"../contextvar\" }",
    ] {
        assert!(!has_contextvar(manifest), "{manifest}");
    }
}
