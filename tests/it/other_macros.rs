//! The attributes beside macros of other crates: those that copy attributes, or turn an `impl` into a trait
//! or a type.

use std::future::ready;

use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String = "nobody".to_owned();

/// Returns the user of the calling function's context, and sets another.
async fn read_and_set() -> String {
    let user = USER.get();
    USER.set("eve".to_owned());
    ready(user).await
}

/// mockall: the attribute above and below `#[automock]` on an `impl`, and on the `impl` of a trait with
/// `#[automock]`.
mod mocks {
    use mockall::automock;

    use super::*;

    pub(super) struct Below;

    #[automock]
    #[with_copied_context(USER = "below".to_owned())]
    impl Below {
        pub(super) async fn send(&self, _n: u8) -> String {
            read_and_set().await
        }
    }

    pub(super) struct Above;

    #[with_copied_context(USER = "above".to_owned())]
    #[automock]
    impl Above {
        pub(super) async fn send(&self, _n: u8) -> String {
            read_and_set().await
        }
    }

    #[automock]
    pub(super) trait Mailer {
        async fn send(&self, n: u8) -> String;
    }

    pub(super) struct Mail;

    #[with_copied_context(USER = "implementation".to_owned())]
    impl Mailer for Mail {
        async fn send(&self, _n: u8) -> String {
            read_and_set().await
        }
    }
}

#[tokio::test]
async fn mockall_mocks_annotated_impls() {
    use mocks::*;
    assert_eq!(Below.send(1).await, "below");
    assert_eq!(Above.send(1).await, "above");
    assert_eq!(Mail.send(1).await, "implementation");
    assert_eq!(USER.get(), "nobody");

    let mut below = MockBelow::new();
    below.expect_send().returning(|n| n.to_string());
    let mut above = MockAbove::new();
    above.expect_send().returning(|n| n.to_string());
    let mut mail = MockMailer::new();
    mail.expect_send().returning(|n| n.to_string());
    assert_eq!((below.send(1).await, above.send(2).await), ("1".to_owned(), "2".to_owned()));
    assert_eq!(mail.send(3).await, "3");
}

/// easy_ext: the attribute above and below `#[ext]`, and on a method.
mod extensions {
    use easy_ext::ext;

    use super::*;

    #[with_copied_context(USER = "above".to_owned())]
    #[ext(Above)]
    pub(super) impl str {
        async fn above(&self) -> String {
            read_and_set().await + self
        }
    }

    #[ext(Below)]
    #[with_copied_context(USER = "below".to_owned())]
    pub(super) impl str {
        async fn below(&self) -> String {
            read_and_set().await + self
        }
    }

    #[ext(Method)]
    pub(super) impl str {
        #[with_copied_context(USER = "method".to_owned())]
        async fn method(&self) -> String {
            read_and_set().await + self
        }
    }
}

#[tokio::test]
async fn easy_ext_takes_annotated_impls() {
    use extensions::*;
    assert_eq!("!".above().await, "above!");
    assert_eq!("!".below().await, "below!");
    assert_eq!("!".method().await, "method!");
    assert_eq!(USER.get(), "nobody");
}

/// fastrace: the attribute above and below `#[trace]` on a function, and on an `impl` with a `#[trace]`
/// method.
mod traces {
    use fastrace::trace;

    use super::*;

    #[with_copied_context(USER = "above".to_owned())]
    #[trace]
    pub(super) async fn above() -> String {
        read_and_set().await
    }

    #[trace]
    #[with_copied_context(USER = "below".to_owned())]
    pub(super) async fn below() -> String {
        read_and_set().await
    }

    pub(super) struct Methods;

    #[with_copied_context(USER = "method".to_owned())]
    impl Methods {
        #[trace]
        pub(super) async fn method(&self) -> String {
            read_and_set().await
        }
    }
}

#[tokio::test]
async fn fastrace_traces_annotated_functions() {
    use traces::*;
    assert_eq!(above().await, "above");
    assert_eq!(below().await, "below");
    assert_eq!(Methods.method().await, "method");
    assert_eq!(USER.get(), "nobody");
}

/// async_trait binds the arguments inside the block that it generates; entries can use them all the same.
#[tokio::test]
async fn entries_see_the_arguments_below_async_trait() {
    #[async_trait::async_trait]
    trait Service {
        async fn moved(&self, user: String) -> String;
        async fn pattern(&self, pair: (String, u8)) -> String;
    }

    struct Server;

    #[async_trait::async_trait]
    impl Service for Server {
        #[with_copied_context(USER = user)]
        async fn moved(&self, user: String) -> String {
            read_and_set().await
        }

        #[with_copied_context(USER = user.clone())]
        async fn pattern(&self, (user, n): (String, u8)) -> String {
            format!("{} {user} {n}", read_and_set().await)
        }
    }

    assert_eq!(Server.moved("ada".to_owned()).await, "ada");
    assert_eq!(Server.pattern(("ada".to_owned(), 1)).await, "ada ada 1");
    assert_eq!(USER.get(), "nobody");
}

/// Entries come after the statements that async_trait generates, and before similar statements of the user.
#[tokio::test]
async fn entries_precede_the_statements_of_a_hand_boxed_block() {
    use std::pin::Pin;

    #[with_copied_context(USER = "ada".to_owned())]
    fn early(name: String) -> Pin<Box<dyn Future<Output = String>>> {
        Box::pin(async move {
            if USER.get() == "ada" {
                return USER.get();
            }
            let n = name;
            n + "!"
        })
    }

    #[with_copied_context(USER = name.clone())]
    fn owned(name: String) -> Pin<Box<dyn Future<Output = String>>> {
        Box::pin(async move {
            let owned = name;
            format!("{owned} {}", USER.get())
        })
    }

    assert_eq!(early("grace".to_owned()).await, "ada");
    assert_eq!(owned("grace".to_owned()).await, "grace grace");
}

/// A macro in return position that expands to an `impl` type.
#[tokio::test]
async fn a_return_type_can_be_a_macro() {
    macro_rules! Numbers {
        () => { impl Iterator<Item = String> };
    }

    #[with_copied_context(USER = "ada".to_owned())]
    async fn later() -> Numbers![] {
        std::iter::once(read_and_set().await)
    }

    #[with_copied_context(USER = "ada".to_owned())]
    fn now() -> Numbers![] {
        std::iter::once(USER.get())
    }

    assert_eq!(later().await.collect::<Vec<_>>(), ["ada"]);
    assert_eq!(now().collect::<Vec<_>>(), ["ada"]);
}

/// In edition 2024, a tail expression can read through a temporary that borrows a local variable.
#[test]
fn temporaries_of_the_tail_expression_drop_first() {
    use std::sync::Mutex;

    #[with_copied_context]
    async fn read() -> &'static u32 {
        let lock = Mutex::new(&5);
        &**lock.lock().unwrap()
    }

    #[with_copied_context]
    async fn read_some() -> Option<&'static u32> {
        let lock = Mutex::new(&5);
        Some(&**lock.lock().unwrap())
    }

    assert_eq!(futures::executor::block_on(async { (read().await, read_some().await) }), (&5, Some(&5)));
}
