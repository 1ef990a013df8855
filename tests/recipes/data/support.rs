//! Requests of two tenants, and what hooks see of them.

use std::sync::{Arc, Mutex};

use contextvar::ContextVar;

/// Runs a request of each of two tenants, both at the same time, each in a task of its own.
pub(crate) async fn for_two_tenants<F>(
    tenant: &'static ContextVar<String>,
    request: impl Fn() -> F,
) -> [F::Output; 2]
where
    F: Future<Output: Send> + Send + 'static,
{
    let [acme, globex] =
        ["acme", "globex"].map(|name| tokio::spawn(tenant.scope(name.to_owned(), request())));
    [acme.await.unwrap(), globex.await.unwrap()]
}

/// A hook, and the tenant that it saw.
pub(crate) type Call = (&'static str, Option<String>);

/// Records the tenant that each hook sees.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    tenant: &'static ContextVar<String>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Calls {
    pub(crate) fn new(tenant: &'static ContextVar<String>) -> Self {
        Self { tenant, calls: Arc::default() }
    }

    pub(crate) fn record(&self, hook: &'static str) {
        let tenant = self.tenant.try_get().ok();
        self.calls.lock().unwrap().push((hook, tenant));
    }

    /// Returns and removes what was recorded.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Checks and removes what was recorded.
    pub(crate) fn assert(&self, expected: &[(&'static str, Option<&str>)]) {
        let calls = self.take();
        let calls: Vec<_> = calls.iter().map(|(hook, tenant)| (*hook, tenant.as_deref())).collect();
        assert_eq!(calls, expected);
    }
}
