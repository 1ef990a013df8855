//! Counts the instructions per operation with callgrind. The counts do not depend on the machine's load.
//!
//! The program runs itself under valgrind with one operation and a number of repeats, and again with twice as
//! many. The difference per repeat is the cost of the operation and its loop, without the setup.

use std::collections::BTreeMap;
use std::env;
use std::process::{Command, Stdio};

use crate::alloc;
use crate::measure::Meter;
use crate::operation::Operation;
use crate::peers::{self, CONTEXTVAR, FLOOR, OPENTELEMETRY, TASK_LOCAL};
use crate::report;

/// The instructions for each operation, number of variables, and index of a peer.
pub(crate) type Counts = BTreeMap<(Operation, usize, usize), f64>;

const PEERS: [usize; 4] = [CONTEXTVAR, FLOOR, TASK_LOCAL, OPENTELEMETRY];
const SIZES: [usize; 3] = [1, 8, 1000];

/// The argument that makes this program run one operation, for callgrind. The arguments after it are the
/// peer, the operation, the number of variables, and the repeats.
pub(crate) const ONLY: &str = "--only";

pub(crate) fn count_all() -> Result<Counts, String> {
    let mut counts = Counts::new();
    for operation in Operation::ALL {
        // The counts of two workers that steal from each other are not reproducible.
        if operation == Operation::SpawnMultiThread {
            continue;
        }
        for variables in SIZES.into_iter().filter(|&size| operation.runs_with(size)) {
            eprint!("\r{:<60}", format!("{}, {variables} set", operation.title()));
            for peer in PEERS {
                if let Some(count) = count_one(peer, operation, variables)? {
                    counts.insert((operation, variables, peer), count);
                }
            }
        }
    }
    eprintln!("\r{:<60}", "");
    Ok(counts)
}

pub(crate) fn tables(counts: &Counts) -> String {
    let mut text = String::new();
    for variables in SIZES {
        let set = if variables == 1 { "1 variable".to_owned() } else { format!("{variables} variables") };
        text += &format!("## With {set} set: instructions, the loop of 3 included\n\n");
        let names: Vec<&str> = PEERS.iter().map(|&peer| peers::make(peer).name()).collect();
        text += &report::header("operation", names.into_iter());
        for operation in Operation::ALL {
            if counts.contains_key(&(operation, variables, CONTEXTVAR)) {
                let cells = PEERS.iter().map(|&peer| {
                    counts.get(&(operation, variables, peer)).map(|&count| report::number(count))
                });
                text += &report::row(operation.title(), cells);
            }
        }
        text.push('\n');
    }
    text
}

/// Returns `None` if the peer does not have the operation.
fn count_one(peer: usize, operation: Operation, variables: usize) -> Result<Option<f64>, String> {
    let repeats = match operation {
        _ if operation.is_request() => 100,
        Operation::SpawnCurrentThread => 4_000,
        // A thousand nested scopes, or a thousand copied values.
        _ if variables == 1000 && peer != CONTEXTVAR => 1_000,
        _ => 10_000,
    };
    count(&[ONLY, &peer.to_string(), &format!("{operation:?}"), &variables.to_string()], repeats)
}

/// Counts the instructions of one repeat of this program with these arguments, to which it adds the number of
/// repeats. Returns `None` if the program has no such operation.
pub(crate) fn count(arguments: &[&str], repeats: u64) -> Result<Option<f64>, String> {
    let (once, twice) = (start(arguments, repeats)?, start(arguments, 2 * repeats)?);
    let (Some(once), Some(twice)) = (once.finish()?, twice.finish()?) else { return Ok(None) };
    Ok(Some(twice.saturating_sub(once) as f64 / repeats as f64))
}

struct Counting(std::process::Child);

fn start(arguments: &[&str], repeats: u64) -> Result<Counting, String> {
    let program = env::current_exe().map_err(|error| format!("can't find this program: {error}"))?;
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .arg(repeats.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map(Counting)
        .map_err(|error| format!("valgrind does not start: {error}"))
}

impl Counting {
    /// Returns the count, from the line `==1234== Collected : 5678`, or `None` if the program has no such
    /// operation.
    fn finish(self) -> Result<Option<u64>, String> {
        let output = self.0.wait_with_output().map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(0) => {}
            Some(code) if code == i32::from(NO_SUCH_OPERATION) => return Ok(None),
            _ => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
        let report = String::from_utf8_lossy(&output.stderr);
        let collected =
            report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        Ok(Some(collected.ok_or("callgrind reports no count")?))
    }
}

const NO_SUCH_OPERATION: u8 = 3;

/// Runs one operation under callgrind. Returns the exit code, which tells whether the peer has the operation.
pub(crate) fn run_one(arguments: &[&str]) -> u8 {
    let [peer, operation, variables, repeats] = arguments else { panic!("{ONLY} takes four arguments") };
    let operation = Operation::ALL.into_iter().find(|known| format!("{known:?}") == *operation);
    let meter = Meter { repeats: repeats.parse().unwrap(), count_allocations: false };
    alloc::recycle_aligned_blocks();
    let mut peer = peers::make(peer.parse().unwrap());
    match peer.run(operation.unwrap(), variables.parse().unwrap(), meter) {
        Some(_) => 0,
        None => NO_SUCH_OPERATION,
    }
}
