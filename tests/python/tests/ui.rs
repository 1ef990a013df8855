//! Programs that must not compile, and the messages for them.

/// Some of the messages are rustc's and change from version to version. The `.stderr` files are from this one.
const RUSTC: &str = "rustc 1.95.";

#[test]
fn ui() {
    let version = std::process::Command::new("rustc").arg("--version").output().expect("cargo has run it");
    if String::from_utf8_lossy(&version.stdout).starts_with(RUSTC) {
        trybuild::TestCases::new().compile_fail("ui/*.rs");
    }
}
