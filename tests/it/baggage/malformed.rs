//! Incoming headers that do not follow the specification.

use axum::http::{HeaderMap, HeaderValue};
use contextvar::baggage::{self, BaggageError};
use contextvar::{Context, context_var};

use super::{entries, keeps_entries};

#[context_var(baggage = "bad.id")]
static BAD_ID: u64;

fn incoming(baggage: &[u8]) -> HeaderMap {
    HeaderMap::from_iter([("baggage".parse().unwrap(), HeaderValue::from_bytes(baggage).unwrap())])
}

fn texts(errors: &[BaggageError]) -> Vec<String> {
    errors
        .iter()
        .map(|error| error.to_string().replace("baggage entry ", "").replace(" was ignored", ""))
        .collect()
}

#[test]
fn a_malformed_entry_is_lost_alone_and_reported() {
    let cases: &[(&[u8], &str)] = &[
        (b"a=\xff", "`a`: it has a byte that is not printable ASCII"),
        ("a=größe".as_bytes(), "`a`: it has a byte that is not printable ASCII"),
        ("a=1;ü".as_bytes(), "`a`: it has a byte that is not printable ASCII"),
        ("größe".as_bytes(), r"`gr\xc3\xb6\xc3\x9fe`: it has a byte that is not printable ASCII"),
        ("bad.id=größe".as_bytes(), "`bad.id`: it has a byte that is not printable ASCII"),
        (b"a", "`a`: it has no `=`"),
        (b"a;b=c", "`a`: it has no `=`"),
        (b";", "``: it has no `=`"),
        (b"=1", "``: its key is not valid"),
        (b"a b=1", "`a b`: its key is not valid"),
        (b"a\tb=1", r"`a\tb`: its key is not valid"),
        (b"\"a\"=1", r#"`\"a\"`: its key is not valid"#),
        (b"a@b=1", "`a@b`: its key is not valid"),
        (b"a%2Cb=1", "`a%2Cb`: its key is not valid"),
        (b"a%=1", "`a%`: it has a `%` without two hexadecimal digits"),
        (b"a=100%", "`a`: it has a `%` without two hexadecimal digits"),
        (b"a=%4", "`a`: it has a `%` without two hexadecimal digits"),
        (b"a=%+4", "`a`: it has a `%` without two hexadecimal digits"),
        (b"a=%%41", "`a`: it has a `%` without two hexadecimal digits"),
        (b"bad.id=%g1", "`bad.id`: it has a `%` without two hexadecimal digits"),
        (b"a=%FF", "`a`: its decoded text is not UTF-8"),
        (b"a=%C3%2", "`a`: it has a `%` without two hexadecimal digits"),
        (b"a=%ED%A0%80", "`a`: its decoded text is not UTF-8"),
        (b"a=1;p q", "`a`: a property of it is malformed"),
        (b"a=1;=q", "`a`: a property of it is malformed"),
        (b"a=1;p=%", "`a`: a property of it is malformed"),
    ];
    for &(entry, text) in cases {
        let header = [b"x=1,", entry, b",bad.id=7,y=2"].concat();
        Context::new().run(|| {
            let errors = baggage::extract_headers(&incoming(&header));
            assert_eq!(texts(&errors), [text], "{}", header.escape_ascii());
            assert_eq!(BAD_ID.get(), 7);
            assert_eq!(entries(&baggage::headers()), ["bad.id=7", "x=1", "y=2"]);
        });
    }
}

/// Most entries are read in one pass, and those with whitespace around them in several.
#[test]
fn an_entry_is_read_the_same_with_whitespace_around_it() {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    let read = |header: &[u8]| {
        Context::new().run(|| {
            let errors = texts(&baggage::extract_headers(&incoming(header)));
            (errors, entries(&baggage::headers()))
        })
    };
    for byte in (b' '..=0xff).filter(|&byte| byte != 0x7f).chain([b'\t']) {
        let key = [b"k", &[byte][..], b"k=1"].concat();
        let value = [b"v=1", &[byte][..], b"2"].concat();
        for entry in [&key[..], &value, &[byte], &[byte, b'=', byte]] {
            let spaced = [b" \t", entry, b" "].concat();
            assert_eq!(read(entry), read(&spaced), "{}", entry.escape_ascii());
            // Its neighbors change nothing.
            let before = [entry, b",x=y"].concat();
            let after = [b"x=y,", entry].concat();
            assert_eq!(read(&before), read(&after), "{}", entry.escape_ascii());
        }
        let is_valid = token(byte) || byte == b'=';
        assert_eq!(read(&key).0.is_empty(), is_valid, "{}", key.escape_ascii());
    }
}

#[test]
fn properties_of_declared_entries_are_ignored() {
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&incoming(b"bad.id=7;;p q;=;%zz;\"")), []);
        assert_eq!(BAD_ID.get(), 7);
    });
}

