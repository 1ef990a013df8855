//! The manifest of the crate that is compiled.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;
use std::{env, fs};

thread_local! {
    /// The answer for the package that was last asked about. An editor expands those of many packages on one thread.
    static LAST: RefCell<Option<(OsString, bool)>> = const { RefCell::new(None) };
}

/// Returns whether the crate can depend on a crate named `contextvar`. False only if its manifest, and what it says of `extern crate`,
/// speak against it.
pub(crate) fn names_contextvar() -> bool {
    let package = env::var_os("CARGO_MANIFEST_DIR");
    // The tests of this crate expand code of other crates.
    let Some(package) = package.filter(|_| !cfg!(test)) else { return true };
    LAST.with_borrow_mut(|last| match last {
        Some((of, names)) if *of == package => *names,
        _ => {
            let names = package_names_contextvar(Path::new(&package));
            *last = Some((package, names));
            names
        }
    })
}

fn package_names_contextvar(package: &Path) -> bool {
    let Ok(manifest) = fs::read_to_string(package.join("Cargo.toml")) else { return true };
    let root_names_it = |root: &str| {
        fs::read_to_string(package.join(root)).is_ok_and(|source| source.contains("as contextvar"))
    };
    has_contextvar(&manifest) || root_names_it("src/lib.rs") || root_names_it("src/main.rs")
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
