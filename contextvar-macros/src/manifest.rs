//! The manifest of the crate being compiled.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;
use std::{env, fs};

thread_local! {
    /// The result for the last package. An editor expands macros of many packages on one thread.
    static LAST: RefCell<Option<(OsString, bool)>> = const { RefCell::new(None) };
}

/// Returns whether the crate being compiled may know a crate by the name `contextvar`. Returns false only if
/// the manifest can be read, does not name it, and no `extern crate .. as contextvar` in a root file does
/// either.
pub(crate) fn may_name_contextvar() -> bool {
    let package = env::var_os("CARGO_MANIFEST_DIR");
    // The unit tests of this crate expand code that belongs to other crates.
    let Some(package) = package.filter(|_| !cfg!(test)) else { return true };
    LAST.with_borrow_mut(|last| match last {
        Some((last_package, result)) if *last_package == package => *result,
        _ => {
            let result = package_may_name_contextvar(Path::new(&package));
            *last = Some((package, result));
            result
        }
    })
}

fn package_may_name_contextvar(package: &Path) -> bool {
    let Ok(manifest) = fs::read_to_string(package.join("Cargo.toml")) else { return true };
    let is_renamed_in = |root: &str| {
        fs::read_to_string(package.join(root)).is_ok_and(|source| source.contains("as contextvar"))
    };
    manifest_names_contextvar(&manifest) || is_renamed_in("src/lib.rs") || is_renamed_in("src/main.rs")
}

/// Returns whether `contextvar` is a word of the manifest, as it is in every dependency of that name. The
/// package name in a renamed dependency, as in `cv = { package = "contextvar" }`, does not count.
fn manifest_names_contextvar(manifest: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "-_/".contains(c);
    manifest.lines().any(|line| {
        let line = line.replace([' ', '\t', '"', '\''], "").replace("package=contextvar", "");
        line.match_indices("contextvar")
            .any(|(at, word)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
    })
}

#[test]
fn manifest_names_a_dependency_but_not_a_renamed_package() {
    for manifest in [
        "[dependencies]\ncontextvar = \"1\"",
        "[dependencies]\n\"contextvar\"={ version = \"1\" }",
        "[dependencies.contextvar]\nversion = \"1\"",
        "[target.'cfg(unix)'.dev-dependencies]\ncontextvar.workspace = true",
        "dependencies = { contextvar = \"1\" }",
        "[package]\nname = \"contextvar\"",
    ] {
        assert!(manifest_names_contextvar(manifest), "{manifest}");
    }
    for manifest in [
        "",
        "[dependencies]\nserde = \"1\"",
        "[dependencies]\ncv = { version = \"1\", package = \"contextvar\" }",
        "[dependencies.cv]\npackage='contextvar'",
        "[dependencies]\ncontextvar-macros = \"1\"\nmy_contextvar = { path = \"../contextvar\" }",
    ] {
        assert!(!manifest_names_contextvar(manifest), "{manifest}");
    }
}
