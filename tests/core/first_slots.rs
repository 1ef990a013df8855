//! The tests that matter most for memory safety, in a process with few variables: writes to the first slots
//! take a shorter path than writes to later ones.

// Not all helpers are used here.
#[allow(dead_code)]
mod support;

mod panics;
mod reentrancy;
mod thread_exit;
mod tokens;

use contextvar::{Context, context_var};

#[context_var]
static NUMBER: u64;

/// All empty contexts of the process share one map, which is never written.
#[test]
fn empty_contexts_share_nothing() {
    for _ in 0..3 {
        let empty = Context::new();
        let mut copy = empty.clone();
        copy.set(&NUMBER, 1);
        assert!(empty.is_empty());
        assert!(Context::new().is_empty());
    }
}
