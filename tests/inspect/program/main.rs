//! A random program of a thousand pieces of work that hand over, set variables, end, panic, are aborted and are shut
//! down, on all kinds of runtimes and threads. A model tracks the true tree. When all work is at rest, the list
//! must equal the model. While work runs, another thread takes snapshots and checks the invariants of each.
//!
//! ```console
//! $ cargo test -p contextvar-tests-inspect --test program    # 1000 units
//! $ CONTEXTVAR_UNITS=20000 CONTEXTVAR_SEED=n cargo test -p contextvar-tests-inspect --test program
//! $ RUSTFLAGS="--cfg tokio_unstable" cargo test -p contextvar-tests-inspect --test program    # with hooks
//! ```

mod model;
mod observer;
mod runtimes;
mod units;

use std::env;
use std::panic;

use contextvar::inspect;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use model::Model;
use observer::Observer;
use runtimes::Runtimes;
use units::{Command, Deliberate, Value};

fn number_from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn the_list_agrees_with_the_true_tree() {
    let seed = number_from_env("CONTEXTVAR_SEED").unwrap_or(21);
    let units = number_from_env("CONTEXTVAR_UNITS").unwrap_or(if cfg!(miri) { 20 } else { 1000 });
    println!("CONTEXTVAR_SEED={seed} CONTEXTVAR_UNITS={units}");
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Deliberate>() {
            eprintln!("CONTEXTVAR_SEED={seed} CONTEXTVAR_UNITS={units}");
            print(info);
        }
    }));

    inspect::enable();
    let mut random = StdRng::seed_from_u64(seed);
    let mut runtimes = Runtimes::start();
    let observer = Observer::start();
    let mut model = Model::new();
    while model.units_made() < units {
        grow(&mut model, &mut runtimes, &mut random);
        end_some(&mut model, &mut runtimes, &mut random, &observer);
    }
    while model.live_units().next().is_some() {
        end_some(&mut model, &mut runtimes, &mut random, &observer);
    }
    println!("{} snapshots meanwhile; {}", observer.stop(), model.counts);
    runtimes.stop();
    assert!(inspect::snapshot().is_empty(), "{}", inspect::snapshot());
    assert!(Value::live().is_empty(), "{:?}", Value::live());
    model.counts.assert_all_happened(units);
}

/// Lets units hand over, set variables and yield, all at the same time.
fn grow(model: &mut Model, runtimes: &mut Runtimes, random: &mut StdRng) {
    for _ in 0..random.random_range(10..60) {
        // A quarter are new roots, while there are few roots.
        let live: Vec<u64> = model.live_units().collect();
        let is_root = live.len() < 5 || random.random_ratio(1, 20);
        let unit = if is_root { None } else { live.choose(random).copied() };
        match (unit, random.random_range(0..10)) {
            (Some(unit), 0..=2) => model.set_value(unit),
            (Some(unit), 3) => model.send(unit, Command::Yield(random.random_range(1..5))),
            (Some(unit), 4) => model.unset_value(unit),
            _ => model.hand_over(unit, runtimes, random),
        }
    }
    model.await_rest();
}

/// Ends units in all ways.
fn end_some(model: &mut Model, runtimes: &mut Runtimes, random: &mut StdRng, observer: &Observer) {
    if random.random_ratio(1, 12) {
        let runtime = random.random_range(0..runtimes.len());
        while let Some(unit) = model.find_related(&model.tasks_on(runtime)) {
            observer.expect(model.will_end(&model.with_nested(&[unit])));
            model.end(unit, random);
            model.await_rest();
        }
        let tasks = model.tasks_on(runtime);
        observer.expect(model.will_end(&model.with_nested(&tasks)));
        model.shut_down(runtime, &tasks, runtimes);
        model.await_rest();
    }
    for _ in 0..random.random_range(1..6) {
        let victims = model.choose_unrelated(random.random_range(1..12), random);
        observer.expect(model.will_end(&model.with_nested(&victims)));
        for victim in victims {
            model.end(victim, random);
        }
        model.await_rest();
    }
    observer.expect(model.will_end(&[]));
}
