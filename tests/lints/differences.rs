//! Compares rustc's and clippy's diagnostics for `source.rs` with and without the attributes on every
//! function. The differences must be those that `guide/lints.md` lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use annotate::{Kind, Place};
use serde_json::Value;

/// The lints change with the version. The page lists those of this version, as the messages in `ui` do.
const CLIPPY: &str = "clippy 0.1.95";

const EDITIONS: [&str; 3] = ["2018", "2021", "2024"];

#[test]
fn annotated_functions_are_linted_like_plain_ones() {
    let version = Command::new(cargo()).args(["clippy", "--version"]).output().expect("cargo runs");
    if !String::from_utf8_lossy(&version.stdout).starts_with(CLIPPY) {
        eprintln!("skipped: this test needs {CLIPPY}");
        return;
    }
    let source = fs::read_to_string("lints/source.rs").unwrap();
    let plain = [Variant::new("plain", &source, Vec::new())];
    let diagnostics = lint(&plain);
    let expected_by_edition =
        EDITIONS.map(|edition| expecting(&source, &diagnostics[&key(edition, "plain")]));

    let mut variants = Vec::new();
    variants.extend(plain);
    variants.extend(annotated("", &source));
    for (edition, source) in EDITIONS.iter().zip(&expected_by_edition) {
        variants.push(Variant { edition: Some(edition), ..Variant::new("expecting", source, Vec::new()) });
        variants.extend(
            annotated("expecting_", source)
                .into_iter()
                .map(|variant| Variant { edition: Some(edition), ..variant }),
        );
    }
    let diagnostics = lint(&variants);
    let mut found = BTreeSet::new();
    for edition in EDITIONS {
        for plain in ["plain", "expecting"] {
            let without = &diagnostics[&key(edition, plain)];
            // The `#[expect]`s omit the lints that the page lists as lost, because they cannot be fulfilled.
            let prefix = if plain == "plain" { "" } else { "expecting_" };
            for name in ["copied", "empty", "above", "containers"] {
                let with = &diagnostics[&key(edition, &format!("{prefix}{name}"))];
                found.extend(differences(without, with));
            }
        }
    }
    let total: usize = EDITIONS.iter().map(|edition| diagnostics[&key(edition, "plain")].len()).sum();
    assert!(total > 1000, "only {total} diagnostics: is source.rs compiled?");
    let listed = listed();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "not in guide/lints.md: {unlisted:#?}\nin guide/lints.md, but not found: {gone:#?}"
    );
}

/// The source with attributes.
struct Variant {
    name: String,
    source: String,
    /// The offset in the plain source, and the length, of each insertion.
    insertions: Vec<(usize, usize)>,
    /// The only edition that the variant is for. `None` stands for all.
    edition: Option<&'static str>,
}

impl Variant {
    fn new(name: &str, source: &str, insertions: Vec<(usize, String)>) -> Self {
        let mut text = source.to_owned();
        for (at, inserted) in insertions.iter().rev() {
            text.insert_str(*at, inserted);
        }
        let insertions = insertions.into_iter().map(|(at, inserted)| (at, inserted.len())).collect();
        Variant { name: name.to_owned(), source: text, insertions, edition: None }
    }

    /// Returns the offset in the plain source, or `None` inside an insertion.
    fn offset(&self, offset: usize) -> Option<usize> {
        let mut before = 0;
        for &(at, len) in &self.insertions {
            if offset >= at + before + len {
                before += len;
            } else if offset > at + before {
                return None;
            }
        }
        Some(offset - before)
    }
}

/// Returns variants with each attribute on each function, below other attributes, then above them, and on
/// containers.
fn annotated(prefix: &str, source: &str) -> Vec<Variant> {
    const COPIED: &str = "contextvar::with_copied_context";
    const EMPTY: &str = "contextvar::with_empty_context";
    let places = annotate::places(source).expect("the source parses");
    let is_function = |place: &&Place| !place.kind.is_container();
    // An attribute on a container changes only its async functions, so containers without any are left out,
    // such as an `impl Drop`. Modules are left out as well.
    let is_container =
        |place: &&Place| place.kind.is_container() && place.is_async && place.kind != Kind::Module;
    let put = |name: &str, attribute: &str, selected: Vec<&Place>, below: bool| {
        let mut insertions: Vec<_> = selected
            .iter()
            .map(|place| (if below { place.below } else { place.item.start }, format!("#[{attribute}] ")))
            .collect();
        insertions.sort();
        Variant::new(&format!("{prefix}{name}"), source, insertions)
    };
    vec![
        put("copied", COPIED, places.iter().filter(is_function).collect(), true),
        put("empty", EMPTY, places.iter().filter(is_function).collect(), true),
        put("above", COPIED, places.iter().filter(is_function).collect(), false),
        put("containers", COPIED, places.iter().filter(is_container).collect(), true),
    ]
}

/// Returns the source with an `#[expect(..)]` on each function, with the lints that fire in it.
fn expecting(source: &str, diagnostics: &[Diagnostic]) -> String {
    let lost: BTreeSet<_> = listed().into_iter().map(|(_, lint)| lint).collect();
    let functions = annotate::functions(source).expect("the source parses");
    let mut insertions = Vec::new();
    for place in &functions {
        let inside = |at: usize| {
            place.item.contains(&at)
                && !functions.iter().any(|other| {
                    other.item != place.item
                        && place.item.contains(&other.item.start)
                        && other.item.contains(&at)
                })
        };
        let lints: BTreeSet<_> = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.span.is_some_and(|(start, _)| inside(start)))
            .map(|diagnostic| &*diagnostic.lint)
            .filter(|lint| !lost.contains(*lint) && *lint != "unfulfilled_lint_expectations")
            .collect();
        if !lints.is_empty() {
            let lints: Vec<_> = lints.into_iter().collect();
            insertions.push((place.below, format!("#[expect({})] ", lints.join(", "))));
        }
    }
    Variant::new("", source, insertions).source
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Diagnostic {
    lint: String,
    level: String,
    /// The offsets in the plain source. `None` inside an inserted attribute.
    span: Option<(usize, usize)>,
    message: String,
}

