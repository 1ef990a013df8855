//! Runs the blocks that are in Rust.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use contextvar::{
    Context, ContextVar, ResetErrorKind, Token, context_var, copy_context, python, task, with_copied_context,
};
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::tokio::{get_runtime, scope};
use tokio::task::JoinHandle;

use super::{Inner, Raised, run_now};

#[context_var(python = "mixed:A")]
static A: String;
#[context_var(python = "mixed:B")]
static B: String = "default".to_owned();
#[context_var(python = "mixed:C")]
static C: String;
#[context_var(python = "mixed:D")]
static D: String = "default".to_owned();
/// Is not tied.
#[context_var]
static IN_RUST: String;

static VARS: [&ContextVar<String>; 5] = [&A, &B, &C, &D, &IN_RUST];

/// The number of slots for each of tokens, contexts and tasks in a frame.
const SLOTS: usize = 3;

/// The state of a task, a thread or a call from Python.
struct Frame {
    program: Arc<Inner>,
    /// Each is a token, or `Some(None)` once the token was used.
    tokens: [Option<Option<Token<String>>>; SLOTS],
    contexts: [Option<Context>; SLOTS],
    /// Each is a task, and the slot to which its context returns.
    tasks: [Option<Task>; SLOTS],
    /// Tasks whose slots were overwritten. They are joined at the end.
    other_tasks: Vec<Task>,
}

type Task = (JoinHandle<Option<Context>>, usize);

/// Runs a block with a frame of its own, and joins its tasks.
pub(super) async fn run_frame(program: Arc<Inner>, block: usize) -> PyResult<()> {
    let mut frame = Frame {
        program,
        tokens: Default::default(),
        contexts: Default::default(),
        tasks: Default::default(),
        other_tasks: Vec::new(),
    };
    let result = frame.exec(block).await;
    for slot in 0..SLOTS {
        frame.join(slot).await;
    }
    for task in mem::take(&mut frame.other_tasks) {
        frame.join_task(task).await;
    }
    result
}

/// Does what [`run_frame`] does, and records an error.
async fn run_to_end(program: Arc<Inner>, block: usize) {
    if let Err(error) = run_frame(program.clone(), block).await {
        program.record(block, format!("died {}", text(&error)));
    }
}

/// Returns a future that finds the event loop even in a context that does not come from Python.
async fn in_loop<R>(program: Arc<Inner>, future: impl Future<Output = R> + Send + 'static) -> R {
    let locals = Python::attach(|py| TaskLocals::new(program.python.event_loop.bind(py).clone()));
    scope(locals, future).await
}

#[with_copied_context]
async fn isolated(frame: &mut Frame, block: usize) -> PyResult<()> {
    frame.exec(block).await
}

fn text(error: &PyErr) -> String {
    Python::attach(|py| error.value(py).to_string())
}

/// Returns the values of all variables in the current context.
fn values() -> String {
    VARS.map(|var| var.try_get().unwrap_or_else(|_| "-".to_owned())).join(" ")
}

fn join<T: Send>(thread: thread::JoinHandle<T>) -> T {
    // The thread may need the GIL, which this thread may hold.
    Python::attach(|py| py.detach(|| thread.join().unwrap()))
}

