#![allow(unused)]

use std::sync::Mutex;

use contextvar::Token;
pub(crate) use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task};
pub(crate) use futures::FutureExt;

#[context_var(name = "a")]
pub(crate) static A: u64;
#[context_var(name = "b")]
pub(crate) static B: u64 = 100;
#[context_var(name = "s")]
pub(crate) static S: String;
#[context_var(name = "t")]
pub(crate) static T: String = "default".to_owned();
pub(crate) static MORE: [ContextVar<u64>; 40] = [const { ContextVar::new("more") }; 40];

pub(crate) struct Slots<T>(Mutex<[Option<T>; 3]>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots(Mutex::default())
    }
}

impl<T> Slots<T> {
    fn hand_over(&self) -> Self {
        Slots(Mutex::new(std::mem::take(&mut self.0.lock().unwrap())))
    }

    pub(crate) fn take(&self, slot: usize) -> T {
        self.0.lock().unwrap()[slot].take().expect("the slot is filled")
    }

    pub(crate) fn put(&self, slot: usize, value: T) {
        self.0.lock().unwrap()[slot] = Some(value);
    }

    pub(crate) fn put_back(&self, slot: usize, value: T) {
        self.0.lock().unwrap()[slot].get_or_insert(value);
    }

    pub(crate) fn with<R>(&self, slot: usize, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take(slot);
        let result = f(&mut value);
        self.put_back(slot, value);
        result
    }
}

#[derive(Default)]
pub(crate) struct Held {
    pub(crate) number: Slots<Token<u64>>,
    pub(crate) text: Slots<Token<String>>,
    pub(crate) context: Slots<Context>,
    pub(crate) task: Slots<tokio::task::JoinHandle<Option<(usize, Context)>>>,
}

impl Held {
    pub(crate) fn hand_over(&self) -> Held {
        let (number, text, context) =
            (self.number.hand_over(), self.text.hand_over(), self.context.hand_over());
        Held { number, text, context, task: Slots::default() }
    }

    pub(crate) async fn join(&self, slot: usize) {
        if let Some((slot, context)) = self.task.take(slot).await.unwrap() {
            self.context.put_back(slot, context);
        }
    }
}
