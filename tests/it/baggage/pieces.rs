//! Values whose `Display` writes several pieces.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use contextvar::{Context, baggage, context_var};

/// The pieces are separated by bars, which are not part of the text.
struct Pieces(&'static str);

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split('|').try_for_each(|piece| f.write_str(piece))
    }
}

impl FromStr for Pieces {
    type Err = Infallible;

    fn from_str(_: &str) -> Result<Self, Infallible> {
        Ok(Pieces("received"))
    }
}

#[context_var(baggage = "pieces")]
static PIECES: Pieces;

#[test]
fn whitespace_at_the_ends_of_the_whole_text_is_left_out() {
    let cases = [
        ("a|b", "ab"),
        ("a| |b", "a%20b"),
        ("a || b", "a%20%20b"),
        ("a| |", "a"),
        ("a |||", "a"),
        (" || |a", "a"),
        ("|a", "a"),
        (" | |", ""),
        ("", ""),
        ("ö|\u{a0}|,| ", "%C3%B6%C2%A0%2C"),
        ("a|=|\u{a0}", "a%3D"),
    ];
    for (text, expected) in cases {
        let sent = Context::new().with_value(&PIECES, Pieces(text)).run(baggage::headers);
        assert_eq!(sent["baggage"], format!("pieces={expected}"), "{text}");
    }
}

#[test]
fn an_error_of_display_panics() {
    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    impl FromStr for Fails {
        type Err = Infallible;

        fn from_str(_: &str) -> Result<Self, Infallible> {
            Ok(Fails)
        }
    }

    #[context_var(baggage = "pieces.fails")]
    static FAILS: Fails;

    let context = Context::new().with_value(&FAILS, Fails);
    for send in [|| drop(baggage::headers()), || drop(baggage::store(&contextvar::copy_context()))] {
        let panic = std::panic::catch_unwind(|| context.clone().run(send)).unwrap_err();
        let text = panic.downcast::<String>().unwrap();
        assert!(text.starts_with("a `Display` implementation returned an error unexpectedly"), "{text}");
    }
}
