//! The attributes where names are shadowed, and in the expansions of `macro_rules!`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::Ordering;

use contextvar::{context_var, with_copied_context};

#[context_var]
static NUMBER: u64 = 0;

#[derive(Default)]
struct Service {
    calls: u64,
    name: String,
}

/// Functions written by a `macro_rules!`, from fragments of every kind.
macro_rules! make {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty = $value:expr),*) -> $ret:ty $body:block) => {
        $(#[$attr])*
        #[with_copied_context($(NUMBER = $value),*)]
        $vis async fn $name($($arg: $ty),*) -> $ret $body
    };
    (impl $ty:ty { fn $name:ident($pat:pat => $arg:ty) $body:block }) => {
        #[with_copied_context]
        impl $ty {
            async fn $name(&self, $pat: $arg) -> u64 $body
        }
    };
}

make! {
    /// Docs.
    pub(crate) fn made(a: u64 = a * 2) -> Vec<u64> { vec![a, NUMBER.get()] }
}

make! {
    impl Service { fn made((a, _) => (u64, u64)) { a } }
}

/// A type in the body that shadows a type in the signature.
#[with_copied_context]
async fn hides_its_type() -> Service {
    use std::string::String as Service;
    super::macro_hygiene::Service { calls: 1, name: Service::from("s") }
}

/// The crate under another path.
mod vendored {
    pub(crate) use contextvar as vars;
}

#[with_copied_context(crate::macro_hygiene::NUMBER = 9, crate = crate::macro_hygiene::vendored::vars)]
async fn by_another_path() -> u64 {
    NUMBER.get() + ANOTHER.get()
}

#[context_var(crate = crate::macro_hygiene::vendored::vars)]
static ANOTHER: u64 = 1;

/// Names that would break an expansion that relied on them.
#[allow(dead_code, non_snake_case, unreachable_pub)]
mod somewhere {
    pub mod std {}
    pub mod core {}
    pub struct Future;
    pub struct Result;
    pub struct Option;
    pub struct Box;
    pub fn drop() {}
    pub fn default_shared_by_all_requests() {}
    pub struct Mutex;
    pub mod contextvar {}

    // `expect` shows that the warning comes in every edition.
    #[super::context_var(crate = ::contextvar)]
    #[expect(deprecated, reason = "requests would share the list")]
    pub static SHARED: ::std::sync::Arc<::std::sync::Mutex<::std::vec::Vec<u8>>> =
        ::std::default::Default::default();

    #[super::context_var(crate = crate::macro_hygiene::vendored::vars)]
    #[expect(deprecated, reason = "requests would share the number")]
    pub static SHARED_TOO: ::std::sync::Arc<::std::sync::atomic::AtomicU8> =
        ::std::default::Default::default();

    #[super::context_var(name = "the list", crate = ::contextvar)]
    #[doc = "Docs stay."]
    pub(in crate::macro_hygiene) static LIST: ::std::vec::Vec<u8>;

    #[super::with_copied_context(LIST = ::std::vec![1], crate = ::contextvar)]
    pub async fn shadowed(F: u8, R: u8, a0: u8, context: u8) -> ::std::vec::Vec<u8> {
        let mut list = LIST.get();
        list.extend([F, R, a0, context]);
        list
    }
}

#[tokio::test]
async fn a_macro_rules_fragment_of_every_kind() {
    assert_eq!(made(4).await, [4, 8]);
    assert_eq!(Service::default().made((5, 6)).await, 5);
    assert!(!NUMBER.is_set());
}

#[tokio::test]
async fn a_type_of_the_body_that_hides_one_of_the_signature() {
    let service = hides_its_type().await;
    assert_eq!((service.calls, service.name.as_str()), (1, "s"));
}

#[tokio::test]
async fn the_crate_under_another_path() {
    assert_eq!(by_another_path().await, 10);
    assert!(!NUMBER.is_set());
}

