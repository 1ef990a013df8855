//! The tables of the documentation: the tests and files that they cite exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod versions;

/// The crate roots of the tests that pages cite. A citation is the path that `cargo test` prints,
/// `module::test`, with the name of the test target before it where that is not `it`.
const ROOTS: [(&str, &str); 11] = [
    ("tests/it/main.rs", ""),
    ("tests/core/main.rs", ""),
    ("tests/core/runtime_hooks/main.rs", "runtime_hooks"),
    ("tests/chaos/main.rs", "chaos"),
    ("tests/compio/compio.rs", "compio"),
    ("tests/ecosystem/main.rs", "ecosystem"),
    ("contextvar/tests/baggage_keys.rs", "baggage_keys"),
    ("contextvar/tests/carry/main.rs", "carry"),
    ("contextvar/tests/executors.rs", "executors"),
    ("contextvar/tests/observe.rs", "observe"),
    ("contextvar/tests/report.rs", "report"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The paths of tests and of modules, `module::*`.
#[derive(Default)]
struct Citable(BTreeSet<String>);

impl Citable {
    fn new() -> Self {
        let mut citable = Citable::default();
        for (root, target) in ROOTS {
            let root = repository().join(root);
            citable.add(&root, root.parent().unwrap(), target);
        }
        citable
    }

    /// Adds the tests in a file, and those in its modules, whose files are in `directory`.
    fn add(&mut self, file: &Path, directory: &Path, module: &str) {
        let path = |name: &str| if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        let text = fs::read_to_string(file).unwrap();
        self.0.insert(path("*"));
        let (mut in_proptest, mut is_test) = (false, false);
        for line in text.lines() {
            if line.starts_with(|first: char| !first.is_whitespace()) {
                in_proptest = line.starts_with("proptest!") || in_proptest && !line.starts_with('}');
            }
            // Indented functions are in an inline module or in another function.
            let line = if in_proptest { line.trim_start() } else { line };
            if let Some(child) = line.strip_prefix("mod ").and_then(|line| line.strip_suffix(';')) {
                let file = directory.join(child).with_extension("rs");
                // The others have a `#[path]`.
                if file.exists() {
                    self.add(&file, &directory.join(child), &path(child));
                }
            } else if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            } else if let Some(function) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ") {
                if std::mem::take(&mut is_test) {
                    self.0.insert(path(function.split('(').next().unwrap()));
                }
            }
        }
    }
}

struct Row {
    page: PathBuf,
    cells: Vec<String>,
    /// The cell in the wanted column.
    cell: String,
}

/// Returns the rows of all tables on all pages that have a column with one of these headings.
fn rows(headings: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut pages = vec![repository().join("README.md")];
    for directory in ["docs", "contextvar"] {
        add_pages(&repository().join(directory), &mut pages);
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for table in lines.chunk_by(|line, next| line.starts_with('|') == next.starts_with('|')) {
            if !table[0].starts_with('|') {
                continue;
            }
            let is_rule = |line: &str| line.chars().all(|c| "|-: ".contains(c));
            assert!(table.len() > 2 && is_rule(table[1]), "{page:?}: not a table, {}", table[0]);
            let cells = |line: &str| -> Vec<String> {
                let line = line.replace("\\|", "/");
                line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
            };
            let Some(column) = cells(table[0]).iter().position(|cell| headings.contains(&&**cell)) else {
                continue;
            };
            for line in &table[2..] {
                let cells = cells(line);
                let cell =
                    cells.get(column).unwrap_or_else(|| panic!("{page:?}: a short row, {line}")).clone();
                rows.push(Row { page: page.clone(), cells, cell });
            }
        }
    }
    rows
}

fn add_pages(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_pages(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// Returns what is between backticks.
fn citations(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_cites_tests_that_exist() {
    let citable = Citable::new();
    let rows = rows(&["Test", "Tests", "Shown by"]);
    for Row { page, cells, cell } in &rows {
        assert!(citations(cell).next().is_some(), "{page:?} cites no test: {cells:?}");
        for citation in citations(cell) {
            let exists = match citation.contains('/') {
                true => repository().join(citation).exists(),
                false => citable.0.contains(citation),
            };
            assert!(exists, "{page:?} cites `{citation}`, which does not exist: {cells:?}");
        }
    }
    // All pages were found.
    assert!(rows.len() >= 70, "{}", rows.len());
    let rules: Vec<usize> = rows.iter().filter_map(|row| row.cells[0].parse().ok()).collect();
    assert_eq!(rules, Vec::from_iter(1..=18));
}

/// The map of the rules on the architecture page names files and functions.
#[test]
fn every_rule_names_files_and_functions_that_exist() {
    let rows: Vec<_> = ["Kept in", "Tested in"].iter().flat_map(|heading| rows(&[heading])).collect();
    assert_eq!(rows.len(), 2 * 18);
    for Row { page, cells, cell } in rows {
        let (files, functions): (Vec<_>, Vec<_>) = citations(&cell).partition(|it| it.ends_with(".rs"));
        let read = |file: &&str| {
            let path = [repository().join(file), repository().join("contextvar/src").join(file)];
            let text = path.iter().find_map(|path| fs::read_to_string(path).ok());
            text.unwrap_or_else(|| panic!("{page:?} cites `{file}`, which does not exist: {cells:?}"))
        };
        let text: String = files.iter().map(read).collect();
        for function in functions {
            let name = function.rsplit("::").next().unwrap();
            assert!(text.contains(name), "{page:?} cites `{function}`, which is not in {files:?}: {cells:?}");
        }
    }
}

#[test]
fn every_misuse_that_rustc_refuses_has_a_ui_test() {
    let rows = rows(&["File"]);
    assert_eq!(rows.len(), 7);
    for Row { page, cells, cell } in rows {
        for file in citations(&cell) {
            let path = repository().join("tests/ui/fail/api").join(file).with_extension("rs");
            assert!(path.exists(), "{page:?} cites `{file}`, which does not exist: {cells:?}");
        }
    }
}
