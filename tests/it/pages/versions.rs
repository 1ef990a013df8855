//! The table of the guide's page `versions` agrees with the manifests, the lock file and the public API.

use std::collections::BTreeSet;
use std::fs;

use toml::{Table, Value};

use super::{Row, citations, repository, rows};

/// The release whose column is compared.
const RELEASE: (&str, &str) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn table(path: &str) -> Table {
    read(path).parse().unwrap()
}

fn column() -> Vec<Row> {
    let rows = rows(&[&format!("{}.{}", RELEASE.0, RELEASE.1)]);
    assert!(rows.iter().all(|row| row.page.ends_with("guide/versions.md")));
    rows
}

/// Returns the version that tests use: the newest one in the lock file.
fn tested(lock: &Table, name: &str) -> String {
    let packages = lock["package"].as_array().unwrap().iter();
    let versions = packages.filter(|package| package["name"].as_str() == Some(name));
    let versions = versions.map(|package| package["version"].as_str().unwrap());
    let parts =
        |version: &&str| -> Vec<u64> { version.split('.').map_while(|part| part.parse().ok()).collect() };
    versions.max_by_key(parts).unwrap_or_else(|| panic!("no test uses `{name}`")).to_owned()
}

/// Returns whether a feature enables a dependency, itself or through other features.
fn enables(features: &Table, feature: &str, dependency: &str) -> bool {
    features[feature].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).any(|entry| {
        entry.strip_prefix("dep:").map_or_else(
            || features.contains_key(entry) && enables(features, entry, dependency),
            |name| name == dependency,
        )
    })
}

/// Returns whether an item of scripts/public-api.txt has a type or a trait of a crate.
fn is_in_api(api: &str, name: &str) -> bool {
    // serde re-exports its traits from this crate.
    let name = if name == "serde" { "serde_core" } else { name };
    let path = name.replace('-', "_") + "::";
    api.match_indices(&path).any(|(at, _)| {
        // Neither `contextvar::tracing::` nor the hidden bounds of pin-project-lite.
        let is_start = !api[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
        is_start && !api[at + path.len()..].starts_with("__private")
    })
}

#[test]
fn each_crate_has_its_features_and_versions() {
    let (manifest, lock) = (table("contextvar/Cargo.toml"), table("Cargo.lock"));
    let api = read("scripts/public-api.txt");
    let (features, dependencies) =
        (manifest["features"].as_table().unwrap(), manifest["dependencies"].as_table().unwrap());
    let in_cell = |feature: &String| {
        let is_default = features["default"].as_array().unwrap().contains(&Value::String(feature.clone()));
        format!("`{feature}`{}", if is_default { " (default)" } else { "" })
    };

    let mut listed = BTreeSet::new();
    for Row { cells, cell, .. } in column() {
        let Some(name) = citations(&cells[0]).next() else { continue };
        listed.insert(name.to_owned());
        let tested = format!("tested {}", tested(&lock, name));
        let in_cells: BTreeSet<_> = cells[1].split(", ").map(str::to_owned).collect();
        if let Some(dependency) = dependencies.get(name) {
            let oldest = dependency.get("version").unwrap_or(dependency).as_str().unwrap();
            let oldest = if oldest.contains('.') { oldest.to_owned() } else { format!("{oldest}.0") };
            assert_eq!(cell, format!("{oldest}, {tested}"), "{name}");
            let enabling = features.keys().filter(|key| *key != "default" && enables(features, key, name));
            assert_eq!(in_cells, enabling.map(in_cell).collect(), "{name}");
            assert_eq!(cells[2] == "yes", is_in_api(&api, name), "{name}");
        } else {
            assert_eq!(cell, tested, "{name}");
            let existing: BTreeSet<_> = features.keys().map(in_cell).collect();
            assert!(in_cells.is_subset(&existing), "{name}: {in_cells:?}");
            assert!(!is_in_api(&api, name), "{name}");
        }
        assert!(["yes", "no"].contains(&&*cells[2]), "{name}");
    }
    let (in_api, internal): (Vec<_>, Vec<_>) = dependencies.keys().partition(|name| is_in_api(&api, name));
    let missing: Vec<_> = in_api.iter().filter(|name| !listed.contains(**name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    assert!(in_api.len() >= 14 && internal.len() >= 4, "{in_api:?} {internal:?}");
}

#[test]
fn rust_and_python_have_their_versions() {
    let of = |name: &str| column().into_iter().find(|row| row.cells[0] == name).unwrap().cell;
    let rust = table("Cargo.toml")["workspace"]["package"]["rust-version"].as_str().unwrap().to_owned();
    assert_eq!(of("Rust"), rust);
    let page = read("contextvar/src/guide/versions.md");
    assert!(page.contains(&format!("The minimum Rust version is {rust}.")));

    let python = of("Python");
    let (oldest, tested) = python.split_once(", tested ").unwrap();
    let project = table("examples/python/pyproject.toml");
    assert_eq!(project["project"]["requires-python"].as_str().unwrap(), format!(">={oldest}"));
    let page = read("docs/python.md");
    assert!(page.contains(&format!("The tests run with CPython {tested}")), "{tested}");
}
