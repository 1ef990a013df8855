//! Variables that cross processes as baggage.

mod handed_on;
mod malformed;
mod other_implementations;
mod pieces;
mod stored;
mod trace;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use contextvar::baggage::{self, Codec};
use contextvar::tower::{ContextLayer, InjectBaggageLayer};
use contextvar::{Context, context_var, copy_context, task};
use http_body_util::BodyExt;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::{Context as Otel, KeyValue};
use opentelemetry_sdk::propagation::BaggagePropagator;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::on_both_flavors;

#[context_var(name = "baggage_tenant", baggage = "test.tenant", log)]
static TENANT: String = "no tenant".to_owned();

#[context_var(baggage = "test.id")]
static ID: u64;

#[context_var(baggage = "test.address", name = "address")]
static ADDRESS: IpAddr;

struct Milliseconds;

impl Codec<Duration> for Milliseconds {
    fn encode(value: &Duration) -> String {
        value.as_millis().to_string()
    }

    fn decode(text: &str) -> Option<Duration> {
        text.parse().ok().map(Duration::from_millis)
    }
}

#[context_var(baggage = "test.deadline", codec = Milliseconds)]
static DEADLINE: Duration;

#[context_var]
static NEVER_SENT: String;

#[cfg(not(all()))]
#[context_var(baggage = "test.configured.out")]
static CONFIGURED_OUT: String;

