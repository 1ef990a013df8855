//! The README's programs are the files of `examples/readme`, which are tested here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn every_program_is_a_file() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks: BTreeSet<_> =
        readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    let files: BTreeSet<_> = fs::read_dir(repository().join("examples/readme"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(blocks, files);
    assert_eq!(blocks.len(), 2);
    // A line that starts with `# ` would be hidden in a doctest, and wrong in a pasted program.
    assert!(!blocks.iter().flat_map(|block| block.lines()).any(|line| line.trim_start().starts_with("# ")));
}

/// Registries resolve relative links against the package's directory in the repository.
#[test]
fn the_package_has_the_readme_with_links_from_its_directory() {
    let mut readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for target in ["docs/", "CONTRIBUTING.md", "SECURITY.md"] {
        readme = readme.replace(&format!("]({target}"), &format!("](../{target}"));
    }
    let package = repository().join("contextvar/README.md");
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&package, &readme).unwrap();
    }
    let is_same = fs::read_to_string(package).unwrap() == readme;
    assert!(is_same, "run `UPDATE_README=1 cargo test -p contextvar-tests --test it readme`");
    // Every relative link leads to a file.
    for link in readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let exists = link.starts_with("https://") || repository().join("contextvar").join(link).exists();
        assert!(exists, "{link} does not exist");
    }
}

/// The front page of the documentation begins with the README's first program.
#[test]
fn the_front_page_has_the_service() {
    let page = fs::read_to_string(repository().join("contextvar/src/lib.rs")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("//!"));
    let lines = lines.skip_while(|line| !line.starts_with(" use ")).take_while(|line| *line != " ```");
    let program: String =
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect();
    assert_eq!(program, fs::read_to_string(repository().join("examples/readme/service.rs")).unwrap());
}

mod rules {
    include!("../../examples/readme/rules.rs");

    #[test]
    fn the_program_runs() {
        main();
    }
}

mod service {
    #![allow(dead_code, reason = "its `main` serves until the process ends")]

    include!("../../examples/readme/service.rs");

    use std::collections::BTreeSet;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use axum::body::{self, Body};
    use axum::http::Request;
    use tower::ServiceExt;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn send(request: axum::http::request::Builder) -> String {
        let response = app().oneshot(request.uri("/orders").body(Body::empty()).unwrap()).await.unwrap();
        String::from_utf8(body::to_bytes(response.into_body(), 100).await.unwrap().into()).unwrap()
    }

    #[test]
    fn it_answers_and_logs_as_the_readme_says() {
        let log = Log::default();
        let written = log.clone();
        let format = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
        let subscriber =
            format.with_writer(move || log.clone()).map_event_format(ContextFormat::new).finish();
        // One thread, so that the subscriber of this thread sees the task's line.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                let acme = send(Request::get("/").header("x-tenant", "acme"));
                let (acme, public) = tokio::join!(acme, send(Request::get("/")));
                assert_eq!((&*acme, &*public), ("the orders of acme\n", "the orders of public\n"));
                // The tasks of both requests run now.
                tokio::task::yield_now().await;
            });
        });

        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let mut lines: Vec<_> = log.lines().map(|line| line.split_once(" request_id=").unwrap()).collect();
        lines.sort_unstable();
        let places: Vec<_> = lines.iter().map(|(place, _)| place.trim()).collect();
        assert_eq!(places, ["INFO audit", "INFO audit", "INFO orders", "INFO orders"], "{log}");
        // Each request has an id of its own, and its task logs the same values.
        let values = |place: usize| BTreeSet::from([lines[place].1, lines[place + 1].1]);
        assert_eq!(values(0), values(2), "{log}");
        assert_eq!(values(0).iter().filter(|values| values.ends_with(" tenant=acme")).count(), 1, "{log}");
    }
}
