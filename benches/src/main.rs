//! contextvar and its peers, side by side, in one run.

mod alloc;
mod instructions;
mod measure;
mod operation;
mod peers;
mod report;
mod work;

use std::env;
use std::process;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == instructions::ONLY) {
        process::exit(instructions::only(&arguments[1..]));
    }
    if arguments.first().is_some_and(|first| first == "--instructions") {
        print!("{}", instructions::tables(&instructions::count_all().unwrap()));
        return;
    }
    let mut peers = peers::all();
    let figures = measure::all(&mut peers);
    print!("{}", report::tables(&peers, &figures));
}