fn entries(headers: &HeaderMap) -> Vec<String> {
    let mut entries: Vec<_> = headers
        .get("baggage")
        .map(|value| value.to_str().unwrap().split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    entries.sort();
    entries
}

fn incoming(baggage: &str) -> HeaderMap {
    HeaderMap::from_iter([("baggage".parse().unwrap(), HeaderValue::from_bytes(baggage.as_bytes()).unwrap())])
}

#[test]
fn only_declared_variables_that_are_set_go_out() {
    #[context_var(baggage = "test.in.a.function")]
    static IN_A_FUNCTION: char;

    Context::new().run(|| {
        assert!(baggage::headers().is_empty());
        NEVER_SENT.set("secret".to_owned());
        ID.set(7);
        DEADLINE.set(Duration::from_secs(2));
        ADDRESS.set([127, 0, 0, 1].into());
        IN_A_FUNCTION.set('x');
        let expected = ["test.address=127.0.0.1", "test.deadline=2000", "test.id=7", "test.in.a.function=x"];
        assert_eq!(entries(&baggage::headers()), expected);
        let mut headers = incoming("replaced=1");
        headers.insert("kept", HeaderValue::from_static("1"));
        baggage::inject_headers(&mut headers);
        assert_eq!((entries(&headers).len(), headers.len()), (4, 2));
        let mut message = HashMap::new();
        baggage::inject(&mut message);
        assert_eq!((message.len(), message["baggage"].len()), (1, expected.join(",").len()));
    });
}

#[test]
fn every_value_survives_the_round_trip() {
    for value in
        ["acme", "", "a,b;c=d \"e\" %20 \\", "größe ☃ \u{1F980}", "line\nfeed\r\0", "=;,", "a=b==", "a+b"]
    {
        let headers = TENANT.sync_scope(value.to_owned(), baggage::headers);
        // The specification's `baggage-octet`, except `+`, which some parsers read as a space.
        let octet = |byte: &u8| (0x21..0x7f).contains(byte) && !b"\",;\\+".contains(byte);
        assert!(headers["baggage"].as_bytes().iter().all(octet), "{headers:?}");
        Context::new().run(|| {
            assert_eq!(baggage::extract_headers(&headers), []);
            assert_eq!(TENANT.get(), value);
            assert_eq!(copy_context().len(), 1);
        });
    }
}

/// Returns true if entries are kept to be handed on.
fn keeps_entries() -> bool {
    copy_context().iter().any(|entry| entry.name() == "undeclared_baggage")
}

#[test]
fn incoming_baggage_sets_only_declared_variables() {
    let long = format!("test.tenant={}", "x".repeat(9000));
    let many = format!("{}test.id=7", "a=1,".repeat(64));
    /// A header, the values it must set, and the keys that must be ignored.
    type Case<'a> = (&'a str, Option<u64>, Option<&'a str>, &'a [&'a str]);

    let cases: &[Case<'_>] = &[
        ("test.id=7,test.tenant=acme", Some(7), Some("acme"), &[]),
        (" test.id = 7 , test.tenant=acme;property=1;p2", Some(7), Some("acme"), &[]),
        ("test.id=7,unknown=1,NEVER_SENT=1,never_sent=1", Some(7), None, &[]),
        ("test.id=seven,test.tenant=acme", None, Some("acme"), &["test.id"]),
        (
            "test.id=,test.deadline=-1,test.address=localhost",
            None,
            None,
            &["test.address", "test.deadline", "test.id"],
        ),
        ("test.id", None, None, &["test.id"]),
        ("=7,,;,=,test.tenant", None, None, &["", "", "", "test.tenant"]),
        ("test.tenant=%FF%FE,test.id=7", Some(7), None, &["test.tenant"]),
        ("test.tenant=%zz%4", None, None, &["test.tenant"]),
        ("test.tenant=a=b==", None, Some("a=b=="), &[]),
        ("test.tenant=a b\"c\"\\", None, Some("a b\"c\"\\"), &[]),
        ("test.tenant=a+b%2B%20%09", None, Some("a+b+"), &[]),
        ("test.%69d=7", Some(7), None, &[]),
        ("TEST.ID=7", None, None, &[]),
        (&long, None, None, &["test.tenant"]),
        (&many, None, None, &["test.id"]),
        ("", None, None, &[]),
    ];
    for &(header, id, tenant, ignored) in cases {
        for extract in [baggage::extract_headers, baggage::extract_declared_headers] {
            Context::new().run(|| {
                let mut errors = extract(&incoming(header));
                errors.sort_by(|a, b| a.key().cmp(b.key()));
                assert_eq!(errors.iter().map(|error| error.key()).collect::<Vec<_>>(), ignored, "{header}");
                assert_eq!(copy_context().get(&ID).copied(), id, "{header}");
                assert_eq!(copy_context().get(&TENANT).map(String::as_str), tenant, "{header}");
                let set = usize::from(id.is_some()) + usize::from(tenant.is_some());
                assert_eq!(copy_context().len(), set + usize::from(keeps_entries()), "{header}");
            });
        }
    }
}

#[test]
fn the_last_readable_entry_of_a_key_counts() {
    for (header, id) in [("test.id=1,test.id=2", 2), ("test.id=1,test.id=2,test.id=x,test.id", 2)] {
        Context::new().run(|| {
            baggage::extract_headers(&incoming(header));
            assert_eq!(ID.get(), id);
        });
    }
}

#[test]
fn several_headers_count_as_one() {
    Context::new().run(|| {
        let mut headers = incoming("test.id=1");
        headers.append("baggage", HeaderValue::from_static("test.tenant=acme"));
        headers.append("baggage", HeaderValue::from_bytes(b"test.address=\xff,x=1").unwrap());
        let errors = baggage::extract_headers(&headers);
        assert_eq!(errors.iter().map(|error| error.key()).collect::<Vec<_>>(), ["test.address"]);
        assert_eq!((ID.get(), TENANT.get().as_str(), copy_context().len()), (1, "acme", 3));
        assert_eq!(entries(&baggage::headers()), ["test.id=1", "test.tenant=acme", "x=1"]);
        assert_eq!(baggage::extract_headers(&HeaderMap::new()), []);
    });
    // The limits apply to all of them together.
    let mut headers = HeaderMap::new();
    for n in 0..3 {
        let value = format!("k{n}={}", "x".repeat(4000));
        headers.append("baggage", value.parse().unwrap());
    }
    headers.append("baggage", HeaderValue::from_static("test.id=1"));
    let errors = Context::new().run(|| baggage::extract_headers(&headers));
    assert_eq!(errors.iter().map(|error| error.key()).collect::<Vec<_>>(), ["k2"]);

    /// Gives each of its headers separately, as an extractor of HTTP headers does.
    struct Several;

    impl opentelemetry::propagation::Extractor for Several {
        fn get(&self, _: &str) -> Option<&str> {
            Some("test.id=1")
        }

        fn get_all(&self, key: &str) -> Option<Vec<&str>> {
            (key == "baggage").then(|| vec!["test.id=1", "test.tenant=acme"])
        }

        fn keys(&self) -> Vec<&str> {
            vec!["baggage"]
        }
    }

    Context::new().run(|| {
        assert_eq!(baggage::extract(&Several), []);
        assert_eq!((ID.get(), TENANT.get()), (1, "acme".to_owned()));
    });
}

#[test]
fn errors_name_the_ignored_entry() {
    let errors = Context::new().run(|| baggage::extract_headers(&incoming("test.id=seven")));
    let text = "baggage entry `test.id` was ignored: its text is not a value of the variable's type";
    assert_eq!(errors[0].to_string(), text);
    on_both_flavors(|| async {
        let no_context = tokio::spawn(async { baggage::extract_headers(&incoming("test.id=7")) });
        let text = "baggage entry `test.id` was ignored: the current context cannot be written";
        assert_eq!(no_context.await.unwrap()[0].to_string(), text);
    });
}

#[test]
fn opentelemetry_baggage_goes_out_too() {
    let current = Otel::current_with_baggage([KeyValue::new("theirs", "1"), KeyValue::new("test.id", "old")]);
    let _attached = current.attach();
    let mut nothing_of_ours = HeaderMap::new();
    Context::new().run(|| baggage::inject_headers(&mut nothing_of_ours));
    assert_eq!(
        entries(&nothing_of_ours),
        ["theirs=1"],
        "OpenTelemetry's entry under a declared key is left out"
    );
    let both = ID.sync_scope(7, baggage::headers);
    assert_eq!(entries(&both), ["test.id=7", "theirs=1"]);
    // OpenTelemetry's propagator reads our header.
    let map: HashMap<String, String> =
        both.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let read = BaggagePropagator::new().extract(&map);
    assert_eq!(read.baggage().get("test.id").unwrap().as_str(), "7");
}

/// Returns what the next service extracts when this one has read a client's baggage with OpenTelemetry and
/// then called `set`, and the headers between the two services.
fn handed_on(client: &str, set: impl FnOnce()) -> (Option<u64>, Option<String>, HeaderMap) {
    let incoming = HashMap::from([("baggage".to_owned(), client.to_owned())]);
    let _attached = BaggagePropagator::new().extract_with_context(&Otel::new(), &incoming).attach();
    let sent = Context::new().run(|| {
        set();
        baggage::headers()
    });
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&sent), []);
        (copy_context().get(&ID).copied(), copy_context().get(&TENANT).cloned(), sent)
    })
}

