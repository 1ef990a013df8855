//! Values that are set in `main`, in each request.

// Recipe

use std::io;

use axum::Router;
use contextvar::context_var;
use contextvar::tower::{ContextLayer, MakeContextService};
use tokio::net::TcpListener;

#[context_var(name = "shard", log)]
static SHARD: u32;

/// Serves requests with the values that are set where this is called.
async fn serve(listener: TcpListener, routes: Router) -> io::Result<()> {
    let app = routes.layer(ContextLayer::from_current());
    axum::serve(listener, MakeContextService::new(app.into_make_service())).await
}

// Test

use super::support::{ask, ask_both, in_pairs};

#[tokio::test]
async fn requests_see_what_was_set_before_they_were_served() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    SHARD.set(7);
    let handler = || {
        let seen = SHARD.get().to_string();
        SHARD.set(0); // stays in the request
        seen
    };
    let requests = async {
        for _ in 0..2 {
            let answers = ask_both(address, ["accept: */*"; 2]).await;
            assert_eq!(answers.map(|answer| answer.body), ["7", "7"]);
        }
        assert_eq!(ask(address, "/none", "accept: */*").await.status, "404");
    };
    tokio::select! {
        served = serve(listener, in_pairs(handler)) => served.unwrap(),
        () = requests => (),
    }
    assert_eq!(SHARD.get(), 7);
}

#[tokio::test]
async fn a_layer_that_starts_empty_does_not_see_the_values_of_its_connection() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    SHARD.set(7);
    let app = in_pairs(|| SHARD.is_set().to_string()).layer(ContextLayer::new());
    tokio::select! {
        _ = axum::serve(listener, MakeContextService::new(app.into_make_service())) => {},
        answers = ask_both(address, ["accept: */*"; 2]) => {
            assert_eq!(answers.map(|answer| answer.body), ["false", "false"]);
        }
    }
}
