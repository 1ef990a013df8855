//! A default of a shared type causes no warning if it is allowed, and other variables cause none at all.
#![deny(warnings)]

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use contextvar::context_var;

#[derive(Debug, Default)]
pub struct Config;

#[context_var]
#[allow(deprecated)]
static ALLOWED_BELOW: Arc<Mutex<u64>> = Arc::default();

#[allow(deprecated)]
#[context_var(log)]
static ALLOWED_ABOVE: Arc<AtomicU64> = Arc::default();

#[expect(deprecated)]
#[context_var]
static EXPECTED: Arc<Config> = Arc::default();

#[context_var]
static WITHOUT_A_DEFAULT: Arc<Mutex<u64>>;

#[context_var]
static IMMUTABLE: Arc<str> = "en".into();

#[context_var]
static IMMUTABLE_TOO: Arc<HashMap<Arc<str>, Vec<u64>>> = Arc::default();

#[context_var]
static OWN: Config = Config;

fn main() {
    let _ = (ALLOWED_BELOW.get(), ALLOWED_ABOVE.get(), EXPECTED.get(), IMMUTABLE.get(), IMMUTABLE_TOO.get());
    assert!(!WITHOUT_A_DEFAULT.is_set() && !OWN.is_set());
}
