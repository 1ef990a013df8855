//! Send, Sync and Unpin of the public types, and their sizes.

use std::marker::PhantomPinned;
use std::mem::size_of;

use contextvar::{
    ApplyError, Context, ContextVar, Entry, Iter, LookupError, ResetError, ResetOnDrop, Scope,
    ScopeAndContext, SetError, SetErrorKind, Token,
};

/// `true` where the bound holds, found out by an inherent constant that beats a trait's.
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
        ApplyError, SetError<String>, SetErrorKind, ResetError<String>, Scope<u8>, ScopeAndContext<u8>,
        contextvar::thread::Builder, contextvar::thread::Scope<'static, 'static>,
        contextvar::hyper::Executor<u8>, contextvar::tower::MakeInContext<u8>,
        contextvar::tower::MakeFuture<u8>, contextvar::tower::ServiceInContext<u8>,
    }
    // For `catch_unwind` around code that uses them.
    assert!(holds!(Context: std::panic::UnwindSafe) && holds!(Context: std::panic::RefUnwindSafe));
    assert!(holds!(&'static ContextVar<std::sync::Mutex<u8>>: std::panic::UnwindSafe));
    assert!(holds!(Token<String>: std::panic::UnwindSafe));

    assert!(!holds!(ResetOnDrop<String>: Send));
    assert!(!holds!(Scope<NotSend>: Send));
    assert!(!holds!(Scope<NotSend>: Sync));
    assert!(!holds!(Scope<PhantomPinned>: Unpin));
}

#[test]
fn sizes() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<Context>(), word + 8);
    assert_eq!(size_of::<Scope<Box<u8>>>(), size_of::<Context>() + word);
    assert!(size_of::<Scope<[u64; 8]>>() <= size_of::<[u64; 8]>() + 24);
}
