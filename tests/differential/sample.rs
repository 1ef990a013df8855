use std::sync::Mutex;

use contextvar::{Context, ContextVar, InContext, Token, context_var, copy_context, task};
use futures::FutureExt;

#[context_var(name = "a")]
static A: u64;
#[context_var(name = "b")]
static B: u64 = 100;
#[context_var(name = "s")]
static S: String;
#[context_var(name = "t")]
static T: String = "default".to_owned();
static MORE: [ContextVar<u64>; 40] = [const { ContextVar::new("more") }; 40];

struct Slots<T>(Mutex<[Option<T>; 3]>);
impl<T> Slots<T> {
    const NEW: Self = Slots(Mutex::new([None, None, None]));
    fn take(&self, slot: usize) -> T { self.0.lock().unwrap()[slot].take().expect("it is here") }
    fn put(&self, slot: usize, value: T) { self.0.lock().unwrap()[slot] = Some(value) }
    fn with<R>(&self, slot: usize, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take(slot);
        let result = f(&mut value);
        self.put(slot, value);
        result
    }
}
static NUMBER: Slots<Token<u64>> = Slots::NEW;
static TEXT: Slots<Token<String>> = Slots::NEW;
static CONTEXT: Slots<Context> = Slots::NEW;
static TASK: Slots<tokio::task::JoinHandle<()>> = Slots::NEW;

#[tokio::main]
pub(super) async fn main() {
    NUMBER.put(0, A.set(1));
    TEXT.put(0, T.set("text 2".to_owned()));
    for (x, var) in (0..).zip(&MORE) { var.set(x); }
    CONTEXT.put(0, copy_context());
    CONTEXT.put(1, Context::new());
    CONTEXT.put(2, CONTEXT.with(0, |context| context.clone()));
    CONTEXT.with(0, |context| println!("{:?}", context.get(&A)));
    CONTEXT.with(0, |context| println!("{}", context.contains(&T)));
    CONTEXT.with(0, |context| println!("{}", context.len()));
    CONTEXT.with(1, |context| println!("{context:?}"));
    CONTEXT.with(0, |context| context.run(|| {
        TEXT.put(1, S.set("text 3".to_owned()));
        B.sync_scope(4, || {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        });
        std::thread::spawn(|| {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }).join().unwrap();
    }));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::panic::resume_unwind(Box::new(6));
    }));
    let _ = FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new(7));
    })).await;
    println!("{:?}", T.try_reset(TEXT.take(0)));
    TASK.put(0, task::spawn(async {
        tokio::task::yield_now().await;
        async {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }.await;
    }));
    TASK.put(1, tokio::spawn(async {
        let ((), context) = CONTEXT.take(0).scope(async {
            async {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            }.in_copied_context().await;
            CONTEXT.with(2, |context| context.run(|| async {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            })).await;
        }).and_context().await;
        CONTEXT.put(0, context);
    }));
    task::spawn_blocking(|| {
        println!("{:?}", A.try_get());
        println!("{:?}", S.get_or("text 5".to_owned()));
    }).await.unwrap();
    TASK.take(0).await.unwrap();
    TASK.take(1).await.unwrap();
}
