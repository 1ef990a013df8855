//! A loader that joins the loads of many requests in a query.

// Recipe

use contextvar::context_var;
use tokio::sync::{mpsc, oneshot};

#[context_var]
static TENANT: String;

type Load = (String, (u64, oneshot::Sender<String>));

async fn load(loads: &mpsc::Sender<Load>, key: u64) -> String {
    let (sender, value) = oneshot::channel();
    loads.send((TENANT.get(), (key, sender))).await.unwrap();
    value.await.unwrap()
}

async fn run_loader(mut loads: mpsc::Receiver<Load>) {
    let mut batch = Vec::new();
    while loads.recv_many(&mut batch, 100).await > 0 {
        let mut tenants = std::collections::BTreeMap::<_, (Vec<_>, Vec<_>)>::new();
        batch.drain(..).for_each(|(tenant, load)| tenants.entry(tenant).or_default().extend([load]));
        for (tenant, (keys, senders)) in tenants {
            let values = TENANT.scope(tenant, query(&keys)).await;
            senders.into_iter().zip(values).for_each(|(sender, value)| drop(sender.send(value)));
        }
    }
}

async fn query(keys: &[u64]) -> Vec<String> {
    keys.iter().map(|key| format!("{} {key} in a query of {}", TENANT.get(), keys.len())).collect()
}

// Test

use contextvar::task;
use futures::future::join_all;

use super::support::for_two_tenants;

fn start() -> mpsc::Sender<Load> {
    let (sender, loads) = mpsc::channel(100);
    drop(task::spawn_in_empty_context(run_loader(loads)));
    sender
}

#[tokio::test]
async fn each_tenant_has_a_query_of_its_own() {
    let loader = start();
    // The requests send all keys before the loader runs.
    let values = for_two_tenants(&TENANT, || {
        let loader = loader.clone();
        async move { join_all([1, 2, 3].map(|key| load(&loader, key))).await }
    });
    let expected =
        ["acme", "globex"].map(|tenant| [1, 2, 3].map(|key| format!("{tenant} {key} in a query of 3")));
    assert_eq!(values.await, expected);
}

#[tokio::test]
async fn requests_of_one_tenant_share_a_query() {
    let loader = start();
    let request = |key| {
        let loader = loader.clone();
        tokio::spawn(TENANT.scope("acme".to_owned(), async move { load(&loader, key).await }))
    };
    for (key, request) in [1, 2].map(|key| (key, request(key))) {
        assert_eq!(request.await.unwrap(), format!("acme {key} in a query of 2"));
    }
}

#[tokio::test]
async fn a_request_that_is_aborted_does_not_stop_the_loader() {
    let loader = start();
    let mut aborted = Box::pin(TENANT.scope("acme".to_owned(), load(&loader, 1)));
    assert!(futures::poll!(&mut aborted).is_pending());
    drop(aborted);
    let value = TENANT.scope("acme".to_owned(), load(&loader, 2));
    assert_eq!(value.await, "acme 2 in a query of 2");

    // Nor does a request without a tenant.
    let without = tokio::spawn({
        let loader = loader.clone();
        async move { load(&loader, 1).await }
    });
    assert!(without.await.unwrap_err().is_panic());
    let value = TENANT.scope("globex".to_owned(), load(&loader, 3));
    assert_eq!(value.await, "globex 3 in a query of 1");
}
