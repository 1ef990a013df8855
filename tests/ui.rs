//! What must not compile, and what rustc says of it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The messages are rustc's in part, and change with it. These are of this version.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("cargo found rustc, so does this");
    if String::from_utf8_lossy(&version.stdout).starts_with(RUSTC) {
        cases.compile_fail("ui/fail/*.rs");
    } else if env::var_os("TRYBUILD").is_some() {
        cases.compile_fail(without_messages().join("*.rs").to_str().expect("a path that is text"));
    } else {
        // So that trybuild writes the messages, beside the copies, and compares none.
        let this = env::current_exe().expect("a test has a path");
        assert!(Command::new(this).env("TRYBUILD", "overwrite").status().expect("it runs").success());
    }
}

/// The cases alone: with another rustc it is enough that they do not compile.
fn without_messages() -> &'static Path {
    let copies = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/ui"));
    let _ = fs::remove_dir_all(copies);
    fs::create_dir_all(copies).unwrap();
    for case in fs::read_dir("ui/fail").unwrap().map(|entry| entry.unwrap().path()) {
        if case.extension().is_some_and(|extension| extension == "rs") {
            fs::copy(&case, copies.join(case.file_name().unwrap())).unwrap();
        }
    }
    copies
}