#[test]
fn an_error_cuts_keys_and_escapes_text_that_is_none() {
    let errors = |header: &[u8]| Context::new().run(|| baggage::extract_headers(&incoming(header)));
    assert_eq!(errors(&[b'@'; 100])[0].key(), format!("{}..", "@".repeat(64)));
    assert_eq!(errors(&[0xff; 100])[0].key(), format!("{}..", r"\xff".repeat(64)));
    assert_eq!(errors(&[b'k'; 100])[0].key(), format!("{}..", "k".repeat(64)));
    assert_eq!(errors(&[b'k'; 64])[0].key(), "k".repeat(64));
    let map = std::collections::HashMap::from([("baggage".to_owned(), "a\r\nforged: 1=2".to_owned())]);
    let errors = Context::new().run(|| baggage::extract(&map));
    assert_eq!(errors[0].key(), r"a\r\nforged: 1");
}

#[test]
fn what_exceeds_a_limit_is_reported_once() {
    let beyond = |header: String| {
        Context::new().run(|| {
            let errors = baggage::extract_headers(&incoming(header.as_bytes()));
            (texts(&errors), entries(&baggage::headers()).len())
        })
    };
    let many = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(beyond(many(64)), (vec![], 64));
    let error = "`k64`: it and what follows exceed the limit of 64 entries".to_owned();
    assert_eq!(beyond(many(65)), (vec![error.clone()], 64));
    assert_eq!(beyond(many(1000)), (vec![error], 64));

    let long = |length: usize| format!("a=1,b={},c=1,d=1", "x".repeat(length));
    let room = 8192 - "a=1,b=,c=1".len();
    let error = |key| format!("`{key}`: it and what follows exceed the limit of 8192 bytes");
    assert_eq!(beyond(long(room - 4)), (vec![], 4));
    assert_eq!(beyond(long(room)), (vec![error("d")], 3));
    assert_eq!(beyond(long(room + 1)), (vec![error("c")], 2));
    assert_eq!(beyond(long(100_000)), (vec![error("b")], 1));
}

#[test]
fn hostile_headers_are_read_up_to_the_limits() {
    let cases: &[(String, usize)] = &[
        (",".repeat(100_000), 0),
        (" ,\t".repeat(100_000), 0),
        (";".repeat(100_000), 1),
        ("=".repeat(100_000), 1),
        ("%".repeat(100_000), 1),
        ("=,".repeat(100_000), 65),
        ("%25".repeat(100_000), 1),
        (format!("bad.id={}", "%25".repeat(2000)), 1),
        (format!("bad.id={}", "9".repeat(100_000)), 1),
        (format!("{}bad.id=7", ",".repeat(100_000)), 1),
        ("bad.id=x,".repeat(64), 64),
        (" ".repeat(100_000), 0),
    ];
    for (header, errors) in cases {
        Context::new().run(|| {
            let reported = baggage::extract_headers(&incoming(header.as_bytes()));
            let start = &header[..20];
            assert_eq!(reported.len(), *errors, "{start}");
            assert!(!BAD_ID.is_set() && !keeps_entries(), "{start}");
            assert!(reported.iter().all(|error| error.to_string().len() < 200), "{start}");
        });
    }
    // Nested encodings are decoded once.
    #[context_var(baggage = "bad.text")]
    static TEXT: String;
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&incoming(b"bad.text=%252541")), []);
        assert_eq!(TEXT.get(), "%2541");
        assert_eq!(entries(&baggage::headers()), ["bad.text=%252541"]);
    });
}
