//! Requests that overlap, and the lines that they log.

use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::process::{Command, Output as ChildOutput};
use std::sync::{Arc, Mutex};

use contextvar::{Context, context_var, task, thread};
use serde_json::Value;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

#[context_var(name = "request_id", log)]
pub(crate) static REQUEST_ID: u64;

#[context_var(name = "tenant", log)]
pub(crate) static TENANT: String;

/// Returns the context of request `n`.
pub(crate) fn context(n: u64) -> Context {
    Context::new().with_value(&REQUEST_ID, n).with_value(&TENANT, format!("tenant {n}"))
}

/// Where each request logs.
pub(crate) const PLACES: [&str; 5] = ["received", "task", "call", "thread", "answered"];

type Request = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs requests 1 to `count` on a runtime with two workers. All are open at the same time. Each logs its
/// number and a place, once for each of [`PLACES`]. Logs `0 outside` before the first request.
pub(crate) fn run_requests(count: u64, log: impl Fn(fmt::Arguments<'_>) + Copy + Send + Sync + 'static) {
    run_requests_in(count, log, |request| request);
}

/// Runs the requests with `wrap` around each, which is called in the context of the request.
pub(crate) fn run_requests_in(
    count: u64,
    log: impl Fn(fmt::Arguments<'_>) + Copy + Send + Sync + 'static,
    wrap: fn(Request) -> Request,
) {
    log(format_args!("0 outside"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let all_open = Arc::new(Barrier::new(count as usize));
        let mut requests = JoinSet::new();
        for n in 1..=count {
            let all_open = all_open.clone();
            let request = Box::pin(async move {
                log(format_args!("{n} received"));
                all_open.wait().await;
                let task = task::spawn(async move {
                    tokio::task::yield_now().await;
                    log(format_args!("{n} task"));
                });
                task::spawn_blocking(move || log(format_args!("{n} call"))).await.unwrap();
                thread::spawn(move || log(format_args!("{n} thread"))).join().unwrap();
                task.await.unwrap();
                all_open.wait().await;
                log(format_args!("{n} answered"));
            });
            requests.spawn(context(n).scope(async move { wrap(request).await }));
        }
        while let Some(request) = requests.join_next().await {
            request.unwrap();
        }
    });
}

/// Checks that the output has one line for each request and place, in any order, and one from outside. `line`
/// returns the expected line for a message and a request.
pub(crate) fn assert_lines(output: &str, count: u64, line: impl Fn(&str, Option<u64>) -> String) {
    let mut expected = vec![line("0 outside", None)];
    for n in 1..=count {
        expected.extend(PLACES.map(|place| line(&format!("{n} {place}"), Some(n))));
    }
    let mut lines: Vec<_> = output.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// Checks the lines of [`run_requests`] in JSON. `message` points to the message, and `fields` to the object
/// with the variables.
pub(crate) fn assert_json_lines(output: &str, count: u64, message: &str, fields: &str) {
    let mut seen = Vec::new();
    for line in output.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let fields = value.pointer(fields).unwrap();
        let text = value.pointer(message).and_then(Value::as_str).unwrap().to_owned();
        let n = text.split(' ').next().unwrap().parse::<u64>().unwrap();
        let (request_id, tenant) = match n {
            0 => (None, None),
            n => (Some(n.into()), Some(format!("tenant {n}").into())),
        };
        assert_eq!((fields.get("request_id"), fields.get("tenant")), (request_id.as_ref(), tenant.as_ref()));
        for name in ["request_id", "tenant"] {
            let is_set = usize::from(n != 0);
            assert_eq!(line.matches(&format!("\"{name}\":")).count(), is_set, "{line}");
        }
        seen.push(text);
    }
    assert_lines(&seen.join("\n"), count, |text, _| text.to_owned());
}

/// A writer to memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Returns and removes what was written.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Output {
    type Writer = Output;

    fn make_writer(&self) -> Output {
        self.clone()
    }
}

const OWN_PROCESS: &str = "CONTEXTVAR_TEST_OWN_PROCESS";

/// Returns true in the process of [`in_own_process`].
pub(crate) fn is_own_process() -> bool {
    std::env::var_os(OWN_PROCESS).is_some()
}

/// Runs `f`, which is the body of `test`, in a process of its own: a process has one global logger. Returns
/// the output of that process, and `None` in it.
pub(crate) fn in_own_process(test: &str, f: impl FnOnce()) -> Option<ChildOutput> {
    in_process(Command::new(std::env::current_exe().unwrap()), test, f)
}

/// As [`in_own_process`], with a command that runs this executable.
pub(crate) fn in_process(mut command: Command, test: &str, f: impl FnOnce()) -> Option<ChildOutput> {
    if is_own_process() {
        f();
        return None;
    }
    command.args([test, "--exact", "--nocapture"]).env(OWN_PROCESS, "1").env("RUST_BACKTRACE", "0");
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    Some(output)
}
