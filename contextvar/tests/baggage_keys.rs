//! Two variables with one baggage key. A process that has them can use no baggage, so they have a process of
//! their own.

use std::collections::HashMap;
use std::panic::{self, Location, PanicHookInfo};
use std::sync::Mutex;

use contextvar::{Context, baggage, context_var};

#[context_var(baggage = "tenant")]
static TENANT: String;

#[context_var(baggage = "apart")]
static APART: String;

mod billing {
    use contextvar::context_var;

    #[context_var(baggage = "tenant", name = "another name")]
    pub(crate) static CUSTOMER: u64;
}

static PANICS: Mutex<Vec<(String, String, u32)>> = Mutex::new(Vec::new());

fn note(info: &PanicHookInfo<'_>) {
    let text = info.payload().downcast_ref::<String>().cloned().unwrap_or_default();
    let place = info.location().map(|place| (place.file().to_owned(), place.line()));
    let (file, line) = place.unwrap_or_default();
    PANICS.lock().unwrap().push((text, file, line));
}

/// Asserts that each of two calls panics at the place of the call.
#[track_caller]
fn assert_conflict(mut call: impl FnMut()) {
    for _ in 0..2 {
        let panicked = panic::catch_unwind(panic::AssertUnwindSafe(&mut call));
        assert!(panicked.is_err(), "no panic at {}", Location::caller());
    }
    let line = Location::caller().line();
    let text = "two variables declare the baggage key `tenant`: `baggage_keys::TENANT` and \
                `baggage_keys::billing::CUSTOMER`. Give one of them another key\nsee \
                https://docs.rs/contextvar/latest/contextvar/guide/errors#repeated-baggage-key";
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert_eq!(panics.len(), 2);
    assert!(panics.iter().all(|panic| *panic == (text.to_owned(), file!().to_owned(), line)), "{panics:?}");
}

/// One test, because the panic hook belongs to the process.
#[test]
fn two_variables_with_one_key_are_reported_at_each_use() {
    panic::set_hook(Box::new(note));
    let mut map = HashMap::from([("baggage".to_owned(), "apart=1".to_owned())]);
    let mut headers = http::HeaderMap::new();
    assert_conflict(|| baggage::inject(&mut map));
    assert_conflict(|| baggage::inject_headers(&mut headers));
    assert_conflict(|| drop(baggage::headers()));
    assert_conflict(|| drop(baggage::extract(&map)));
    assert_conflict(|| drop(baggage::extract_headers(&headers)));
    assert_conflict(|| drop(baggage::extract_declared(&map)));
    assert_conflict(|| drop(baggage::extract_declared_headers(&headers)));
    assert_conflict(|| drop(baggage::store(&Context::new())));
    assert_conflict(|| drop(baggage::restore([("apart", "1")])));
    #[cfg(feature = "tower")]
    {
        use contextvar::tower::{ContextLayer, InjectBaggageLayer};

        assert_conflict(|| drop(ContextLayer::new().extract_baggage(|_| ())));
        assert_conflict(|| drop(ContextLayer::new().extract_declared_baggage(|_| ())));
        assert_conflict(|| _ = InjectBaggageLayer::new());
        assert_conflict(|| _ = InjectBaggageLayer::default());
    }
    // The variables themselves work.
    TENANT.set("acme".to_owned());
    billing::CUSTOMER.set(7);
    assert_eq!((TENANT.get(), billing::CUSTOMER.get(), APART.is_set()), ("acme".to_owned(), 7, false));
    drop(panic::take_hook());
}
