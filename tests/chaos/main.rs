//! Tasks by the thousand that set variables, spawn, wait, are aborted and panic at random, on runtimes that
//! come and go. Each task tracks the values that it must read, and checks them after every step. At the end
//! every value has been dropped and no memory has leaked.
//!
//! ```console
//! $ cargo test -p contextvar-tests --test chaos            # 40 000 tasks
//! $ CONTEXTVAR_LIVES=10000000 cargo test --release -p contextvar-tests --test chaos    # ten million
//! $ CONTEXTVAR_SEED=n cargo test -p contextvar-tests --test chaos    # repeats a run, except for the order of its threads
//! ```

mod counts;
mod eras;
mod expected;
mod lives;
mod panics;
mod variables;

use std::env;
use std::panic;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use counts::*;
use eras::{ROOTS, run_era};

fn number_from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn chaos() {
    const LIVES_PER_ERA: u64 = 1000;

    let seed = number_from_env("CONTEXTVAR_SEED").unwrap_or_else(|| rand::rng().random());
    let lives = number_from_env("CONTEXTVAR_LIVES").unwrap_or(40_000);
    println!("CONTEXTVAR_SEED={seed} CONTEXTVAR_LIVES={lives}");
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        FAILED_CHECKS.add_one();
        print(info);
    }));
    let mut random = StdRng::seed_from_u64(seed);
    let mut allocated = Vec::new();
    for part in 1..=10 {
        while LIVES.get() < lives * part / 10 {
            run_era(&mut random, LIVES.get() + LIVES_PER_ERA);
        }
        allocated.push(allocated_bytes());
    }
    println!(
        "{} lives, {} deliberate panics, {} aborts, {} futures run inside a poll, {} of {} runtimes shut down with {} tasks \
         pending, {} values; bytes {allocated:?}",
        LIVES.get(),
        DELIBERATE_PANICS.get(),
        ABORTED.get(),
        NESTED.get(),
        SHUT_DOWN.get(),
        RUNTIMES.get(),
        PENDING.get(),
        VALUES_MADE.get(),
    );
    assert_eq!(FAILED_CHECKS.get(), 0, "every check holds");
    assert!(DELIBERATE_PANICS.get() > lives / 100);
    assert!(ABORTED.get() > lives / 100);
    assert!(NESTED.get() > lives / 1000);
    assert!(SHUT_DOWN.get() > 0);
    assert!(PENDING.get() >= ROOTS as u64 * SHUT_DOWN.get());
    assert_eq!(VALUES_DROPPED_TWICE.get(), 0);
    assert_eq!(VALUES_MADE.get(), VALUES_DROPPED.get(), "every value is dropped");
    // All memory that stays was allocated once, in the first tenth.
    assert!(allocated[9] < allocated[0] + 64 * 1024, "{allocated:?}");
}
