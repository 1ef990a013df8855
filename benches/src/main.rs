//! Benchmarks of contextvar and its peers, in one run.
//!
//! ```console
//! $ cargo run --release -p benches                    # the times and the chart
//! $ cargo run --release -p benches -- --check         # also exits with 1 if a target is missed
//! $ cargo run --release -p benches -- --chart         # the chart, from the times in docs/benchmarks.md
//! $ cargo run --release -p benches -- --instructions  # counted by callgrind; also with --check
//! $ cargo run --release -p benches --features carry -- --instructions   # with spans and OpenTelemetry's context
//! $ cargo run --release -p benches --features adapters -- --instructions   # of the adapters, on a page of their own
//! $ cargo run --release -p benches --features adapters -- --instructions tasks   # prints one section of it
//! $ cargo run --release -p benches -- --growth        # how costs grow with variables, nesting, tasks, threads
//! $ RUSTFLAGS="--cfg tokio_unstable" cargo run --release -p benches -- --hooks   # runtimes whose tasks inherit
//! $ cargo run --release -p benches --features inspect -- --inspect   # the list of contexts; also with --check
//! $ cargo run --release -p benches -- --load          # an HTTP service under load, with and without; needs wrk
//! $ cargo run --release -p benches --features observed -- --load-observed   # with logs, spans, metrics and headers
//! ```
//!
//! Each command prints its tables and writes them to `docs/`.

mod adapters;
mod alloc;
mod chart;
mod check;
mod contention;
mod equivalent;
mod growth;
#[cfg(tokio_unstable)]
mod hooks;
#[cfg(feature = "inspected")]
mod inspect;
mod instructions;
mod load;
mod measure;
#[cfg(feature = "observed")]
mod observed;
mod operation;
mod pairs;
mod peers;
mod report;
mod side_by_side;
mod work;

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => Ok(report_times(false)?),
        ["--check"] => Ok(report_times(true)?),
        ["--chart"] => {
            let page = fs::read_to_string(docs().join("benchmarks.md"))?;
            write_doc("benchmarks.svg", &chart::draw(&page)?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["--instructions"] => Ok(report_instructions(false)?),
        ["--instructions", "--check"] | ["--check", "--instructions"] => Ok(report_instructions(true)?),
        ["--instructions", section] => {
            print!("{}", adapters::count(Some(section))?.tables());
            Ok(ExitCode::SUCCESS)
        }
        ["--growth"] => {
            let tables = growth::tables();
            print!("{tables}");
            write_doc("benchmarks-growth.md", &report::page(report::GROWTH, &tables))?;
            Ok(ExitCode::SUCCESS)
        }
        ["--load"] => {
            let tables = load::tables()?;
            print!("{tables}");
            write_doc("benchmarks-load.md", &report::page(report::LOAD, &tables))?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "observed")]
        ["--load-observed"] => {
            let table = observed::table()?;
            print!("{table}");
            write_doc("benchmarks-load-observed.md", &report::page(report::LOAD_OBSERVED, &table))?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "observed")]
        [observed::SERVE, service] => {
            observed::serve(service)?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "inspect")]
        ["--inspect"] => report_inspect(false),
        #[cfg(feature = "inspect")]
        ["--inspect", "--check"] | ["--check", "--inspect"] => report_inspect(true),
        #[cfg(feature = "inspected")]
        [inspect::COUNT] => {
            print!("{}", inspect::count_off()?);
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "inspected")]
        [inspect::ONLY, ..] => {
            inspect::run_one(&arguments[1..]);
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(tokio_unstable)]
        ["--hooks"] => {
            let table = hooks::table();
            print!("{table}");
            write_doc("benchmarks-hooks.md", &report::page(report::HOOKS, &table))?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(not(tokio_unstable))]
        ["--hooks"] => {
            Err("--hooks needs tokio's unstable API: set RUSTFLAGS=\"--cfg tokio_unstable\"".into())
        }
        [adapters::ONLY, ..] => {
            adapters::run_one(&arguments[1..]);
            Ok(ExitCode::SUCCESS)
        }
        [instructions::ONLY, ..] => Ok(ExitCode::from(instructions::run_one(&arguments[1..]))),
        _ => Err("usage: benches [--chart | --instructions | --growth | --hooks | --load] [--check]".into()),
    }
}

fn report_times(check: bool) -> Result<ExitCode, Box<dyn Error>> {
    let mut peers = peers::all();
    let figures = measure::all(&mut peers);
    let tables = report::tables(&peers, &figures);
    print!("{tables}");

    let page = report::page(report::TIMES, &tables);
    write_doc("benchmarks.md", &page)?;
    write_doc("benchmarks.svg", &chart::draw(&page)?)?;
    Ok(if check { report_missed(check::missed(&peers, &figures)) } else { ExitCode::SUCCESS })
}

fn report_instructions(check: bool) -> Result<ExitCode, Box<dyn Error>> {
    let (name, intro) = if cfg!(feature = "adapters") {
        ("benchmarks-instructions-adapters.md", report::INSTRUCTIONS_OF_ADAPTERS)
    } else {
        ("benchmarks-instructions.md", report::INSTRUCTIONS)
    };
    // The figures of the core are those of a build without the adapters' features.
    let counts = if cfg!(feature = "adapters") { None } else { Some(instructions::count_all()?) };
    let adapters = adapters::count(None)?;

    let tables = counts.as_ref().map(instructions::tables).unwrap_or_default() + &adapters.tables();
    print!("{tables}");
    write_doc(name, &report::page(intro, &tables))?;
    if !check {
        return Ok(ExitCode::SUCCESS);
    }
    let mut missed = adapters.missed();
    if let Some(counts) = &counts {
        for line in check::goals_not_reached(counts) {
            println!("goal not reached: {line}");
        }
        missed.extend(check::missed_instructions(counts));
    }
    Ok(report_missed(missed))
}

#[cfg(feature = "inspect")]
fn report_inspect(check: bool) -> Result<ExitCode, Box<dyn Error>> {
    let (tables, missed) = inspect::tables()?;
    print!("{tables}");
    write_doc("benchmarks-inspect.md", &report::page(report::INSPECT, &tables))?;
    Ok(if check { report_missed(missed) } else { ExitCode::SUCCESS })
}

fn write_doc(name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(docs())?;
    fs::write(docs().join(name), text)
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn report_missed(missed: Vec<String>) -> ExitCode {
    if missed.is_empty() {
        println!("every target is met");
        return ExitCode::SUCCESS;
    }
    println!("targets missed:");
    for line in missed {
        println!("- {line}");
    }
    ExitCode::FAILURE
}
