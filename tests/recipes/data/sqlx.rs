//! A pool of sqlx.

// Recipe

use contextvar::context_var;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqlitePoolOptions};

#[context_var]
static TENANT: String;

fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async {
                let table = "CREATE TEMP TABLE session (id INTEGER PRIMARY KEY, tenant TEXT)";
                sqlx::query(table).execute(&mut *connection).await?;
                set_tenant(connection).await
            })
        })
        .before_acquire(|connection, _| Box::pin(async { set_tenant(connection).await.map(|()| true) }))
}

async fn set_tenant(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let tenant = TENANT.try_get().ok(); // without a tenant, no rows
    sqlx::query("REPLACE INTO session VALUES (1, ?)").bind(tenant).execute(connection).await?;
    Ok(())
}

async fn orders(pool: &SqlitePool) -> sqlx::Result<Vec<String>> {
    let orders = "SELECT item FROM orders WHERE tenant = (SELECT tenant FROM session)";
    sqlx::query_scalar(orders).fetch_all(pool).await
}

// Test

use std::sync::Arc;
use std::time::Duration;

use contextvar::Context;
use tokio::sync::{Barrier, mpsc};

use super::support::for_two_tenants;

async fn fill(connection: &mut SqliteConnection) {
    sqlx::query("CREATE TABLE orders (tenant TEXT, item TEXT)").execute(&mut *connection).await.unwrap();
    for (tenant, item) in [("acme", "anvil"), ("globex", "globe")] {
        let insert = sqlx::query("INSERT INTO orders VALUES (?, ?)").bind(tenant).bind(item);
        insert.execute(&mut *connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_gets_the_tenant_of_each_request() {
    // One connection goes from request to request.
    let pool = pool_options().max_connections(1).connect("sqlite::memory:").await.unwrap();
    fill(&mut pool.acquire().await.unwrap()).await;
    for _ in 0..20 {
        let orders = for_two_tenants(&TENANT, || {
            let pool = pool.clone();
            async move { orders(&pool).await.unwrap() }
        });
        assert_eq!(orders.await, [["anvil"], ["globe"]]);
    }
    let without = Context::new().scope(orders(&pool)).await.unwrap();
    assert_eq!(without, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_have_the_tenant_as_well() {
    let pool = pool_options().max_connections(3).connect("sqlite::memory:").await.unwrap();
    // Held, so that the requests open connections.
    let mut held = pool.acquire().await.unwrap();
    fill(&mut held).await;
    assert_eq!(pool.size(), 1);
    let both = Arc::new(Barrier::new(2));
    let orders = for_two_tenants(&TENANT, || {
        let (pool, both) = (pool.clone(), both.clone());
        async move {
            let mut connection = pool.acquire().await.unwrap();
            both.wait().await;
            let tenant = sqlx::query_scalar::<_, String>("SELECT tenant FROM session");
            let tenant = tenant.fetch_one(&mut *connection).await.unwrap();
            both.wait().await;
            drop(connection);
            (tenant, orders(&pool).await.unwrap())
        }
    });
    let expected = [("acme", "anvil"), ("globex", "globe")];
    assert_eq!(orders.await, expected.map(|(tenant, item)| (tenant.to_owned(), vec![item.to_owned()])));
    assert_eq!(pool.size(), 3);
}

type Call = (&'static str, Option<String>);

/// Returns options whose hooks send the tenant that they see.
fn recording() -> (SqlitePoolOptions, mpsc::UnboundedReceiver<Call>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let record = move |hook| drop(sender.send((hook, TENANT.try_get().ok())));
    let (connect, acquire, release) = (record.clone(), record.clone(), record);
    let options = SqlitePoolOptions::new()
        .max_connections(1)
        .after_connect(move |_, _| {
            connect("after_connect");
            Box::pin(async { Ok(()) })
        })
        .before_acquire(move |_, _| {
            acquire("before_acquire");
            Box::pin(async { Ok(true) })
        })
        .after_release(move |_, _| {
            release("after_release");
            Box::pin(async { Ok(true) })
        });
    (options, calls)
}

fn call(hook: &'static str, tenant: Option<&str>) -> Option<Call> {
    Some((hook, tenant.map(str::to_owned)))
}

#[tokio::test]
async fn hooks_of_an_acquire_see_the_request() {
    let (options, mut calls) = recording();
    let pool = options.connect_lazy("sqlite::memory:").unwrap();

    // The request opens the connection. There is no `before_acquire`.
    let first = TENANT.scope("acme".to_owned(), async { drop(pool.acquire().await.unwrap()) });
    first.await;
    assert_eq!(calls.recv().await, call("after_connect", Some("acme")));
    // A task of sqlx returns it.
    assert_eq!(calls.recv().await, call("after_release", None));

    let second = TENANT.scope("globex".to_owned(), async { drop(pool.acquire().await.unwrap()) });
    second.await;
    assert_eq!(calls.recv().await, call("before_acquire", Some("globex")));
    assert_eq!(calls.recv().await, call("after_release", None));
}

#[tokio::test]
async fn a_connection_that_sqlx_opens_does_not_see_the_request() {
    let (options, mut calls) = recording();
    let pool = options.min_connections(1).connect("sqlite::memory:").await.unwrap();
    while let Ok((_, tenant)) = calls.try_recv() {
        assert_eq!(tenant, None);
    }

    let close = TENANT.scope("acme".to_owned(), async {
        let mut connection = pool.acquire().await.unwrap();
        connection.close_on_drop();
    });
    close.await;
    assert_eq!(calls.recv().await, call("before_acquire", Some("acme")));
    // A task of sqlx opens another one in its place.
    assert_eq!(calls.recv().await, call("after_connect", None));
}

#[tokio::test]
async fn an_error_of_a_hook_becomes_a_timeout() {
    let error = || Box::pin(async { Err(sqlx::Error::RowNotFound) });
    let options = SqlitePoolOptions::new().acquire_timeout(Duration::from_millis(50));
    let pool = options.after_connect(move |_, _| error()).connect_lazy("sqlite::memory:").unwrap();
    let result = pool.acquire().await;
    assert!(matches!(result, Err(sqlx::Error::PoolTimedOut)), "{result:?}");
}
