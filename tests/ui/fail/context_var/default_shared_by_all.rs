#![deny(deprecated)]

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use contextvar::context_var;

#[context_var]
static VISITED: Arc<Mutex<Vec<u64>>> = Arc::default();

#[context_var(log, name = "calls")]
static CALLS: &'static AtomicU64 = {
    static ALL: AtomicU64 = AtomicU64::new(0);
    &ALL
};

#[derive(Debug, Default)]
pub struct Config;

#[context_var(crate = contextvar)]
static CONFIG: Option<std::sync::Arc<Config>> = Some(Arc::new(Config));

macro_rules! declare {
    ($name:ident: $ty:ty) => {
        #[context_var]
        static $name: (u8, $ty) = Default::default();
    };
}
declare!(IN_A_GROUP: Arc<std::sync::RwLock<u8>>);

fn main() {
    #[context_var]
    static IN_A_FUNCTION: (Arc<Config>, Arc<Mutex<u64>>) = Default::default();

    (VISITED.get(), CALLS.get(), CONFIG.get(), IN_A_GROUP.get(), IN_A_FUNCTION.get());
}