/// Returns the differences as rows of the page: `lost`, `new` or `differs`, and the lint.
fn differences(without: &[Diagnostic], with: &[Diagnostic]) -> BTreeSet<(String, String)> {
    let mut left: Vec<&Diagnostic> = with.iter().collect();
    let mut lost = Vec::new();
    for diagnostic in without {
        match left.iter().position(|other| *other == diagnostic) {
            Some(n) => drop(left.remove(n)),
            None => lost.push(diagnostic),
        }
    }
    let mut rows = BTreeSet::new();
    if env::var_os("SHOW_DIFFERENCES").is_some() {
        eprintln!("without: {lost:#?}\nwith: {left:#?}");
    }
    for diagnostic in lost {
        let same = |other: &&&Diagnostic| other.lint == diagnostic.lint;
        let kind = match left.iter().find(same) {
            Some(_) => "differs",
            None => "lost",
        };
        rows.insert((kind.to_owned(), diagnostic.lint.clone()));
    }
    for diagnostic in left {
        if rows.iter().all(|(_, lint)| *lint != diagnostic.lint) {
            rows.insert(("new".to_owned(), diagnostic.lint.clone()));
        }
    }
    rows
}

/// Returns the rows of the page's table.
fn listed() -> BTreeSet<(String, String)> {
    let page = fs::read_to_string("../contextvar/src/guide/lints.md").unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let lint = cells.next()?.trim().strip_suffix('`')?;
        Some((cells.next()?.trim().to_owned(), lint.to_owned()))
    });
    rows.collect()
}

fn key(edition: &str, variant: &str) -> String {
    format!("{edition}_{variant}")
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

/// Returns clippy's diagnostics for each variant in each edition.
fn lint(variants: &[Variant]) -> BTreeMap<String, Vec<Diagnostic>> {
    let root = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/lints"));
    let contextvar = Path::new("../contextvar").canonicalize().unwrap();
    fs::create_dir_all(root).unwrap();
    fs::copy("../Cargo.lock", root.join("Cargo.lock")).unwrap();
    let members = EDITIONS.map(|edition| format!("\"{edition}\"")).join(", ");
    fs::write(root.join("Cargo.toml"), format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"))
        .unwrap();
    for edition in EDITIONS {
        let package = root.join(edition);
        let _ = fs::remove_dir_all(package.join("examples"));
        fs::create_dir_all(package.join("src")).unwrap();
        fs::create_dir_all(package.join("examples")).unwrap();
        fs::write(package.join("src/lib.rs"), "").unwrap();
        let mut manifest = format!(
            "[package]\nname = \"lints-{edition}\"\nedition = \"{edition}\"\nversion = \"0.0.0\"\n\n[dependencies]\ncontextvar = {{ path = \
             {contextvar:?}, default-features = false, features = [\"macros\"] }}\n"
        );
        for variant in variants {
            if variant.edition.is_none_or(|only| only == edition) {
                let name = key(edition, &variant.name);
                fs::write(package.join(format!("examples/{name}.rs")), &variant.source).unwrap();
                manifest += &format!("\n[[example]]\nname = \"{name}\"\ncrate-type = [\"lib\"]\n");
            }
        }
        fs::write(package.join("Cargo.toml"), manifest).unwrap();
    }
    let output = Command::new(cargo())
        .args([
            "clippy",
            "--workspace",
            "--examples",
            "--keep-going",
            "--message-format=json",
            "--",
            "--cap-lints=warn",
        ])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");

    let mut diagnostics = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line).expect("JSON");
        let target = message["target"]["name"].as_str().unwrap_or_default();
        let variant = variants
            .iter()
            .find(|variant| target.split_once('_').is_some_and(|(_, name)| name == variant.name));
        let Some(variant) = variant.filter(|_| message["reason"] == "compiler-message") else { continue };
        // Variants for single editions share a name.
        let edition = target.split_once('_').expect("the target is one of the variants").0;
        let variant = variants
            .iter()
            .find(|other| other.name == variant.name && other.edition.is_none_or(|only| only == edition))
            .expect("the target is one of the variants");
        let message = &message["message"];
        let Some(lint) = message["code"]["code"].as_str() else { continue };
        let text = message["message"].as_str().unwrap_or_default().to_owned();
        assert_ne!(message["level"], "error", "{target}: {}", message["rendered"]);
        for span in
            message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true)
        {
            let at = |key: &str| span[key].as_u64().map(|at| at as usize);
            let span = at("byte_start").zip(at("byte_end"));
            let span = span.and_then(|(start, end)| variant.offset(start).zip(variant.offset(end)));
            diagnostics.entry(target.to_owned()).or_insert_with(Vec::new).push(Diagnostic {
                lint: lint.to_owned(),
                level: message["level"].as_str().unwrap_or_default().to_owned(),
                span,
                message: text.clone(),
            });
        }
    }
    for variant in variants {
        for edition in EDITIONS {
            if variant.edition.is_none_or(|only| only == edition) {
                diagnostics.entry(key(edition, &variant.name)).or_default();
            }
        }
    }
    assert!(!diagnostics.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    diagnostics
}
