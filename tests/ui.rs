//! What must not compile, and what rustc says of it.

use std::process::Command;

/// The messages are rustc's in part, and change with it. These are of this version.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("cargo found rustc, so does this");
    if String::from_utf8_lossy(&version.stdout).starts_with(RUSTC) {
        cases.compile_fail("ui/fail/*.rs");
    } else {
        eprintln!("the messages of ui/fail are compared with {RUSTC}x only");
    }
}
