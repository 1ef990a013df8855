//! The tests that matter most for memory safety once more, in a process with few variables: what has one of the
//! first slots is written in a shorter way than what came later.

// The modules' helpers, of which not all are used here.
#[allow(dead_code)]
mod support;

mod reentrancy;
mod thread_exit;
mod tokens;

use contextvar::{Context, context_var};

#[context_var]
static NUMBER: u64;

/// The empty map is one for the whole process, and is never written.
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
