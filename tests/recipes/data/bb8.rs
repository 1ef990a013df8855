//! A pool of bb8.

// Recipe

use bb8::ManageConnection;
use contextvar::context_var;

#[context_var]
static TENANT: String;

struct Connection {
    tenant: Option<String>,
}

struct Connections;

impl ManageConnection for Connections {
    type Connection = Connection;
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<Connection> {
        Ok(Connection { tenant: None }) // in a task of bb8, which has no context
    }

    async fn is_valid(&self, connection: &mut Connection) -> std::io::Result<()> {
        connection.tenant = TENANT.try_get().ok(); // in the request, at each `get`
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

// Test

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bb8::{CustomizeConnection, Pool, RunError};
use contextvar::Context;
use tokio::sync::Barrier;

use super::support::{Calls, for_two_tenants};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_gets_the_tenant_of_each_request() {
    for size in [1, 2] {
        let pool = Pool::builder().max_size(size).build(Connections).await.unwrap();
        for _ in 0..20 {
            let together = Arc::new(Barrier::new(size as usize));
            let tenants = for_two_tenants(&TENANT, || {
                let (pool, together) = (pool.clone(), together.clone());
                async move {
                    let connection = pool.get().await.unwrap();
                    together.wait().await;
                    connection.tenant.clone()
                }
            });
            assert_eq!(tenants.await, ["acme", "globex"].map(|name| Some(name.to_owned())));
        }
        assert!(pool.state().connections <= size);

        // A request without a tenant does not get that of the previous one.
        let without = Context::new().scope(async { pool.get().await.unwrap().tenant.clone() });
        assert_eq!(without.await, None);
    }
}

#[derive(Clone, Debug)]
struct Recorder(Calls);

impl ManageConnection for Recorder {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        self.0.record("connect");
        Ok(())
    }

    async fn is_valid(&self, (): &mut ()) -> Result<(), Infallible> {
        self.0.record("is_valid");
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        self.0.record("has_broken");
        false
    }
}

impl CustomizeConnection<(), Infallible> for Recorder {
    fn on_acquire<'a>(
        &'a self,
        (): &'a mut (),
    ) -> Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send + 'a>> {
        Box::pin(async {
            self.0.record("on_acquire");
            Ok(())
        })
    }
}

#[tokio::test]
async fn hooks_of_new_connections_do_not_see_the_request() {
    let calls = Calls::new(&TENANT);
    let recorder = Recorder(calls.clone());
    let builder = Pool::builder().max_size(1).connection_customizer(Box::new(recorder.clone()));
    let pool = builder.build(recorder).await.unwrap();

    let acme = TENANT.scope("acme".to_owned(), async { drop(pool.get().await.unwrap()) });
    acme.await;
    calls.assert(&[
        ("connect", None),
        ("on_acquire", None),
        ("is_valid", Some("acme")),
        ("has_broken", Some("acme")),
    ]);

    let globex = TENANT.scope("globex".to_owned(), async { drop(pool.get().await.unwrap()) });
    globex.await;
    calls.assert(&[("is_valid", Some("globex")), ("has_broken", Some("globex"))]);

    // Outside of the pool, a connection is opened in the request.
    TENANT.scope("acme".to_owned(), async { pool.dedicated_connection().await.unwrap() }).await;
    calls.assert(&[("connect", Some("acme")), ("on_acquire", Some("acme"))]);
}

#[tokio::test]
async fn without_the_test_at_check_out_no_hook_sees_the_request() {
    let calls = Calls::new(&TENANT);
    let builder = Pool::builder().max_size(1).test_on_check_out(false);
    let pool = builder.build(Recorder(calls.clone())).await.unwrap();
    let connection = TENANT.scope("acme".to_owned(), async { pool.get().await.unwrap() });
    let connection = connection.await;
    calls.assert(&[("connect", None)]);
    drop(connection);
}

/// Rejects this number of connections.
struct Rejects(Calls, AtomicU32);

impl ManageConnection for Rejects {
    type Connection = ();
    type Error = ();

    async fn connect(&self) -> Result<(), ()> {
        self.0.record("connect");
        Ok(())
    }

    async fn is_valid(&self, (): &mut ()) -> Result<(), ()> {
        let rejects = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        if rejects.is_ok() { Err(()) } else { Ok(()) }
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

#[tokio::test]
async fn an_error_of_is_valid_opens_connections_until_the_timeout() {
    let calls = Calls::new(&TENANT);
    let pool = Pool::builder().max_size(1).build(Rejects(calls.clone(), 3.into())).await.unwrap();
    pool.get().await.unwrap();
    calls.assert(&[("connect", None); 4]);

    let builder = Pool::builder().max_size(1).connection_timeout(Duration::from_millis(50));
    let pool = builder.build(Rejects(calls, u32::MAX.into())).await.unwrap();
    assert!(matches!(pool.get().await, Err(RunError::TimedOut)));
}
