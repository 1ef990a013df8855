//! The form in which a value of each type is shown.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use contextvar::{Context, ContextVar, LogValue, context_var, for_each_log_field};
use serde::Serialize;
use serde_json::json;

use super::{logged, logged_as_json};

/// Returns the only field that is shown, as text that names its form.
fn shown() -> Option<String> {
    let mut shown = None;
    for_each_log_field(|_, value| {
        let form = match value {
            LogValue::Bool(value) => format!("bool {value}"),
            LogValue::I64(value) => format!("i64 {value}"),
            LogValue::U64(value) => format!("u64 {value}"),
            LogValue::I128(value) => format!("i128 {value}"),
            LogValue::U128(value) => format!("u128 {value}"),
            LogValue::F32(value) => format!("f32 {value}"),
            LogValue::F64(value) => format!("f64 {value}"),
            LogValue::Str(value) => format!("str {value}"),
            LogValue::Json(value) => format!("json {value}"),
            LogValue::Display(value) => format!("display {value}"),
            other => panic!("a new form: {other}"),
        };
        assert_eq!(shown.replace(form), None, "only one variable is set");
    });
    shown
}

#[derive(Clone, Debug, Serialize)]
struct User {
    id: u64,
    name: String,
    email: Option<String>,
}

impl User {
    fn name(&self) -> &str {
        &self.name
    }
}

fn ada() -> User {
    User { id: 7, name: "ada".to_owned(), email: None }
}

#[derive(Debug)]
struct Plain(#[expect(dead_code, reason = "only formatted")] u8);

#[derive(Debug)]
struct Shouted(&'static str);

impl fmt::Display for Shouted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_uppercase())
    }
}

/// Declares a variable with the attribute's arguments, sets it, and asserts in which form it is shown.
macro_rules! assert_shown {
    ($(#[context_var($($args:tt)*)] $ty:ty = $value:expr => $form:expr;)*) => {
        $({
            #[context_var($($args)*)]
            static VAR: $ty;

            let form: Option<&str> = $form;
            let shown = Context::new().run(|| {
                VAR.set($value);
                shown()
            });
            assert_eq!(shown.as_deref(), form, "{}", stringify!($ty));
        })*
    };
}

#[test]
fn values_keep_their_types() {
    assert_shown! {
        #[context_var(log)] u8 = 7 => Some("u64 7");
        #[context_var(log)] u64 = u64::MAX => Some("u64 18446744073709551615");
        #[context_var(log)] usize = 7 => Some("u64 7");
        #[context_var(log)] i16 = -7 => Some("i64 -7");
        #[context_var(log)] i64 = i64::MIN => Some("i64 -9223372036854775808");
        #[context_var(log)] u128 = u128::MAX => Some("u128 340282366920938463463374607431768211455");
        #[context_var(log)] i128 = -1 => Some("i128 -1");
        #[context_var(log)] NonZero<u32> = NonZero::new(7).unwrap() => Some("u64 7");
        #[context_var(log)] bool = true => Some("bool true");
        #[context_var(log)] f32 = 0.1 => Some("f32 0.1");
        #[context_var(log)] f64 = 0.1 => Some("f64 0.1");
        #[context_var(log)] char = 'x' => Some("display x");
        #[context_var(log)] &str = "x" => Some("str x");
        #[context_var(log)] String = "x".to_owned() => Some("str x");
        #[context_var(log)] Arc<str> = "x".into() => Some("str x");
        #[context_var(log)] Box<str> = "x".into() => Some("str x");
        #[context_var(log)] Cow<'static, str> = "x".into() => Some("str x");
        #[context_var(log)] Shouted = Shouted("x") => Some("display X");
        #[context_var(log)] Plain = Plain(7) => Some("display Plain(7)");
        #[context_var(log)] Vec<u8> = vec![7] => Some("display [7]");
    }
}

#[test]
fn an_option_is_shown_as_its_value() {
    assert_shown! {
        #[context_var(log)] Option<u64> = Some(7) => Some("u64 7");
        #[context_var(log)] Option<u64> = None => None;
        #[context_var(log)] Option<String> = Some("x".to_owned()) => Some("str x");
        #[context_var(log)] Option<&'static str> = Some("x") => Some("str x");
        #[context_var(log)] Option<bool> = Some(false) => Some("bool false");
        #[context_var(log)] Option<Shouted> = Some(Shouted("x")) => Some("display X");
        #[context_var(log)] Option<Plain> = Some(Plain(7)) => Some("display Plain(7)");
        #[context_var(log)] Option<Plain> = None => None;
    }
}

#[test]
fn a_part_of_a_value_is_shown() {
    assert_shown! {
        #[context_var(log = |user| &user.name)] User = ada() => Some("str ada");
        #[context_var(log = |user| user.id)] User = ada() => Some("u64 7");
        #[context_var(log = |user| &user.id)] User = ada() => Some("u64 7");
        #[context_var(log = |user: &User| user.name.as_str())] User = ada() => Some("str ada");
        #[context_var(log = User::name)] User = ada() => Some("str ada");
        #[context_var(log = |user| format!("{}!", user.name))] User = ada() => Some("str ada!");
        #[context_var(log = |user| &user.email)] User = ada() => None;
        #[context_var(log = |user| user.email.as_deref())] User = ada() => None;
        #[context_var(log = |user| user.email.clone())] User = ada() => None;
        #[context_var(log = |user| user.name.chars().next())] User = ada() => Some("display a");
        #[context_var(log = |user| Some(&user.id))] User = ada() => Some("u64 7");
        #[context_var(log = |user| user.as_ref().map(|user| &*user.name))] Option<User> = Some(ada()) => Some("str ada");
        #[context_var(log = |user| user.as_ref().map(|user| &*user.name))] Option<User> = None => None;
        #[context_var(log = |user| Plain(user.id as u8))] User = ada() => Some("display Plain(7)");
        #[context_var(log = |name| name.len())] String = "ada".to_owned() => Some("u64 3");
        #[context_var(log = |names| &names[..])] Vec<&'static str> = vec!["a"] => Some("display [\"a\"]");
    }
}

#[test]
fn a_value_is_shown_as_json() {
    assert_shown! {
        #[context_var(log = serde)] User = ada() => Some(r#"json {"id":7,"name":"ada","email":null}"#);
        #[context_var(log = serde)] Option<User> = None => None;
        #[context_var(log = serde)] Option<u64> = Some(7) => Some("json 7");
        #[context_var(log = serde)] Vec<u8> = vec![7, 8] => Some("json [7,8]");
    }
}

#[test]
fn a_value_that_cannot_be_json_is_shown_as_its_error() {
    struct Fails;

    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it has a \"quote\""))
        }
    }

    assert_shown! {
        #[context_var(log = serde)] Fails = Fails => Some(r#"json "it has a \"quote\"""#);
    }
}

