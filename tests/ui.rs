//! Programs that must not compile, and the messages that rustc and the macros show for them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Some of the messages are rustc's and change from version to version. The `.stderr` files are from this
/// one.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("cargo has run this rustc");
    if String::from_utf8_lossy(&version.stdout).starts_with(RUSTC) {
        cases.compile_fail("ui/fail/*/*.rs");
    } else if env::var_os("TRYBUILD").is_some() {
        cases.compile_fail(copy_without_messages().join("*/*.rs").to_str().expect("the path is UTF-8"));
    } else {
        // trybuild then writes the messages next to copies of the programs instead of comparing them.
        let this = env::current_exe().expect("a running test has a path");
        let status = Command::new(this).env("TRYBUILD", "overwrite").status();
        assert!(status.expect("the test binary starts").success());
    }
}

/// Copies the programs without their `.stderr` files. With another rustc it is enough that they do not
/// compile.
fn copy_without_messages() -> &'static Path {
    let copies = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/ui"));
    let _ = fs::remove_dir_all(copies);
    for folder in fs::read_dir("ui/fail").unwrap().map(|entry| entry.unwrap().path()) {
        let folder_copy = copies.join(folder.file_name().unwrap());
        fs::create_dir_all(&folder_copy).unwrap();
        for case in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if case.extension().is_some_and(|extension| extension == "rs") {
                fs::copy(&case, folder_copy.join(case.file_name().unwrap())).unwrap();
            }
        }
    }
    copies
}
