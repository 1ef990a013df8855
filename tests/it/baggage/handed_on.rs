//! Incoming entries that no variable declares.

use axum::http::HeaderMap;
use contextvar::baggage;
use contextvar::{Context, context_var, copy_context, task, thread};
use opentelemetry::propagation::TextMapPropagator;

use super::*;

#[context_var(baggage = "hand.tenant", log)]
static TENANT_OF_B: String;

fn header(headers: &HeaderMap) -> Option<&str> {
    Some(headers.get("baggage")?.to_str().unwrap())
}

/// Returns what a service sends that has received this header and then called `f`.
fn sent_after(received: &str, f: impl FnOnce()) -> HeaderMap {
    Context::new().run(|| {
        assert_eq!(baggage::extract_headers(&incoming(received)), [], "{received}");
        f();
        baggage::headers()
    })
}

#[test]
fn undeclared_entries_reach_the_third_service() {
    let sent = sent_after("hand.tenant=acme,session=s1", || ());
    assert_eq!(header(&sent), Some("session=s1,hand.tenant=acme"));
    let sent = sent_after("hand.tenant=acme,session=s1", || drop(TENANT_OF_B.set("globex".to_owned())));
    assert_eq!(header(&sent), Some("session=s1,hand.tenant=globex"));
    assert_eq!(header(&sent_after("hand.tenant=acme", || ())), Some("hand.tenant=acme"));
    assert_eq!(header(&sent_after("", || ())), None);
}

#[test]
fn handed_on_entries_stay_as_they_came() {
    for received in
        ["z=1,a=2,m=3", "a=1,a=2", "x=%41%20%C3%A9;p=%20;q;r=1", "x=a=b==&/:+!", "x=", "a.b*c|d~e=1;p%20=1"]
    {
        assert_eq!(header(&sent_after(received, || ())), Some(received));
    }
    // Only what a header must not contain is changed: spaces are dropped around delimiters and encoded
    // elsewhere.
    for (received, sent) in [
        (" x = 1 ;\tp = 2 ; q ,, y=2;; ,", "x=1;p=2;q,y=2"),
        ("x=a \"b\"\\c\td;p=a b", "x=a%20%22b%22%5Cc%09d;p=a%20b"),
        ("a%21b=1", "a!b=1"),
    ] {
        assert_eq!(header(&sent_after(received, || ())), Some(sent));
    }
}

#[test]
fn no_clients_value_goes_out_under_a_declared_key() {
    for received in ["hand.tenant=evil", "hand%2Etenant=evil", "%68and.tenant=evil", "hand.tenant=evil;p=1"] {
        for extract in [baggage::extract_headers, baggage::extract_declared_headers] {
            let sent = Context::new().run(|| {
                assert_eq!(extract(&incoming(received)), []);
                TENANT_OF_B.set("acme".to_owned());
                baggage::headers()
            });
            assert_eq!(header(&sent), Some("hand.tenant=acme"), "{received}");
        }
    }
    // Some receivers decode keys, and would find a declared key in the second or third service.
    for received in ["hand%252Etenant=evil", "x=1;p,%2568and.tenant=evil"] {
        Context::new().run(|| {
            assert_eq!(baggage::extract_headers(&incoming(received)).len(), 1, "{received}");
            assert!(!header(&baggage::headers()).unwrap_or("").contains("evil"));
        });
        let _attached = BaggagePropagator::new()
            .extract_with_context(&Otel::new(), &HashMap::from([("baggage".to_owned(), received.to_owned())]))
            .attach();
        let sent = Context::new().run(baggage::headers);
        assert!(!header(&sent).unwrap_or("").contains("evil"), "{sent:?}");
    }
}

#[test]
fn extract_declared_hands_nothing_on() {
    let map = HashMap::from([("baggage".to_owned(), "hand.tenant=acme,session=s1".to_owned())]);
    Context::new().run(|| {
        assert_eq!(baggage::extract_declared(&map), []);
        assert_eq!((TENANT_OF_B.get(), keeps_entries()), ("acme".to_owned(), false));
        assert_eq!(header(&baggage::headers()), Some("hand.tenant=acme"));
        // It leaves alone what `extract` has kept.
        assert_eq!(baggage::extract(&map), []);
        assert_eq!(baggage::extract_declared(&HashMap::new()), []);
        assert_eq!(header(&baggage::headers()), Some("session=s1,hand.tenant=acme"));
    });
}

#[test]
fn a_second_extract_replaces_the_kept_entries() {
    Context::new().run(|| {
        assert!(!keeps_entries());
        baggage::extract_headers(&incoming("a=1,hand.tenant=acme"));
        baggage::extract_headers(&incoming("b=2"));
        assert_eq!(header(&baggage::headers()), Some("b=2,hand.tenant=acme"));
        baggage::extract_headers(&HeaderMap::new());
        assert!(!keeps_entries());
        assert_eq!(header(&baggage::headers()), Some("hand.tenant=acme"));
    });
}

#[test]
fn debug_of_a_context_shows_undeclared_baggage_only_if_there_is_some() {
    let debug = |received: &str| {
        Context::new().run(|| {
            baggage::extract_headers(&incoming(received));
            format!("{:?}", copy_context())
        })
    };
    assert_eq!(debug(""), "Context");
    assert_eq!(debug("session=s1"), "Context { undeclared_baggage: <1 entries> }");
}

