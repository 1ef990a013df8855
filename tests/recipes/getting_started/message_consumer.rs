//! A message consumer.

// Recipe

use contextvar::{Context, context_var, task, tracing::ContextFormat};
use futures::{Stream, StreamExt, stream};
use tracing::info;

#[context_var(name = "tenant", log)]
static TENANT: &str;

type Headers = std::collections::HashMap<&'static str, &'static str>;

async fn consume(messages: impl Stream<Item = (Headers, &'static str)>) {
    let handled = messages.for_each_concurrent(100, async |(headers, order)| {
        let tenant = headers.get("tenant").copied().unwrap_or("public");
        let context = Context::new().with_value(&TENANT, tenant);
        tokio::spawn(context.scope(handle(order))).await.unwrap();
    });
    handled.await;
}

async fn handle(order: &str) {
    info!("received {order}");
    task::spawn(async { info!("audit") }).await.unwrap();
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    let messages = [("acme", "a book"), ("globex", "a pen")];
    let messages = messages.map(|(tenant, order)| (Headers::from([("tenant", tenant)]), order));
    consume(stream::iter(messages)).await;
}

// Test

use super::{Log, lines_of, shown, sorted};

#[tokio::test]
async fn each_message_and_its_task_have_their_values() {
    let (log, _guard) = Log::start();
    let messages = [Some("acme"), Some("globex"), None].map(|tenant| {
        let headers = tenant.map(|tenant| ("tenant", tenant)).into_iter().collect();
        (headers, "a book")
    });
    consume(stream::iter(messages)).await;
    assert_eq!(
        log.lines(module_path!()),
        [
            " INFO shop: received a book tenant=acme",
            " INFO shop: received a book tenant=globex",
            " INFO shop: received a book tenant=public",
            " INFO shop: audit tenant=acme",
            " INFO shop: audit tenant=globex",
            " INFO shop: audit tenant=public",
        ]
    );
}

#[test]
fn main_prints_what_the_page_shows() {
    let test = "getting_started::message_consumer::main_prints_what_the_page_shows";
    let lines = lines_of(main, module_path!(), |command| command.args([test, "--exact"]));
    assert_eq!(lines, sorted(shown("A message consumer")));
}
