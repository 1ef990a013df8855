//! `Send`, `Sync` and `Unpin` of the public types, and their sizes.

use std::marker::PhantomPinned;
use std::mem::size_of;

use contextvar::{
    ApplyError, Context, ContextVar, Entry, Iter, LookupError, ResetError, ResetOnDrop, Scoped,
    ScopedAndContext, SetError, Token, WriteErrorKind,
};

/// Evaluates to `true` if the bound holds: an inherent constant takes precedence over a trait's.
macro_rules! holds {
    ($ty:ty: $bound:path) => {{
        #[allow(dead_code)]
        trait No {
            const HOLDS: bool = false;
        }
        struct Probe<T>(std::marker::PhantomData<T>);
        impl<T> No for Probe<T> {}
        #[allow(dead_code)]
        impl<T: $bound> Probe<T> {
            const HOLDS: bool = true;
        }
        <Probe<$ty>>::HOLDS
    }};
}

#[test]
fn send_sync_and_unpin() {
    type NotSend = std::rc::Rc<u8>;

    macro_rules! assert_all {
        ($($ty:ty),* $(,)?) => {$(
            assert!(holds!($ty: Send), stringify!($ty));
            assert!(holds!($ty: Sync), stringify!($ty));
            assert!(holds!($ty: Unpin), stringify!($ty));
        )*};
    }
    assert_all! {
        Context, Iter<'static>, Entry<'static>, ContextVar<String>, Token<String>, LookupError,
        ApplyError, SetError<String>, WriteErrorKind, ResetError<String>, Scoped<u8>, ScopedAndContext<u8>,
        contextvar::thread::Builder, contextvar::thread::Scope<'static, 'static>,
        contextvar::opentelemetry::MetricAttributes, contextvar::hyper::ContextExecutor<u8>, contextvar::tower::MakeContextService<u8>,
        contextvar::tower::MakeContextServiceFuture<u8>, contextvar::tower::ConnectionService<u8>,
        contextvar::opentelemetry::ContextSpanProcessor, contextvar::opentelemetry::ContextLogProcessor,
        contextvar::opentelemetry::ContextTracer<u8>,
    }
    // `catch_unwind` around code that uses these types.
    assert!(holds!(Context: std::panic::UnwindSafe) && holds!(Context: std::panic::RefUnwindSafe));
    assert!(holds!(&'static ContextVar<std::sync::Mutex<u8>>: std::panic::UnwindSafe));
    assert!(holds!(Token<String>: std::panic::UnwindSafe));
    assert!(holds!(Scoped<u8>: std::panic::UnwindSafe) && holds!(Scoped<u8>: std::panic::RefUnwindSafe));

    assert!(!holds!(ResetOnDrop<String>: Send));
    assert!(!holds!(Scoped<NotSend>: Send));
    assert!(!holds!(Scoped<NotSend>: Sync));
    assert!(!holds!(Scoped<PhantomPinned>: Unpin));
}

#[test]
fn sizes() {
    let word = size_of::<usize>();
    // With the word of feature `inspect`.
    assert_eq!(size_of::<Context>(), 2 * word + 8);
    // The future, and the word for what is carried along.
    assert_eq!(size_of::<Scoped<Box<u8>>>(), size_of::<Context>() + 2 * word);
    assert!(size_of::<Scoped<[u64; 8]>>() <= size_of::<[u64; 8]>() + 32 + word);
}
