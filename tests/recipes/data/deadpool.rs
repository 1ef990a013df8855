//! A pool of deadpool.

// Recipe

use contextvar::{LookupError, context_var};
use deadpool::managed::{Manager, Metrics, Pool, PoolError, RecycleResult};

#[context_var]
static TENANT: String;

struct Connection {
    tenant: String,
}

struct Connections;

impl Manager for Connections {
    type Type = Connection;
    type Error = LookupError;

    async fn create(&self) -> Result<Connection, LookupError> {
        Ok(Connection { tenant: TENANT.try_get()? })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<LookupError> {
        connection.tenant = TENANT.try_get()?; // else it stays that of the previous request
        Ok(())
    }
}

async fn orders(pool: &Pool<Connections>) -> Result<String, PoolError<LookupError>> {
    Ok(format!("the orders of {}", pool.get().await?.tenant))
}

// Test

use std::sync::Arc;
use std::time::Duration;

use contextvar::{Context, inherit_context};
use deadpool::Runtime;
use deadpool::managed::{Hook, Object, Timeouts};
use tokio::sync::Barrier;

use super::support::{Calls, for_two_tenants};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_gets_the_tenant_of_each_request() {
    // One connection goes from request to request.
    let pool: Pool<_> = Pool::builder(Connections).max_size(1).build().unwrap();
    for _ in 0..20 {
        let orders = for_two_tenants(&TENANT, || {
            let pool = pool.clone();
            async move { orders(&pool).await.unwrap() }
        });
        assert_eq!(orders.await, ["the orders of acme", "the orders of globex"]);
    }
    assert_eq!(pool.status().size, 1);

    // A request without a tenant gets neither a used connection nor a new one.
    let error = tokio::spawn(Context::new().scope(async move { orders(&pool).await })).await.unwrap();
    assert!(matches!(error, Err(PoolError::Backend(_))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_requests_hold_connections_of_their_tenants() {
    let pool: Pool<_> = Pool::builder(Connections).max_size(2).build().unwrap();
    for _ in 0..20 {
        let both = Arc::new(Barrier::new(2));
        let tenants = for_two_tenants(&TENANT, || {
            let (pool, both) = (pool.clone(), both.clone());
            async move {
                let connection = pool.get().await.unwrap();
                both.wait().await;
                connection.tenant.clone()
            }
        });
        assert_eq!(tenants.await, ["acme", "globex"]);
    }
    assert_eq!(pool.status().size, 2);
}

struct Recorder(Calls);

impl Manager for Recorder {
    type Type = ();
    type Error = ();

    async fn create(&self) -> Result<(), ()> {
        tokio::task::yield_now().await;
        self.0.record("create");
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<()> {
        tokio::task::yield_now().await;
        self.0.record("recycle");
        Ok(())
    }

    fn detach(&self, (): &mut ()) {
        self.0.record("detach");
    }
}

/// Every hook runs in the request that calls `get`, also with timeouts.
#[tokio::test]
async fn every_hook_sees_the_request() {
    for limit in [None, Some(Duration::from_secs(60))] {
        let calls = Calls::new(&TENANT);
        let hook = |name| {
            let calls = calls.clone();
            Hook::async_fn(move |_, _| {
                let calls = calls.clone();
                Box::pin(async move {
                    calls.record(name);
                    Ok(())
                })
            })
        };
        let pool: Pool<_> = Pool::builder(Recorder(calls.clone()))
            .max_size(1)
            .post_create(hook("post_create"))
            .pre_recycle(hook("pre_recycle"))
            .post_recycle(hook("post_recycle"))
            .timeouts(Timeouts { wait: limit, create: limit, recycle: limit })
            .runtime(Runtime::Tokio1)
            .build()
            .unwrap();

        let first = TENANT.scope("acme".to_owned(), async { pool.get().await.unwrap() }).await;
        calls.assert(&[("create", Some("acme")), ("post_create", Some("acme"))]);

        // A request that has to wait: its hooks do not run in the request that returns the connection.
        let get = TENANT.scope("globex".to_owned(), async { pool.get().await.unwrap() });
        let give_back = TENANT.scope("acme".to_owned(), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        let (second, ()) = tokio::join!(get, give_back);
        calls.assert(&["pre_recycle", "recycle", "post_recycle"].map(|hook| (hook, Some("globex"))));

        // The code that removes a connection calls `detach`.
        TENANT.sync_scope("acme".to_owned(), || Object::take(second));
        calls.assert(&[("detach", Some("acme"))]);
        drop(pool.get().await.unwrap());
        calls.assert(&[("create", None), ("post_create", None)]);
        TENANT.sync_scope("acme".to_owned(), || drop(pool.retain(|(), _| false)));
        calls.assert(&[("detach", Some("acme"))]);
    }
}

/// deadpool's wrappers of blocking connections use this function for `interact`.
#[tokio::test]
async fn a_closure_on_a_blocking_thread_does_not_see_the_request() {
    TENANT.set("acme".to_owned());
    let tenant = || TENANT.try_get().ok();
    let plain = Runtime::Tokio1.spawn_blocking(tenant).await.unwrap();
    let bound = Runtime::Tokio1.spawn_blocking(inherit_context().bind(tenant)).await.unwrap();
    assert_eq!((plain, bound.as_deref()), (None, Some("acme")));
}
