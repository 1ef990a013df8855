//! Tests.

// Recipe

use std::{io, sync::Mutex};

use contextvar::{context_var, task, tracing::ContextFormat, with_empty_context};
use tracing::{info, subscriber::set_default};

#[context_var(name = "tenant", log)]
static TENANT: String = "public".to_owned();

async fn orders() -> String {
    info!("orders");
    format!("the orders of {}", TENANT.get())
}

#[with_empty_context]
#[tokio::test]
async fn without_a_tenant() {
    assert_eq!(TENANT.get(), "public");
}

#[with_empty_context]
#[tokio::test]
async fn a_task_logs_its_tenant() {
    let (log, writer) = io::pipe().unwrap();
    let lines = tracing_subscriber::fmt().with_writer(Mutex::new(writer)).with_ansi(false).with_target(false);
    let guard = set_default(lines.without_time().map_event_format(ContextFormat::new).finish());
    let answer = TENANT.scope("acme".to_owned(), async { task::spawn(orders()).await.unwrap() });
    assert_eq!(answer.await, "the orders of acme");
    drop(guard);
    assert_eq!(io::read_to_string(log).unwrap(), " INFO orders tenant=acme\n");
}

// Test

use super::shown;
use std::env;
use std::process::Command;

#[test]
fn the_tests_pass_also_on_one_thread() {
    for threads in ["1", "2"] {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["getting_started::tests::", "--skip", "the_tests_pass", "--test-threads", threads]);
        let output = command.output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<_> = output.lines().filter(|line| line.starts_with("test ")).collect();
        lines.sort_unstable();
        let shown = shown("Tests");
        assert!(output.contains(shown[0]), "{output}");
        let expected: Vec<_> =
            shown[1..3].iter().map(|line| line.replace("test ", "test getting_started::tests::")).collect();
        assert_eq!(lines[..2], expected, "{output}");
    }
}