impl Frame {
    fn exec(&mut self, block: usize) -> Pin<Box<dyn Future<Output = PyResult<()>> + Send + '_>> {
        Box::pin(async move {
            let program = self.program.clone();
            program.ran.lock().unwrap().insert(block);
            let mut result = Ok(());
            for (kind, numbers) in &program.blocks[block] {
                result = self.step(block, kind, numbers).await;
                if result.is_err() {
                    break;
                }
            }
            program.record(block, values());
            result
        })
    }

    /// Runs a block that does not wait.
    fn call(&mut self, block: usize) -> PyResult<()> {
        run_now(self.exec(block))
    }

    async fn step(&mut self, block: usize, kind: &str, numbers: &[usize]) -> PyResult<()> {
        let program = self.program.clone();
        let record = |seen: &str| program.record(block, seen);
        match (kind, numbers) {
            ("get", []) => record(&values()),
            ("get_or", &[var, value]) => record(&VARS[var].get_or(format!("text {value}"))),
            ("set", &[var, value, slot]) => {
                let token = VARS[var].set(format!("text {value}"));
                record(token.old_value().map_or("missing", String::as_str));
                self.tokens[slot] = Some(Some(token));
            }
            ("reset", &[slot, var]) => record(self.reset(var, slot)),
            ("scoped", &[var, value, inner]) => {
                VARS[var].sync_scope(format!("text {value}"), || self.call(inner))?;
            }
            ("copy", &[slot]) => self.contexts[slot] = Some(copy_context()),
            ("new", &[slot]) => self.contexts[slot] = Some(Context::new()),
            ("lookup", &[slot]) => {
                record(&self.contexts[slot].as_ref().map_or("no context".to_owned(), |it| {
                    VARS.map(|var| it.get(var).map_or("-", String::as_str)).join(" ")
                }))
            }
            ("run", &[slot, inner]) => {
                if let Some(mut context) = self.contexts[slot].take() {
                    let result = context.run(|| self.call(inner));
                    self.contexts[slot].get_or_insert(context);
                    result?;
                }
            }
            ("raise_", &[value]) => return Err(Raised::new_err(value)),
            ("catch", &[inner]) => {
                if let Err(error) = self.exec(inner).await {
                    record(&format!("caught {}", text(&error)));
                }
            }
            ("call", &[_, applying_changes, inner]) => {
                let f = |py: Python<'_>| program.call_python(py, &program.python.call, inner).map(drop);
                let result = match applying_changes {
                    0 => python::call(f),
                    _ => python::call_applying_changes(f),
                };
                self.end_call(block, result)?;
            }
            ("thread", &[copies, inner]) => {
                // A thread that has entered no context does not keep Python's own variables from call to call.
                let mut context = if copies == 0 { Context::new() } else { copy_context() };
                join(thread::spawn(move || context.run(|| run_now(run_to_end(program, inner)))));
            }
            ("task", &[slot, inner]) => {
                let future = in_loop(program.clone(), run_to_end(program.clone(), inner));
                let _guard = get_runtime().enter();
                let handle = task::spawn(async {
                    future.await;
                    None
                });
                self.store_task(slot, (handle, slot));
            }
            ("task_in", &[from, slot, inner]) => {
                if let Some(context) = self.contexts[from].take() {
                    let future = context.scope(run_to_end(program.clone(), inner)).and_context();
                    let future = in_loop(program.clone(), future);
                    let handle = get_runtime().spawn(async { Some(future.await.1) });
                    self.store_task(slot, (handle, from));
                }
            }
            ("join", &[slot]) => self.join(slot).await,
            ("yield_", []) => tokio::task::yield_now().await,
            ("await_", &[inner]) => self.exec(inner).await?,
            ("isolated", &[inner]) => isolated(self, inner).await?,
            ("to_thread", &[inner]) => {
                let call = {
                    let _guard = get_runtime().enter();
                    task::spawn_blocking(move || run_now(run_to_end(program, inner)))
                };
                call.await.unwrap();
            }
            ("call_async", &[_, applying_changes, inner]) => {
                let function = &program.python.call_async;
                let result = match applying_changes {
                    0 => python::call_async(|py| program.call_python(py, function, inner)).await,
                    _ => {
                        python::call_async_applying_changes(|py| program.call_python(py, function, inner))
                            .await
                    }
                };
                self.end_call(block, result.map(drop))?;
            }
            _ => unreachable!("there is no step {kind} {numbers:?}"),
        }
        Ok(())
    }

    /// Records the changes of a call into Python, and its error.
    fn end_call(&self, block: usize, result: PyResult<()>) -> PyResult<()> {
        let raised = result.as_ref().err().map_or(String::new(), |error| format!(", raised {}", text(error)));
        self.program.record(block, values() + &raised);
        result
    }

    /// Resets the variable with the token. Returns the outcome.
    fn reset(&mut self, var: usize, slot: usize) -> &'static str {
        let token = match self.tokens[slot].take() {
            None => return "no token",
            Some(None) => {
                self.tokens[slot] = Some(None);
                return "used";
            }
            Some(Some(token)) => token,
        };
        let (token, outcome) = match VARS[var].try_reset(token) {
            Ok(()) => (None, "reset"),
            Err(error) => match error.kind() {
                ResetErrorKind::DifferentVar => (Some(error.into_token()), "another variable's"),
                ResetErrorKind::DifferentContext => (Some(error.into_token()), "another context's"),
                _ => unreachable!("there are two kinds"),
            },
        };
        self.tokens[slot] = Some(token);
        outcome
    }

    fn store_task(&mut self, slot: usize, task: Task) {
        self.other_tasks.extend(self.tasks[slot].replace(task));
    }

    async fn join(&mut self, slot: usize) {
        if let Some(task) = self.tasks[slot].take() {
            self.join_task(task).await;
        }
    }

    /// Joins a task and puts its context back, unless the slot was filled meanwhile.
    async fn join_task(&mut self, (handle, slot): Task) {
        if let Some(context) = handle.await.unwrap() {
            self.contexts[slot].get_or_insert(context);
        }
    }
}