#[test]
fn undeclared_entries_follow_as_variables_do() {
    on_both_flavors(|| async {
        let mut context = Context::new();
        context.run(|| baggage::extract_headers(&incoming("session=s1")));
        let send = || header(&baggage::headers()).map(str::to_owned);
        let sent = Some("session=s1".to_owned());
        let work = async move {
            assert_eq!(task::spawn(async move { send() }).await.unwrap(), sent);
            assert_eq!(task::spawn_blocking(send).await.unwrap(), sent);
            assert_eq!(thread::spawn(send).join().unwrap(), sent);
            assert_eq!(copy_context().run(send), sent);
            assert_eq!(tokio::spawn(async move { send() }).await.unwrap(), None);
        };
        context.scope(work).await;
    });
}

#[test]
fn each_lost_entry_is_reported_where_there_is_no_context() {
    on_both_flavors(|| async {
        let received = incoming("hand.tenant=acme,session=s1,a=1,b");
        let no_context = tokio::spawn(async move { baggage::extract_headers(&received) }).await.unwrap();
        let texts: Vec<_> = no_context.iter().map(ToString::to_string).collect();
        let reason = "was ignored: the current context cannot be written";
        let expected = [
            format!("baggage entry `hand.tenant` {reason}"),
            "baggage entry `b` was ignored: it has no `=`".to_owned(),
            format!("baggage entry `session` {reason}"),
            format!("baggage entry `a` {reason}"),
        ];
        assert_eq!(texts, expected);
    });
}

#[test]
fn opentelemetry_entries_with_handed_on_keys_are_left_out() {
    let theirs = [("session", "old"), ("theirs", "1"), ("hand.tenant", "old")];
    let _attached = Otel::current_with_baggage(theirs.map(|(key, value)| KeyValue::new(key, value))).attach();
    let sent = sent_after("session=s1,hand.tenant=acme", || ());
    assert_eq!(header(&sent), Some("session=s1,hand.tenant=acme,theirs=1"));
}

#[test]
fn declared_variables_have_the_first_claim_to_the_room() {
    let count = |sent: &HeaderMap| header(sent).unwrap().split(',').count();
    // By number: 64 came in.
    let received = (0..64).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    let _attached = Otel::current_with_baggage([KeyValue::new("theirs", "1")]).attach();
    let sent = sent_after(&received, || drop(TENANT_OF_B.set("acme".to_owned())));
    assert_eq!(count(&sent), 64);
    assert!(header(&sent).unwrap().starts_with("k0=1,k1=1,"));
    assert!(header(&sent).unwrap().ends_with(",k62=1,hand.tenant=acme"));
    let sent = sent_after(&received, || ());
    assert_eq!(header(&sent), Some(&*received));

    // By size. An entry that does not fit displaces no entry after it.
    let large = "x".repeat(4000);
    let received = format!("a={large},b={large},c=1");
    let sent = sent_after(&received, || drop(TENANT_OF_B.set("y".repeat(2000))));
    let expected = format!("a={large},c=1,hand.tenant={},theirs=1", "y".repeat(2000));
    assert_eq!(header(&sent), Some(&*expected));
    assert_eq!(header(&sent_after(&received, || ())), Some(&*format!("{received},theirs=1")));

    // To the byte.
    let sent = |length| {
        let received = format!("a={}", "x".repeat(length));
        let sent = sent_after(&received, || drop(TENANT_OF_B.set("y".repeat(4000))));
        header(&sent).unwrap().len()
    };
    let declared = "hand.tenant=".len() + 4000;
    let room = 8192 - declared - ",a=".len();
    assert_eq!((sent(room), sent(room + 1)), (8192, declared + ",theirs=1".len()));
    let sent = |length| {
        let received = format!("a=1,b={}", "x".repeat(length));
        let sent = sent_after(&received, || drop(TENANT_OF_B.set("y".repeat(4000))));
        header(&sent).unwrap().len()
    };
    let room = room - ",b=1".len();
    assert_eq!((sent(room), sent(room + 1)), (8192, declared + "a=1,,theirs=1".len()));
}

#[test]
fn the_layer_hands_on_unless_told_otherwise() {
    on_both_flavors(|| async {
        let on_error = |error| panic!("{error}");
        let layers = [
            (ContextLayer::new().extract_baggage(on_error), Some("session=s1,hand.tenant=acme")),
            (ContextLayer::new().extract_declared_baggage(on_error), Some("hand.tenant=acme")),
        ];
        for (layer, expected) in layers {
            let sent = Arc::new(Mutex::new(None));
            let next = service_fn({
                let sent = sent.clone();
                move |request: axum::http::Request<()>| {
                    *sent.lock().unwrap() = header(request.headers()).map(str::to_owned);
                    async { Ok::<_, Infallible>(axum::http::Response::new(())) }
                }
            });
            let client = InjectBaggageLayer::default().layer(next);
            let service = layer.layer(service_fn(move |request: axum::http::Request<()>| {
                // The headers that came in are not those that go out.
                drop(request);
                let client = client.clone();
                async { task::spawn(client.oneshot(axum::http::Request::new(()))).await.unwrap() }
            }));
            let mut request = axum::http::Request::new(());
            *request.headers_mut() = incoming("hand.tenant=acme,session=s1");
            service.oneshot(request).await.unwrap();
            let sent = sent.lock().unwrap();
            assert_eq!(sent.as_deref(), expected);
        }
    });
}
