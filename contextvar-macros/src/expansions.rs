//! The expansions of common shapes, kept in `expansions.md` for people to read.
//!
//! `UPDATE_EXPANSIONS=1 cargo test -p contextvar-macros` rewrites that file.

use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::{env, fs};

use proc_macro2::TokenStream;

use crate::with_context::ContextKind;
use crate::{context_var, with_context};

type Expand = fn(TokenStream, TokenStream) -> TokenStream;

fn with_copied_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Copied, args, item)
}

fn with_empty_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Empty, args, item)
}

/// The attribute's name and function, its arguments, and the item below it.
const SHAPES: &[(&str, Expand, &str, &str)] = &[
    ("context_var", context_var::expand, "", "/// Docs.\npub static USER: String;"),
    ("context_var", context_var::expand, "name = \"locale\", secret", "static LOCALE: &str = \"en\";"),
    ("context_var", context_var::expand, "log = |user| &user.name, log_default", "static USER: User = nobody();"),
    ("context_var", context_var::expand, "", "static COUNTER: Arc<AtomicU64> = Arc::default();"),
    ("with_copied_context", with_copied_context, "", "pub async fn handler(user: User) -> Response { work(user).await }"),
    (
        "with_copied_context",
        with_copied_context,
        "USER = user.clone()",
        "async fn handler<'a, T: Send>(&'a self, mut user: User, (a, _): (T, &str)) -> impl Iterator<Item = T> + 'a {
            self.work(user, a).await
        }",
    ),
    (
        "with_copied_context",
        with_copied_context,
        "",
        "fn call<'a>(&'a self) -> Pin<Box<dyn Future<Output = u8> + Send + 'a>> {
            Box::pin(async move { self.work().await })
        }",
    ),
    ("with_copied_context", with_copied_context, "future", "fn call(n: u8) -> Alias { work(n) }"),
    ("with_empty_context", with_empty_context, "USER = user()", "async fn test() { work().await }"),
    ("with_copied_context", with_copied_context, "USER = user", "fn plain(user: User) -> u8 { work() }"),
    (
        "with_copied_context",
        with_copied_context,
        "",
        "#[tokio::main]
        async fn main() { work().await }",
    ),
    (
        "with_copied_context",
        with_copied_context,
        "USER = user()",
        "impl Service for Server {
            const N: u8 = 1;
            async fn call(&self) { work().await }
            #[with_copied_context(skip)]
            async fn poll(&self) { work().await }
            fn plain(&self) {}
        }",
    ),
];

#[test]
fn expansions_match_the_page() {
    let mut text =
        "# What the attributes expand to\n\nEach item is followed by its expansion. A test compares them with this page.\n"
            .to_owned();
    for (name, expand, args, item) in SHAPES {
        let tokens = |text: &str| TokenStream::from_str(text).expect("tokens");
        let attribute = if args.is_empty() { format!("#[{name}]") } else { format!("#[{name}({args})]") };
        let expanded = expand(tokens(args), tokens(item));
        writeln!(text, "\n```text\n{}```\n", pretty(tokens(&format!("{attribute}{item}")))).unwrap();
        writeln!(text, "```text\n{}```", pretty(expanded)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansions.md");
    if env::var_os("UPDATE_EXPANSIONS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), text, "see the top of src/expansions.rs");
}

fn pretty(item: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(item).expect("an item"))
}

/// An editor expands a function while its body is still being written, and needs every token of the body.
#[test]
fn a_body_that_does_not_parse_is_emitted_unchanged() {
    for body in ["{ user. }", "{ let x = ; work( ) }", "{ if }", "{ #![allow(unused)] match }"] {
        for item in [
            format!("async fn handler(user: User) -> u8 {body}"),
            format!("fn handler(user: User) -> Pin<Box<dyn Future<Output = u8>>> {body}"),
            format!("fn handler() {body}"),
            format!("impl S {{ async fn handler(&self) {body} }}"),
        ] {
            let tokens = TokenStream::from_str(&item).expect("tokens");
            let expanded = with_copied_context(TokenStream::new(), tokens).to_string();
            let last = body.rsplit(']').next().unwrap().trim_matches(['{', '}', ' ']);
            let last = TokenStream::from_str(last).unwrap().to_string();
            assert!(expanded.contains(&last), "{item}: {expanded}");
            assert!(!expanded.contains("compile_error"), "{item}: {expanded}");
        }
    }
}

/// syn cannot parse every function that rustc can, for example with syntax from a newer edition. The error is
/// then syn's, and not that the item is no function.
#[test]
fn a_function_that_syn_cannot_parse_still_counts_as_a_function() {
    let error_on =
        |item| with_copied_context(TokenStream::new(), TokenStream::from_str(item).unwrap()).to_string();
    assert!(error_on("gen fn numbers() { yield 1; }").contains("expected"));
    assert!(error_on("gen static NUMBERS: u64 = 1;").contains("goes on a function"));
}

/// The features are off in this crate's own tests, and on if other crates in the same build turn them on.
#[test]
fn arguments_need_their_features() {
    let tokens = |text: &str| TokenStream::from_str(text).expect("tokens");
    for (args, feature, is_on) in [
        ("baggage = \"user\", log", "baggage", cfg!(feature = "baggage")),
        ("secret, log = serde", "serde", cfg!(feature = "serde")),
        ("python = \"app:USER\", secret", "python", cfg!(feature = "python")),
        ("log = serde, inherit = false", "serde", cfg!(feature = "serde")),
    ] {
        let expanded = context_var::expand(tokens(args), tokens("static USER: String;")).to_string();
        let message = format!("needs the feature `{feature}` of contextvar: enable it in Cargo.toml");
        assert_eq!(expanded.matches(&message).count(), usize::from(!is_on), "{expanded}");
        assert!(expanded.contains("static USER"), "{expanded}");
    }
}