#[test]
fn variables_without_the_attribute_have_types_too() {
    static NUMBER: ContextVar<u64> = ContextVar::new("number").log();
    static TEXT: ContextVar<Arc<str>> = ContextVar::new("text").log();
    static SHOUTED: ContextVar<Shouted> = ContextVar::new("shouted").log();

    assert_eq!(NUMBER.sync_scope(7, shown).as_deref(), Some("u64 7"));
    assert_eq!(TEXT.sync_scope("x".into(), shown).as_deref(), Some("str x"));
    assert_eq!(SHOUTED.sync_scope(Shouted("x"), shown).as_deref(), Some("display X"));
}

#[test]
fn a_secret_part_is_never_called() {
    static SECRET: ContextVar<u64> = ContextVar::new("secret").log().secret();

    assert_eq!(SECRET.sync_scope(7, shown), None);
}

/// Text is quoted where it needs quotes, whatever its type.
#[test]
fn text_lines_show_numbers_and_displays() {
    macro_rules! assert_line {
        ($($ty:ty = $value:expr => $text:expr;)*) => {
            $({
                #[context_var(log, name = "value")]
                static VALUE: $ty;

                let line = logged(|| VALUE.sync_scope($value, || tracing::info!("hello")));
                assert_eq!(line, format!(" INFO it::logging::types: hello value={}\n", $text));
            })*
        };
    }

    assert_line! {
        u64 = 0 => "0";
        u64 = 10 => "10";
        u64 = u64::MAX => "18446744073709551615";
        i64 = -1 => "-1";
        i64 = i64::MIN => "-9223372036854775808";
        i128 = i128::MIN => "-170141183460469231731687303715884105728";
        f64 = 0.5 => "0.5";
        bool = true => "true";
        Shouted = Shouted("x") => "X";
        Shouted = Shouted("x y") => "\"X Y\"";
        Shouted = Shouted("") => "\"\"";
        Shouted = Shouted("größe") => "GRÖSSE";
        Plain = Plain(7) => "Plain(7)";
    }
}

#[test]
fn json_lines_have_types() {
    #[context_var(log, name = "json.number")]
    static NUMBER: i32;
    #[context_var(log, name = "json.big")]
    static BIG: u64;
    #[context_var(log, name = "json.float")]
    static FLOAT: f64;
    #[context_var(log, name = "json.no_number")]
    static NO_NUMBER: f32;
    #[context_var(log, name = "json.flag")]
    static FLAG: bool;
    #[context_var(log, name = "json.absent")]
    static ABSENT: Option<u8>;
    #[context_var(log = serde, name = "json.user")]
    static USER: User;
    #[context_var(log, name = "json.\"quoted\"")]
    static QUOTED: Shouted;

    let lines = logged_as_json(|| {
        Context::new().run(|| {
            NUMBER.set(-7);
            BIG.set(u64::MAX);
            FLOAT.set(1e300);
            NO_NUMBER.set(f32::NAN);
            FLAG.set(true);
            ABSENT.set(None);
            USER.set(ada());
            QUOTED.set(Shouted("\"\n\\\u{7f}é"));
            tracing::info!("hello");
        });
    });
    assert_eq!(
        lines[0]["fields"],
        json!({
            "message": "hello",
            "json.number": -7,
            "json.big": u64::MAX,
            "json.float": 1e300,
            "json.no_number": "NaN",
            "json.flag": true,
            "json.user": {"id": 7, "name": "ada", "email": null},
            "json.\"quoted\"": "\"\n\\\u{7f}É",
        })
    );
}

/// Its `Serialize` writes JSON that has line breaks.
#[test]
fn json_with_line_breaks_stays_on_one_line() {
    #[context_var(log = serde, name = "raw_json")]
    static RAW: Box<serde_json::value::RawValue>;

    let lines = logged_as_json(|| {
        let raw = serde_json::value::RawValue::from_string("{\n \"a\":\r\n\"\\n\"}".to_owned()).unwrap();
        RAW.sync_scope(raw, || tracing::info!("hello"));
    });
    assert_eq!(lines[0]["fields"]["raw_json"], json!({"a": "\n"}));
}
