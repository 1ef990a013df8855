//! Values of the deployment, in each request.

// Recipe

use axum::Router;
use contextvar::{context_var, tower::ContextLayer};

/// One value for the process, computed on first use.
#[context_var(name = "region")]
static REGION: String = std::env::var("SHOP_REGION").unwrap_or_else(|_| "local".to_owned());

/// A value that `main` has read from its configuration.
#[context_var(name = "shard", log)]
static SHARD: u32;

fn with_shard(routes: Router, shard: u32) -> Router {
    routes.layer(ContextLayer::new().set(&SHARD, move |_| shard))
}

// Test

use contextvar::tracing::ContextFormat;
use tokio::net::TcpListener;
use tracing::info;

use super::support::{ask_both, in_own_process, in_pairs, serve};

fn seen() -> String {
    info!("in the handler");
    format!("{} {:?}", REGION.get(), SHARD.try_get().ok())
}

#[test]
fn each_request_has_both_values() {
    let output = in_own_process("servers::main_values::each_request_has_both_values", async || {
        tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
        let address = serve(with_shard(in_pairs(seen), 7)).await;
        let answers = ask_both(address, ["accept: */*"; 2]).await;
        assert_eq!(answers.map(|answer| answer.body), ["local Some(7)", "local Some(7)"]);
    });
    if let Some(output) = output {
        let lines = output.lines("in the handler");
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert!(line.ends_with("in the handler shard=7"), "{line}");
        }
    }
}

#[tokio::test]
async fn a_layer_alone_does_not_see_the_values_of_main() {
    REGION.set("elsewhere".to_owned());
    SHARD.set(8);
    for layer in [ContextLayer::new(), ContextLayer::from_current()] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        // Served where the values are set, as `main` does.
        tokio::select! {
            served = axum::serve(listener, in_pairs(seen).layer(layer)) => served.unwrap(),
            answers = ask_both(address, ["accept: */*"; 2]) => {
                assert_eq!(answers.map(|answer| answer.body), ["local None", "local None"]);
            }
        }
    }
}
