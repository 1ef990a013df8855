//! A command-line tool.

// Recipe

use contextvar::{context_var, task, tracing::ContextFormat, with_copied_context};
use tokio::task::JoinSet;
use tracing::info;

#[context_var(name = "command", log)]
static COMMAND: &str;

#[context_var(name = "file", log)]
static FILE: String;

#[with_copied_context(FILE = file)]
async fn count(file: String) {
    let text = task::spawn_blocking(|| {
        info!("reading");
        std::fs::read_to_string(FILE.get()).unwrap()
    });
    info!("{} lines", text.await.unwrap().lines().count());
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    COMMAND.set("count");
    let mut files = JoinSet::new();
    for file in std::env::args().skip(1) {
        files.spawn(count(file));
    }
    files.join_all().await;
    info!("done");
}

// Test

use super::{lines_of, shown, sorted};
use std::{env, fs, process};

#[test]
fn main_counts_the_lines_of_rhyme_and_prose() {
    let directory = env::temp_dir().join(format!("contextvar-command-line-{}", process::id()));
    let lines = lines_of(main, module_path!(), |command| {
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("rhyme"), "one\ntwo\n").unwrap();
        fs::write(directory.join("prose"), "three\n").unwrap();
        // libtest reads the program's arguments, too, as parts of the names of tests. Both are in this one's.
        command.args(["rhyme", "prose"]).current_dir(&directory)
    });
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(lines, sorted(shown("A command-line tool")));
}
