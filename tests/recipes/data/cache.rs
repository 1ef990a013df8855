//! A cache of moka.

// Recipe

use contextvar::context_var;
use moka::future::Cache;

#[context_var]
static TENANT: String;

type Prices = Cache<(String, u64), String>;

async fn price(prices: &Prices, item: u64) -> String {
    // `load` reads `TENANT`, so the key has it.
    prices.get_with((TENANT.get(), item), load(item)).await
}

async fn load(item: u64) -> String {
    tokio::task::yield_now().await; // a query
    TENANT.with(|tenant| format!("the price of item {item} for {tenant}"))
}

// Test

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Barrier, oneshot};

use super::support::for_two_tenants;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_a_price_of_its_own() {
    let prices = Prices::new(100);
    for item in 0..20 {
        let both = Arc::new(Barrier::new(2));
        let loaded = for_two_tenants(&TENANT, || {
            let (prices, both) = (prices.clone(), both.clone());
            async move {
                both.wait().await;
                price(&prices, item).await
            }
        });
        let expected = ["acme", "globex"].map(|tenant| format!("the price of item {item} for {tenant}"));
        assert_eq!(loaded.await, expected);
        let cached = TENANT.scope("globex".to_owned(), price(&prices, item));
        assert_eq!(cached.await, expected[1]);
    }
}

/// A cache whose key lacks the tenant.
type Shared = Cache<u64, String>;

#[tokio::test]
async fn a_load_runs_in_the_context_of_the_first_caller() {
    let cache = Shared::new(100);
    let loads = Arc::new(AtomicU64::new(0));
    // The second request arrives while the first one loads.
    let tenants = for_two_tenants(&TENANT, || {
        let (cache, loads) = (cache.clone(), loads.clone());
        async move {
            let load = async {
                loads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                TENANT.get()
            };
            cache.get_with(1, load).await
        }
    });
    assert_eq!(tenants.await, ["acme", "acme"]);
    let later = TENANT.scope("globex".to_owned(), async { cache.get_with(1, async { TENANT.get() }).await });
    assert_eq!(later.await, "acme");
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_load_whose_caller_is_aborted_starts_again_in_another_context() {
    let cache = Shared::new(100);
    let (started, is_started) = oneshot::channel();
    let first = tokio::spawn(TENANT.scope("acme".to_owned(), {
        let cache = cache.clone();
        async move {
            let load = async {
                started.send(TENANT.get()).unwrap();
                pending::<String>().await
            };
            cache.get_with(1, load).await
        }
    }));
    assert_eq!(is_started.await.unwrap(), "acme");
    let mut second = Box::pin(
        TENANT.scope("globex".to_owned(), async { cache.get_with(1, async { TENANT.get() }).await }),
    );
    assert!(futures::poll!(&mut second).is_pending());
    first.abort();
    assert_eq!(second.await, "globex");
}
