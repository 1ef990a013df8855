//! Threads of rayon.

// Recipe

use contextvar::{context_var, inherit_context};
use rayon::prelude::*;
use tokio::sync::oneshot;

#[context_var]
static CURRENCY: &str = "EUR";

async fn prices(cents: Vec<u64>) -> Vec<String> {
    let context = inherit_context(); // the copy is taken here, in the request
    let (sender, prices) = oneshot::channel();
    rayon::spawn(move || {
        let each = |cents| context.clone().run(|| price(cents));
        let _ = sender.send(cents.into_par_iter().map(each).collect());
    });
    prices.await.unwrap()
}

fn price(cents: u64) -> String {
    format!("{}.{:02} {}", cents / 100, cents % 100, CURRENCY.get())
}

// Test

use std::sync::Barrier;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_item_sees_its_request() {
    let request = |currency| tokio::spawn(CURRENCY.scope(currency, prices((0..1000).collect())));
    for (currency, prices) in ["USD", "JPY"].map(|currency| (currency, request(currency))) {
        let expected: Vec<_> =
            (0..1000).map(|cents| format!("{}.{:02} {currency}", cents / 100, cents % 100)).collect();
        assert_eq!(prices.await.unwrap(), expected);
    }
    assert_eq!(CURRENCY.get(), "EUR");
}

#[test]
fn a_bound_closure_gives_nothing_to_the_jobs_that_it_starts() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let context = contextvar::Context::new().with_value(&CURRENCY, "USD");
    // The two jobs wait for each other, so each has a thread of its own.
    let together = Barrier::new(2);
    let job = || {
        together.wait();
        CURRENCY.get()
    };
    let (first, second) = pool.install(context.clone().bind(|| rayon::join(job, job)));
    assert_eq!((first, second), ("USD", "EUR"));

    let (f, g) = (context.clone().bind(job), context.bind(job));
    assert_eq!(pool.install(|| rayon::join(f, g)), ("USD", "USD"));
}