#[tokio::test]
async fn shadowed_names_do_not_break_expansions() {
    assert_eq!(somewhere::shadowed(2, 3, 4, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(somewhere::LIST.name(), "the list");
    assert!(somewhere::SHARED.get().lock().unwrap().is_empty());
    assert_eq!(somewhere::SHARED_TOO.get().load(Ordering::SeqCst), 0);
}

#[test]
fn statics_in_functions_and_methods() {
    struct S;
    impl S {
        fn method(&self) -> HashMap<u8, u8> {
            #[context_var]
            static MAP: HashMap<u8, u8> = HashMap::from([(1, 2)]);
            MAP.get()
        }
    }

    #[context_var]
    static r#TYPE: &str = if cfg!(unix) { "unix" } else { "other" };

    assert_eq!(S.method()[&1], 2);
    assert_eq!(r#TYPE.name(), "TYPE");
    assert!(!r#TYPE.get().is_empty());
}

/// Types and items that `macro_rules!` passes on arrive in invisible groups; parentheses are groups as well.
mod in_groups {
    use std::pin::Pin;

    use super::*;

    #[context_var]
    static COUNT: u64 = 0;

    async fn body() -> u64 {
        COUNT.set(COUNT.get() + 1);
        tokio::task::yield_now().await;
        COUNT.get()
    }

    macro_rules! of_type {
        ($name:ident, $ty:ty) => {
            #[with_copied_context]
            fn $name() -> $ty {
                Box::pin(body())
            }
        };
    }
    of_type!(whole, Pin<Box<dyn Future<Output = u64> + Send>>);

    macro_rules! of_object {
        ($name:ident, $ty:ty) => {
            #[with_copied_context]
            fn $name() -> Pin<Box<$ty>> {
                Box::pin(body())
            }
        };
    }
    of_object!(object, dyn Future<Output = u64> + Send);

    #[rustfmt::skip]
    #[with_copied_context]
    #[allow(unused_parens)]
    fn parenthesised() -> (impl Future<Output = u64>) {
        body()
    }

    #[with_copied_context]
    fn boxed_impl() -> Pin<Box<impl Future<Output = u64>>> {
        Box::pin(body())
    }

    #[with_copied_context]
    fn lifetime_first() -> Pin<Box<dyn 'static + Future<Output = u64>>> {
        Box::pin(body())
    }

    /// Runs in the copy during the call, like any function that returns no future.
    #[with_copied_context]
    fn no_future() -> Pin<Box<u64>> {
        COUNT.set(COUNT.get() + 1);
        Box::pin(COUNT.get())
    }

    macro_rules! items {
        ($($item:item)*) => {
            #[with_copied_context]
            mod items {
                use super::*;
                $($item)*
            }
        };
    }
    items! {
        pub(super) async fn function() -> u64 {
            body().await
        }

        pub(super) struct Type;

        impl Type {
            pub(super) async fn method(&self) -> u64 {
                body().await
            }
        }

        #[with_copied_context(skip)]
        pub(super) async fn left_out() -> u64 {
            body().await
        }
    }

    macro_rules! of_visibility {
        ($vis:vis $name:ident) => {
            #[with_copied_context]
            mod $name {
                $vis async fn function() -> u64 {
                    super::body().await
                }
            }
        };
    }
    of_visibility!(pub(super) visible);

    #[tokio::test]
    async fn fragments_in_groups_run_in_the_copy() {
        assert_eq!(visible::function().await, 1);
        assert_eq!(whole().await, 1);
        assert_eq!(object().await, 1);
        assert_eq!(parenthesised().await, 1);
        assert_eq!(boxed_impl().await, 1);
        assert_eq!(lifetime_first().await, 1);
        assert_eq!(*no_future(), 1);
        assert_eq!(items::function().await, 1);
        assert_eq!(items::Type.method().await, 1);
        assert_eq!(COUNT.get(), 0);
        assert_eq!(items::left_out().await, 1);
        assert_eq!(COUNT.get(), 1);
    }
}