#[test]
fn forwarded_baggage_displaces_no_variable() {
    let many = (0..64).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    let long = format!("test.tenant=e,f={}", "x".repeat(8100));
    // OpenTelemetry decodes a property when reading it, but does not encode it when writing it.
    let forged = ["x=1;p%2Ctest.tenant=evil", "x=1;p%0Aq", "x=1;p%0D%0Aevil: 1", "x=1;%C3%A9"];
    for client in forged.into_iter().chain([&*many, &*long, "test.tenant=evil"]) {
        for _ in 0..20 {
            let set = || drop((ID.set(7), TENANT.set("acme, and a long name of a tenant".to_owned())));
            let (id, tenant, _) = handed_on(client, set);
            assert_eq!(
                (id, tenant.as_deref()),
                (Some(7), Some("acme, and a long name of a tenant")),
                "{client}"
            );
            let (id, tenant, _) = handed_on(client, || drop(ID.set(7)));
            assert_eq!((id, tenant), (Some(7), None), "{client}");
            let (id, tenant, _) = handed_on(client, || ());
            assert_eq!((id, tenant), (None, None), "{client}");
        }
    }
    let (_, _, sent) = handed_on("x=1;p=%C3%A9%22", || ());
    assert_eq!(entries(&sent), ["x=1;p=%C3%A9%22"]);
    let (_, _, sent) = handed_on("x=1;a;b=c", || ());
    assert_eq!(entries(&sent), ["x=1;a;b=c"]);
    let (_, _, sent) = handed_on("x=50%25%20off;a", || ());
    assert_eq!(entries(&sent), ["x=50%25%20off;a"]);
}

#[test]
fn an_oversized_value_displaces_no_other() {
    let (id, tenant, sent) = handed_on("", || drop((ID.set(7), TENANT.set("é".repeat(2000)))));
    assert_eq!((id, tenant), (Some(7), None));
    assert_eq!(entries(&sent), ["test.id=7"]);
    let fits = "é".repeat(1300);
    let (_, tenant, _) = handed_on("", || drop(TENANT.set(fits.clone())));
    assert_eq!(tenant, Some(fits));
}

