//! `for_each_log_field`: which variables are fields.

use std::fmt;

use contextvar::{Context, ContextVar, context_var, for_each_log_field, task};

use tracing::info;

use super::{REQUEST_ID, SHAPE, Shape, TENANT, logged};
use crate::support::on_both_flavors;

#[context_var]
static UNLOGGED: u64;

static BY_HAND: ContextVar<&str> = ContextVar::new("by_hand").log();
static SECRET: ContextVar<&str> = ContextVar::new("password").log().secret();

fn fields() -> String {
    let mut fields = Vec::new();
    for_each_log_field(|name, value| fields.push(format!("{name}={value}")));
    fields.sort();
    fields.join(" ")
}

#[test]
fn log_fields_are_the_marked_variables_that_are_set() {
    Context::new().run(|| {
        assert_eq!(fields(), "");
        REQUEST_ID.set(7);
        UNLOGGED.set(1);
        SECRET.set("sesame");
        assert_eq!(fields(), "request_id=7");
        BY_HAND.set("written");
        SHAPE.set(Shape { sides: 3 });
        TENANT.set("acme".to_owned());
        assert_eq!(fields(), "SHAPE=Shape { sides: 3 } TENANT=acme by_hand=written request_id=7");
        let token = REQUEST_ID.set(8);
        REQUEST_ID.reset(token);
        Context::new().run(|| assert_eq!(fields(), ""));
        assert!(fields().ends_with("request_id=7"));
    });
    on_both_flavors(|| async {
        TENANT.set("acme".to_owned());
        tokio::spawn(async { assert_eq!(fields(), "") }).await.unwrap();
        task::spawn(async { assert_eq!(fields(), "TENANT=acme") }).await.unwrap();
    });
}

#[test]
fn a_value_can_write_variables_while_being_formatted() {
    struct Shows;

    impl fmt::Display for Shows {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            SHOWN.set(Shows);
            TENANT.set("another".to_owned());
            assert_eq!(fields_but("SHOWN"), "TENANT=another");
            f.write_str("shown")
        }
    }

    #[context_var(log)]
    static SHOWN: Shows;

    fn fields_but(left_out: &str) -> String {
        let mut fields = Vec::new();
        for_each_log_field(|name, value| {
            if name != left_out {
                fields.push(format!("{name}={value}"));
            }
        });
        fields.join(" ")
    }

    Context::new().run(|| {
        SHOWN.set(Shows);
        TENANT.set("acme".to_owned());
        let mut seen = Vec::new();
        for_each_log_field(|name, value| seen.push(format!("{name}={value}")));
        seen.sort();
        assert_eq!(seen, ["SHOWN=shown", "TENANT=acme"]);
        assert_eq!(TENANT.get(), "another");
    });
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

#[context_var(log)]
static PANICS: Panics;

/// Fields are complete again after a panic while a value was being formatted.
#[test]
fn a_panic_in_display_hides_no_later_field() {
    Context::new().run(|| {
        PANICS.set(Panics);
        assert!(std::panic::catch_unwind(fields).is_err());
        assert!(std::panic::catch_unwind(fields).is_err());
    });
    Context::new().run(|| {
        REQUEST_ID.set(7);
        assert_eq!(fields(), "request_id=7");
    });
}

/// `tracing_subscriber::fmt` keeps what was written before a panic, and would begin the next line with it.
#[test]
fn a_panic_in_display_leaves_no_part_of_a_line() {
    let output = logged(|| {
        PANICS.sync_scope(Panics, || {
            let log = || info!("shows a variable that panics");
            assert!(std::panic::catch_unwind(log).is_err());
        });
        assert!(std::panic::catch_unwind(|| info!("its field panics: {Panics}")).is_err());
        info!("hello");
    });
    assert_eq!(output, " INFO it::logging::fields: hello\n");
}
