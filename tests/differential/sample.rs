#![allow(unused)]

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
impl<T> Default for Slots<T> {
    fn default() -> Self { Slots(Mutex::default()) }
}
impl<T> Slots<T> {
    fn give(&self) -> Self { Slots(Mutex::new(std::mem::take(&mut self.0.lock().unwrap()))) }
    fn take(&self, slot: usize) -> T { self.0.lock().unwrap()[slot].take().expect("it is here") }
    fn put(&self, slot: usize, value: T) { self.0.lock().unwrap()[slot] = Some(value) }
    fn put_back(&self, slot: usize, value: T) { self.0.lock().unwrap()[slot].get_or_insert(value); }
    fn with<R>(&self, slot: usize, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take(slot);
        let result = f(&mut value);
        self.put_back(slot, value);
        result
    }
}

#[derive(Default)]
struct Hand {
    number: Slots<Token<u64>>,
    text: Slots<Token<String>>,
    context: Slots<Context>,
    task: Slots<tokio::task::JoinHandle<Option<(usize, Context)>>>,
}
impl Hand {
    fn give(&self) -> Hand {
        let (number, text, context) = (self.number.give(), self.text.give(), self.context.give());
        Hand { number, text, context, task: Slots::default() }
    }
    async fn join(&self, slot: usize) {
        if let Some((slot, context)) = self.task.take(slot).await.unwrap() {
            self.context.put_back(slot, context);
        }
    }
}

#[tokio::main]
pub(super) async fn main() {
    let hand = &Hand::default();
    hand.number.put(0, A.set(1));
    hand.text.put(0, T.set("text 2".to_owned()));
    for (x, var) in (0..).zip(&MORE) { var.set(x); }
    hand.context.put(0, copy_context());
    hand.context.put(1, Context::new());
    hand.context.put(2, hand.context.with(0, |context| context.clone()));
    hand.context.with(0, |context| println!("{:?}", context.get(&A)));
    hand.context.with(0, |context| println!("{}", context.contains(&T)));
    hand.context.with(0, |context| println!("{}", context.len()));
    hand.context.with(1, |context| println!("{context:?}"));
    hand.context.with(0, |context| context.run(|| {
        hand.text.put(1, S.set("text 3".to_owned()));
        B.sync_scope(4, || {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        });
        std::thread::spawn(|| {
            let hand = &Hand::default();
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }).join().unwrap();
    }));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::panic::resume_unwind(Box::new(6));
    }));
    let _ = FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async move {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new(7));
    })).await;
    println!("{:?}", T.try_reset(hand.text.take(0)));
    let given = Hand::default();
    hand.task.put(0, task::spawn(async move {
        let hand = &given;
        tokio::task::yield_now().await;
        hand.number.put(0, A.set(8));
        println!("{:?}", A.try_reset(hand.number.take(0)));
        async move {
            println!("{:?}", A.try_get());
            println!("{:?}", S.get_or("text 5".to_owned()));
        }.await;
        None
    }));
    let context = hand.context.take(0);
    let given = hand.give();
    hand.task.put(1, tokio::spawn(async move {
        let ((), context) = context.scope(async move {
            let hand = &given;
            async move {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            }.in_copied_context().await;
            hand.context.with(2, |context| context.run(|| async move {
                println!("{:?}", A.try_get());
                println!("{:?}", S.get_or("text 5".to_owned()));
            })).await;
        }).and_context().await;
        Some((0, context))
    }));
    task::spawn_blocking(|| {
        let hand = &Hand::default();
        println!("{:?}", A.try_get());
        println!("{:?}", S.get_or("text 5".to_owned()));
    }).await.unwrap();
    hand.join(0).await;
    hand.join(1).await;
    hand.context.with(0, |context| println!("{}", context.len()));
}
