//! actix-web.

// Recipe

use actix_web::{App, HttpServer, dev::Service, get, web};
use contextvar::{Context, context_var, task, tracing::ContextFormat};
use tracing::info;

#[context_var(name = "tenant", log)]
static TENANT: String;

#[get("/orders")]
async fn orders() -> String {
    info!("orders");
    task::spawn_local(async { info!("audit") });
    format!("the orders of {}\n", TENANT.get())
}

fn routes(config: &mut web::ServiceConfig) {
    let routes = web::scope("").service(orders).wrap_fn(|request, service| {
        let tenant = request.headers().get("x-tenant").and_then(|tenant| tenant.to_str().ok());
        let context = Context::new().with_value(&TENANT, tenant.unwrap_or("public").to_owned());
        context.bind_async(|| service.call(request))()
    });
    config.service(routes);
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    HttpServer::new(|| App::new().configure(routes)).bind(("127.0.0.1", 3000))?.run().await
}

// Test

use super::{Log, shown};
use actix_web::test::{TestRequest, call_and_read_body, init_service};

#[actix_web::test]
async fn each_request_and_its_task_have_their_values() {
    let (log, _guard) = Log::start();
    let app = &init_service(App::new().configure(routes)).await;
    let get = |tenant| {
        let request = TestRequest::get().uri("/orders").insert_header(("x-tenant", tenant));
        call_and_read_body(app, request.to_request())
    };
    let (acme, globex) = tokio::join!(get("acme"), get("globex"));
    assert_eq!((&*acme, &*globex), (&b"the orders of acme\n"[..], &b"the orders of globex\n"[..]));
    // The tasks run when both requests have been answered.
    tokio::task::yield_now().await;

    let lines = log.lines(module_path!());
    assert_eq!(
        lines,
        [
            " INFO shop: orders tenant=acme",
            " INFO shop: orders tenant=globex",
            " INFO shop: audit tenant=acme",
            " INFO shop: audit tenant=globex",
        ]
    );
    assert_eq!(shown("actix-web"), [&*lines[0], &*lines[2]]);
}
