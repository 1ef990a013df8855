//! The runtimes that units run on.

use std::pin::Pin;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, LocalSet};

/// The runtime or thread that a unit starts on.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) runtime: usize,
    handle: Handle,
    local: Option<mpsc::UnboundedSender<BoxedFuture>>,
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Target {
    /// Makes the runtime the current one, except that of a `LocalSet`: its own tasks are inside already.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.local.is_none().then(|| self.handle.enter())
    }

    /// Starts a task that has a context.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        match &self.local {
            None => Some(self.handle.spawn(future).abort_handle()),
            Some(local) => {
                assert!(local.send(Box::pin(future)).is_ok());
                None
            }
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    pub(crate) fn has_hooks(&self) -> bool {
        KINDS[self.runtime].has_hooks
    }
}

pub(crate) struct Kind {
    workers: usize,
    has_hooks: bool,
    is_local: bool,
}

const KINDS: &[Kind] = &[
    Kind { workers: 2, has_hooks: false, is_local: false },
    Kind { workers: 0, has_hooks: false, is_local: false },
    Kind { workers: 0, has_hooks: false, is_local: true },
    #[cfg(tokio_unstable)]
    Kind { workers: 2, has_hooks: true, is_local: false },
    #[cfg(tokio_unstable)]
    Kind { workers: 0, has_hooks: true, is_local: false },
];

/// A runtime of each kind.
pub(crate) struct Runtimes(Vec<Option<Running>>);

struct Running {
    target: Target,
    end: End,
}

enum End {
    ShutDown(Runtime),
    /// The thread that polls the tasks ends when the sender is dropped.
    Join(oneshot::Sender<()>, JoinHandle<()>),
}

impl Runtimes {
    pub(crate) fn start() -> Runtimes {
        Runtimes((0..KINDS.len()).map(|index| Some(start(index))).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn target(&self, runtime: usize) -> Target {
        self.0[runtime].as_ref().expect("running").target.clone()
    }

    /// Shuts a runtime down, which ends its tasks, and starts another one.
    pub(crate) fn restart(&mut self, runtime: usize) {
        end(self.0[runtime].take().expect("running"));
        self.0[runtime] = Some(start(runtime));
    }

    pub(crate) fn stop(self) {
        self.0.into_iter().flatten().for_each(end);
    }
}

fn end(running: Running) {
    match running.end {
        // Blocking calls continue.
        End::ShutDown(runtime) => runtime.shutdown_background(),
        End::Join(stop, thread) => {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

fn start(index: usize) -> Running {
    let kind = &KINDS[index];
    let mut builder =
        if kind.workers > 0 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if kind.workers > 0 {
        builder.worker_threads(kind.workers);
    }
    #[cfg(tokio_unstable)]
    if kind.has_hooks {
        contextvar::runtime::InheritContext::inherit_context(&mut builder);
    }
    let runtime = builder.build().unwrap();
    let handle = runtime.handle().clone();
    if kind.workers > 0 {
        return Running {
            target: Target { runtime: index, handle, local: None },
            end: End::ShutDown(runtime),
        };
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let (send, mut futures) = mpsc::unbounded_channel::<BoxedFuture>();
    let is_local = kind.is_local;
    let thread = thread::spawn(move || {
        if is_local {
            let local = LocalSet::new();
            local.spawn_local(async move {
                while let Some(future) = futures.recv().await {
                    drop(tokio::task::spawn_local(future));
                }
            });
            runtime.block_on(local.run_until(stopped)).unwrap_err();
        } else {
            runtime.block_on(stopped).unwrap_err();
        }
        runtime.shutdown_background();
    });
    let local = is_local.then_some(send);
    Running { target: Target { runtime: index, handle, local }, end: End::Join(stop, thread) }
}
