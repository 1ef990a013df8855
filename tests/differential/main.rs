//! Runs random programs over contexts on CPython's `contextvars` and asyncio, and on contextvar and tokio.
//! Their actors must observe the same values.
//!
//! ```console
//! $ cargo test -p contextvar-tests --test differential                      # 5000 programs
//! $ CONTEXTVAR_PROGRAMS=1000000 cargo test --release -p contextvar-tests --test differential    # a million
//! $ CONTEXTVAR_SEED=n cargo test -p contextvar-tests --test differential    # repeats a failed run
//! ```

mod interpreter;
/// The start of each printed program: variables, and slots for tokens, contexts and tasks.
mod prelude;
mod print;
mod program;
/// The `main` of [`sample_program`] as it is printed, which proves that printed programs compile.
#[allow(unused)]
mod sample {
    use crate::prelude::*;

    include!("sample.rs");
}

use std::env;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use interpreter::{Executor, Traces};
use program::{Allowed, Body, Op};

const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/differential/oracle.py");
/// The number of programs that the oracle gets at once.
const BATCH: u64 = 100;

/// A CPython process that runs programs.
struct Oracle {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the process. Returns `None` if there is no `python3`.
    fn start() -> Option<Self> {
        let command =
            Command::new("python3").args(["-B", ORACLE]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = match command {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("can't run python3: {error}"),
        };
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Some(Oracle { process, input, output: BufReader::new(output) })
    }

    fn run(&mut self, programs: &[(&str, &Body)]) -> Vec<Traces> {
        serde_json::to_writer(&mut self.input, programs).expect("the oracle is running");
        self.input.write_all(b"\n").expect("the oracle is running");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the oracle is running");
        serde_json::from_str(&line).expect("the oracle writes traces; it needs CPython 3.11 or newer")
    }

    /// Returns an executor on which the traces of `library` differ from CPython's, with both traces.
    fn find_difference(
        &mut self,
        program: &Body,
        executors: &[Executor],
        library: Library,
    ) -> Option<(Executor, Traces, Traces)> {
        let kind = if executors == [Executor::Thread] { "Thread" } else { "Task" };
        let theirs = self.run(&[(kind, program)]).remove(0);
        executors
            .iter()
            .map(|&executor| (executor, library(program, executor)))
            .find_map(|(executor, ours)| (ours != theirs).then(|| (executor, ours, theirs.clone())))
    }
}

/// Runs a program with contextvar, or with deliberately wrong semantics.
type Library = fn(&Body, Executor) -> Traces;

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn programs_observe_the_same_values_as_on_cpython() {
    let Some(mut oracle) = Oracle::start() else {
        println!("skipped: there is no python3");
        return;
    };
    let seed = number_from_env("CONTEXTVAR_SEED").unwrap_or_else(|| rand::rng().random());
    let programs = number_from_env("CONTEXTVAR_PROGRAMS").unwrap_or(5000);
    println!("CONTEXTVAR_SEED={seed} CONTEXTVAR_PROGRAMS={programs}");
    if let Some(report) = first_difference(&mut oracle, seed, programs, interpreter::run) {
        panic!("{report}");
    }
}

/// Returns a report on the first program for which the traces of `library` and CPython differ: the program
/// after shrinking, in both languages, and both traces.
fn first_difference(oracle: &mut Oracle, seed: u64, programs: u64, library: Library) -> Option<String> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..programs.div_ceil(BATCH) {
        let batch: Vec<(&str, &[Executor], Body)> = (0..BATCH)
            .map(|_| match random.random_ratio(1, 4) {
                true => ("Thread", &[Executor::Thread][..], program::generate(&mut random, Allowed::NONE)),
                false => {
                    let executors = &[Executor::CurrentThread, Executor::MultiThread][..];
                    ("Task", executors, program::generate(&mut random, Allowed::ALL))
                }
            })
            .collect();
        let traces = oracle.run(&batch.iter().map(|(kind, _, program)| (*kind, program)).collect::<Vec<_>>());
        for ((kind, executors, program), theirs) in batch.into_iter().zip(traces) {
            let allowed = if kind == "Thread" { Allowed::NONE } else { Allowed::ALL };
            assert!(allowed.allows(&program));
            if executors.iter().all(|&executor| library(&program, executor) == theirs) {
                continue;
            }
            let program = program::shrink(program, allowed, |smaller| {
                oracle.find_difference(smaller, executors, library).is_some()
            });
            return Some(match oracle.find_difference(&program, executors, library) {
                Some((executor, ours, theirs)) => format!(
                    "{executor:?}: ours {ours:#?}, CPython's {theirs:#?}\n\n{}\n{}",
                    print::python::print(&program),
                    print::rust::print(&program)
                ),
                None => format!("the traces differed once, and not in a second run: {program:?}"),
            });
        }
    }
    None
}

/// Makes a program wrong: its functions run in the caller's context instead of a copy.
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
fn differences_are_found_and_shrunk() {
    let Some(mut oracle) = Oracle::start() else { return };
    let wrong: Library = |program, executor| interpreter::run(&without_copies(program), executor);
    let report =
        first_difference(&mut oracle, 7, 1000, wrong).expect("a difference within a thousand programs");
    assert!(report.starts_with("CurrentThread: ours {"), "{report}");
    // One step remains, and another in a function that runs in a copy.
    let (_, python) = report.split_once("async def body1(held):\n").expect("the program in Python");
    let (python, rust) =
        python.split_once("asyncio.run(body1(Held()))").expect("the end of the program in Python");
    assert!(python.lines().count() <= 6 && python.contains("await asyncio.create_task(body2("), "{report}");
    let (_, rust) = rust.split_once("async fn main() {").expect("the program in Rust");
    assert!(rust.lines().count() <= 8 && rust.contains("}.in_copied_context().await;"), "{report}");
}

/// So shrinking also works on a program that panics.
#[test]
fn panics_are_part_of_the_trace() {
    let program = vec![Op::Get(0), Op::Yield];
    assert_eq!(
        interpreter::run(&program, Executor::Thread)["0"],
        ["panicked: synchronous steps do not wait"]
    );
}

/// Returns a program that has every kind of step.
fn sample_program() -> Body {
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

#[test]
fn printed_programs_run() {
    let printed = print::rust::print_main(&sample_program());
    if env::var_os("UPDATE_SAMPLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/differential/sample.rs"), &printed).unwrap();
        return;
    }
    assert_eq!(printed, include_str!("sample.rs"), "UPDATE_SAMPLE=1 updates sample.rs");
    std::thread::spawn(sample::main).join().unwrap();

    let python = Command::new("python3").args(["-c", &print::python::print(&sample_program())]).output();
    if let Ok(output) = python {
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.success(), stdout.lines().count()), (true, 22), "{output:?}");
    }
}
