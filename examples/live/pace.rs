//! The duration of slow work: a fixed time or, in the check, until the check opens the gate.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::load::Result;

static GATE: OnceLock<Gate> = OnceLock::new();

pub(crate) async fn work(millis: u64) {
    match GATE.get() {
        None => sleep(Duration::from_millis(millis)).await,
        Some(gate) => gate.pass().await,
    }
}

pub(crate) fn blocking_work(millis: u64) {
    match GATE.get() {
        None => thread::sleep(Duration::from_millis(millis)),
        Some(gate) => gate.runtime.block_on(gate.pass()),
    }
}

/// Holds all slow work, so that each snapshot of the check has known contexts.
pub(crate) struct Gate {
    runtime: Handle,
    waiting: watch::Sender<usize>,
    openings: watch::Sender<u64>,
}

impl Gate {
    /// Makes slow work wait at the gate from now on.
    pub(crate) fn close() -> &'static Gate {
        GATE.get_or_init(|| Gate {
            runtime: Handle::current(),
            waiting: watch::Sender::new(0),
            openings: watch::Sender::new(0),
        })
    }

    async fn pass(&self) {
        let mut openings = self.openings.subscribe();
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = openings.changed().await;
    }

    /// Waits until this many parts of the work wait at the gate.
    pub(crate) async fn holds(&self, parts: usize) -> Result<()> {
        let mut waiting = self.waiting.subscribe();
        let holds = waiting.wait_for(|waiting| *waiting == parts);
        match timeout(Duration::from_secs(20), holds).await {
            Ok(_) => Ok(()),
            Err(_) => {
                Err(format!("{} of {parts} parts of the work have begun", *self.waiting.borrow()).into())
            }
        }
    }

    /// Lets the work that waits at the gate continue.
    pub(crate) fn open(&self) {
        self.waiting.send_replace(0);
        self.openings.send_modify(|openings| *openings += 1);
    }
}
