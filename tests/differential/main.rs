//! The same answers as CPython: random programs over contexts, run by its `contextvars` and asyncio, and by contextvar on
//! tokio. What their actors see must be equal.
//!
//! ```console
//! $ cargo test --test differential                          # some thousands
//! $ CONTEXTVAR_PROGRAMS=1000000 cargo test --test differential
//! $ CONTEXTVAR_SEED=n cargo test --test differential        # those of a run that failed
//! ```

mod ours;
mod print;
mod program;

use std::env;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use ours::{Traces, Way};
use program::{Body, May, Op};

const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/differential/oracle.py");
const BATCH: u64 = 100;

/// CPython, which runs programs.
struct Oracle {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    /// `None` where there is no python3.
    fn start() -> Option<Self> {
        let command =
            Command::new("python3").arg(ORACLE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = match command {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("can't run python3: {error}"),
        };
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Some(Oracle { process, input, output: BufReader::new(output) })
    }

    fn run(&mut self, programs: &[(&str, &Body)]) -> Vec<Traces> {
        serde_json::to_writer(&mut self.input, programs).expect("the oracle reads");
        self.input.write_all(b"\n").expect("the oracle reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the oracle answers");
        serde_json::from_str(&line).expect("the oracle's traces; CPython 3.11 or newer is needed")
    }

    /// A way in which `library` and CPython see different things.
    fn differs(&mut self, program: &Body, ways: &[Way], library: Library) -> Option<(Way, Traces, Traces)> {
        let kind = if ways == [Way::Thread] { "Thread" } else { "Task" };
        let theirs = self.run(&[(kind, program)]).remove(0);
        ways.iter()
            .map(|&way| (way, library(program, way)))
            .find_map(|(way, ours)| (ours != theirs).then(|| (way, ours, theirs.clone())))
    }
}

/// What runs a program: contextvar, or something that is wrong on purpose.
type Library = fn(&Body, Way) -> Traces;

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn programs_see_what_they_see_in_cpython() {
    let Some(mut oracle) = Oracle::start() else {
        println!("left out: there is no python3");
        return;
    };
    let seed = number("CONTEXTVAR_SEED").unwrap_or_else(|| rand::rng().random());
    let programs = number("CONTEXTVAR_PROGRAMS").unwrap_or(5000);
    println!("CONTEXTVAR_SEED={seed} CONTEXTVAR_PROGRAMS={programs}");
    if let Some(report) = first_difference(&mut oracle, seed, programs, ours::run) {
        panic!("{report}");
    }
}

/// The first program of which the library and CPython see different things, made small: what they see, and the program in
/// both languages.
fn first_difference(oracle: &mut Oracle, seed: u64, programs: u64, library: Library) -> Option<String> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..programs.div_ceil(BATCH) {
        let batch: Vec<(&str, &[Way], Body)> = (0..BATCH)
            .map(|_| match random.random_ratio(1, 4) {
                true => ("Thread", &[Way::Thread][..], program::random(&mut random, May::NOTHING)),
                false => {
                    let ways = &[Way::CurrentThread, Way::MultiThread][..];
                    ("Task", ways, program::random(&mut random, May::EVERYTHING))
                }
            })
            .collect();
        let traces = oracle.run(&batch.iter().map(|(kind, _, program)| (*kind, program)).collect::<Vec<_>>());
        for ((kind, ways, program), theirs) in batch.into_iter().zip(traces) {
            let may = if kind == "Thread" { May::NOTHING } else { May::EVERYTHING };
            assert!(may.allows(&program));
            if ways.iter().all(|&way| library(&program, way) == theirs) {
                continue;
            }
            let program =
                program::shrink(program, may, |smaller| oracle.differs(smaller, ways, library).is_some());
            return Some(match oracle.differs(&program, ways, library) {
                Some((way, ours, theirs)) => format!(
                    "{way:?}: ours {ours:#?}, CPython's {theirs:#?}\n\n{}\n{}",
                    print::python(&program),
                    print::rust(&program)
                ),
                None => format!("not every time, and not when it was run again: {program:?}"),
            });
        }
    }
    None
}

/// What would be wrong: a function whose context is no copy.
fn without_copies(program: &Body) -> Body {
    let mut program = program.clone();
    for op in &mut program {
        if let Some(body) = op.body() {
            *body = without_copies(body);
        }
        if let Op::Isolated(body) = op {
            *op = Op::Await(std::mem::take(body));
        }
    }
    program
}

#[test]
fn a_difference_is_found_and_made_small() {
    let Some(mut oracle) = Oracle::start() else { return };
    let wrong: Library = |program, way| ours::run(&without_copies(program), way);
    let report = first_difference(&mut oracle, 7, 1000, wrong).expect("one in a thousand");
    assert!(report.starts_with("CurrentThread: ours {"), "{report}");
    // One step, and in a function that runs in a copy another.
    let (_, python) = report.split_once("async def body1(hand):\n").expect("the program in Python");
    let (python, rust) = python.split_once("asyncio.run(body1(Hand()))").expect("its end");
    assert!(python.lines().count() <= 6 && python.contains("await asyncio.create_task(body2("), "{report}");
    let (_, rust) = rust.split_once("async fn main() {").expect("the program in Rust");
    assert!(rust.lines().count() <= 8 && rust.contains("}.in_copied_context().await;"), "{report}");
}

/// A program that is wrong on our side because it panics is one like any other.
#[test]
fn a_panic_is_a_difference() {
    let program = vec![Op::Get(0), Op::Yield];
    assert_eq!(ours::run(&program, Way::Thread)["0"], ["panicked: it waits for nothing"]);
}

/// Every kind of step.
fn sample() -> Body {
    let reads = || vec![Op::Get(0), Op::GetOr(2, 5)];
    vec![
        Op::Set(0, 1, 0),
        Op::Set(3, 2, 0),
        Op::Fill(0),
        Op::Copy(0),
        Op::New(1),
        Op::Clone(0, 2),
        Op::Lookup(0, 0),
        Op::Contains(0, 3),
        Op::Len(0),
        Op::Entries(1),
        Op::Run(0, vec![Op::Set(2, 3, 1), Op::Scoped(1, 4, reads()), Op::Thread(reads())]),
        Op::Catch(vec![Op::Raise(6)]),
        Op::Catch(vec![Op::Yield, Op::Raise(7)]),
        Op::Reset(3, 0),
        Op::Task(0, false, vec![Op::Yield, Op::Set(0, 8, 0), Op::Reset(0, 0), Op::Await(reads())]),
        Op::TaskIn(0, 1, true, vec![Op::Isolated(reads()), Op::Trap(2, reads())]),
        Op::ToThread(reads()),
        Op::Join(0),
        Op::Join(1),
        Op::Len(0),
    ]
}

/// The sample as it is printed, which compiles and runs.
#[rustfmt::skip]
mod sample;

#[test]
fn printed_programs_run() {
    let printed = print::rust(&sample());
    if env::var_os("UPDATE_SAMPLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/differential/sample.rs"), &printed).unwrap();
        return;
    }
    assert_eq!(printed, include_str!("sample.rs"), "UPDATE_SAMPLE=1 accepts it");
    std::thread::spawn(sample::main).join().unwrap();

    let python = Command::new("python3").args(["-c", &print::python(&sample())]).output();
    if let Ok(output) = python {
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.success(), said.lines().count()), (true, 22), "{output:?}");
    }
}