#[test]
fn outgoing_baggage_fits_the_header_limits() {
    let tenant = |length| {
        let (_, tenant, _) = handed_on("", || drop(TENANT.set("a".repeat(length))));
        tenant.map(|tenant| tenant.len())
    };
    let room = 8192 - "test.tenant=".len();
    assert_eq!((tenant(room), tenant(room + 1)), (Some(room), None));

    let sent = |length| {
        let client = format!("x={}", "a".repeat(length));
        let (_, _, sent) = handed_on(&client, || drop(TENANT.set("a".repeat(4000))));
        entries(&sent).len()
    };
    let room = room - 4000 - ",x=".len();
    assert_eq!((sent(room), sent(room + 1)), (2, 1));

    let client = (0..64).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    let (id, _, sent) = handed_on(&client, || drop(ID.set(7)));
    assert_eq!((id, entries(&sent).len()), (Some(7), 64));
}

#[test]
fn from_a_client_to_a_server() {
    on_both_flavors(|| async {
        let ignored = Arc::new(Mutex::new(Vec::new()));
        let layer = ContextLayer::new().extract_baggage({
            let ignored = ignored.clone();
            move |error| ignored.lock().unwrap().push(error.key().to_owned())
        });
        let handler = || async {
            let task = task::spawn(async { TENANT.get() });
            format!("{} {:?}", task.await.unwrap(), copy_context().get(&ID))
        };
        let server = Router::new().route("/", get(handler)).layer(layer);
        let transport = service_fn(move |request: axum::http::Request<Body>| {
            // As on another machine, the client's context is not available here.
            let server = server.clone();
            async {
                Ok::<_, Infallible>(
                    task::spawn_in_empty_context(server.oneshot(request)).await.unwrap().unwrap(),
                )
            }
        });
        let client = InjectBaggageLayer::new().layer(transport);
        let asks = (0..20).map(|n: u64| {
            let client = client.clone();
            Context::new().with_value(&ID, n).with_value(&TENANT, format!("tenant {n}")).scope(async move {
                assert_eq!(ask(client).await, format!("tenant {n} Some({n})"));
            })
        });
        futures::future::join_all(asks).await;
        assert_eq!(ask(client.clone()).await, "no tenant None");
        assert!(ignored.lock().unwrap().is_empty());
        let client = client.map_request(|mut request: axum::http::Request<Body>| {
            request.headers_mut().insert("baggage", HeaderValue::from_static("test.id=x"));
            request
        });
        client.oneshot(axum::http::Request::new(Body::empty())).await.unwrap();
        assert_eq!(*ignored.lock().unwrap(), ["test.id"]);
    });
}

async fn ask<S>(client: S) -> String
where
    S: tower::Service<
            axum::http::Request<Body>,
            Response = axum::response::Response<Body>,
            Error = Infallible,
        >,
{
    let body = client.oneshot(axum::http::Request::new(Body::empty())).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
}

/// The rows of the guide about a value that the baggage may or must have.
#[tokio::test]
async fn a_layer_requires_or_replaces_a_value_of_the_baggage() {
    fn new_id() -> u64 {
        7
    }

    let new_or_sent = ContextLayer::new()
        .extract_baggage(|error| panic!("{error}"))
        .set_if_some(&ID, |_| (!ID.is_set()).then(new_id));
    let required = ContextLayer::new().extract_baggage(|error| panic!("{error}")).set_or_reject(
        &ID,
        |_| ID.try_get(),
        |error| (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    );
    let routes = Router::new().route("/", get(|| async { ID.get().to_string() }));
    let answer = async |app: Router, baggage: Option<&str>| {
        let request = baggage
            .iter()
            .fold(axum::http::Request::get("/"), |request, baggage| request.header("baggage", *baggage));
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    };
    let app = routes.clone().layer(new_or_sent);
    assert_eq!(answer(app.clone(), Some("test.id=8")).await, (200, "8".into()));
    assert_eq!(answer(app, None).await, (200, "7".into()));
    let app = routes.layer(required);
    assert_eq!(answer(app.clone(), Some("test.id=8")).await, (200, "8".into()));
    let (status, text) = answer(app, None).await;
    assert_eq!(status, 400);
    assert!(text.ends_with(b" is not set and has no default"), "{text:?}");
}
