//! `ContextSnapshot`, and the hook that adds the variables to the messages of panics.

use std::fmt;
use std::process::Command;

use contextvar::{Context, ContextSnapshot, ContextVar};

static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
static TENANT: ContextVar<String> = ContextVar::new("tenant").log();
static SECRET: ContextVar<u64> = ContextVar::new("secret").log().secret();

fn acme() -> Context {
    let context = Context::new().with_value(&REQUEST_ID, 7).with_value(&TENANT, "ac\nme".to_owned());
    context.with_value(&SECRET, 8)
}

#[test]
fn a_snapshot_has_the_values_of_its_moment() {
    let snapshot = acme().run(|| {
        let snapshot = ContextSnapshot::capture();
        REQUEST_ID.set(8);
        snapshot
    });
    assert_eq!((snapshot.get("request_id"), snapshot.get("tenant")), (Some("7"), Some("ac\nme")));
    assert_eq!((snapshot.get("secret"), snapshot.iter().count()), (None, 2));
    let shown = snapshot.to_string();
    // The order is that of the first writes in the process.
    assert!(
        [r#"request_id=7 tenant="ac\nme""#, r#"tenant="ac\nme" request_id=7"#].contains(&&*shown),
        "{shown}"
    );
    let debug = format!("{snapshot:?}");
    assert!(debug.contains("request_id: 7") && debug.contains(r#"tenant: "ac\nme""#), "{debug}");
    assert_eq!(snapshot, snapshot.clone());
    assert_eq!(std::thread::spawn(move || snapshot.to_string()).join().unwrap(), shown);
}

#[test]
fn a_snapshot_of_nothing() {
    let snapshot = Context::new().run(ContextSnapshot::capture);
    assert!(snapshot.is_empty() && snapshot == ContextSnapshot::default());
    assert_eq!(
        (snapshot.to_string(), format!("{snapshot:?}")),
        ("no variables".into(), "ContextSnapshot".into())
    );
}

#[test]
fn a_panic_shows_the_variables_after_the_message_of_any_hook() {
    struct Panics;

    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in Display")
        }
    }

    static PANICS: ContextVar<Panics> = ContextVar::new("panics").log();

    const CHILD: &str = "CONTEXTVAR_TEST_PANIC_HOOK";
    let run_child = |hook: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_panic_shows_the_variables_after_the_message_of_any_hook", "--nocapture"]);
        let output = child.env(CHILD, hook).env("RUST_BACKTRACE", "0").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    match std::env::var(CHILD).as_deref() {
        Err(_) => {
            let text = run_child("default");
            let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
            let at = lines.iter().position(|line| *line == "on purpose").expect(&text);
            let is_context = |line: &str, values: &str| {
                let place = line.strip_prefix("context of the panic at ").unwrap_or_default();
                place.starts_with(file!()) && place.ends_with(&format!(": {values}"))
            };
            assert!(is_context(lines[at + 2], r#"request_id=7 tenant="ac\nme""#), "{text}");
            let at = lines.iter().position(|line| *line == "nothing to show").expect(&text);
            assert!(lines[at + 1].starts_with("thread '"), "{text}");
            let at = lines.iter().position(|line| *line == "in Display").expect(&text);
            assert!(is_context(lines[at + 1], "request_id=7"), "{text}");
            let text = run_child("own");
            let lines: Vec<_> = text.lines().collect();
            assert_eq!([lines[0], lines[2], lines[3]], ["own hook"; 3], "{text}");
            assert!(is_context(lines[1], r#"request_id=7 tenant="ac\nme""#), "{text}");
            assert!(is_context(lines[4], "request_id=7") && lines.len() == 5, "{text}");
        }
        Ok(hook) => {
            if hook == "own" {
                std::panic::set_hook(Box::new(|_| eprintln!("own hook")));
            }
            contextvar::set_panic_hook();
            REQUEST_ID.sync_scope(0, || ());
            let catch = |f: fn()| std::panic::catch_unwind(f).unwrap_err();
            catch(|| acme().run(|| panic!("on purpose")));
            catch(|| panic!("nothing to show"));
            catch(|| {
                Context::new().with_value(&REQUEST_ID, 7).with_value(&PANICS, Panics).run(|| {
                    drop(ContextSnapshot::capture());
                });
            });
        }
    }
}

#[test]
fn a_display_that_fails_ends_the_text() {
    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half").and(Err(fmt::Error))
        }
    }

    static FAILS: ContextVar<Fails> = ContextVar::new("fails").log();

    let snapshot = FAILS.sync_scope(Fails, ContextSnapshot::capture);
    assert_eq!(snapshot.to_string(), "fails=half");
}
