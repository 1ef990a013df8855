//! Many variables: CPython's `HamtTest` of the tree behind its contexts.
//!
//! Here no hashes can collide, and finding a variable runs no code of a key that could fail, so nothing
//! stands for `test_hashkey_helper_1`, `test_hamt_collision_*` and `test_hamt_eq_*`. The first two tests
//! check for many keys what `test_hamt_basics_*`, `test_hamt_delete_*`, `test_hamt_items_*`,
//! `test_hamt_keys_1`, `test_hamt_in_1` and `test_hamt_getitem_1` check for a few.

use std::collections::HashMap;
use std::sync::Arc;

use contextvar::{Context, ContextVar, Entry, context_var};
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

/// Sets every variable, then removes every one, in random order. Copies made on the way stay unchanged.
#[test]
fn test_hamt_stress() {
    const COUNT: usize = if cfg!(miri) { 24 } else { 2000 };
    const CHECKS: usize = if cfg!(miri) { 2 } else { 10 };

    let (variables, mut rng) = (variables(COUNT), seeded());
    let mut order: Vec<_> = (0..variables.len()).collect();

    let mut modeled = Modeled::default();
    order.shuffle(&mut rng);
    for &index in &order {
        assert_eq!(variables[index].get(&modeled.ctx), None);
        variables[index].set(&mut modeled.ctx, index as u32);
        modeled.model.insert(index, index as u32);
        assert_eq!(modeled.ctx.len(), modeled.model.len());
    }
    let mut copies = vec![modeled.clone()];

    order.shuffle(&mut rng);
    for (count, index) in order.iter().enumerate() {
        if count % (COUNT / CHECKS) == 0 {
            modeled.check(&variables);
            copies.push(modeled.clone());
        }
        assert!(variables[*index].unset(&mut modeled.ctx));
        assert!(!variables[*index].unset(&mut modeled.ctx));
        modeled.model.remove(index);
        assert_eq!(modeled.ctx.len(), modeled.model.len());
    }
    modeled.check(&variables);
    copies.iter().for_each(|copy| copy.check(&variables));
}

/// Applies random operations to six contexts, which are often copies of one another.
#[test]
fn random_operations_on_copies() {
    // A copy is made every `COPY` steps, and a check every `10 * COPY`.
    const COUNT: usize = if cfg!(miri) { 40 } else { 1200 };
    const STEPS: u32 = if cfg!(miri) { 50 } else { 20_000 };
    const COPY: u32 = if cfg!(miri) { 5 } else { 100 };

    let (variables, mut rng) = (variables(COUNT), seeded());
    let mut contexts = vec![Modeled::default(); 6];
    for step in 0..STEPS {
        if step % COPY == 0 {
            let copy = contexts.choose(&mut rng).unwrap().clone();
            *contexts.choose_mut(&mut rng).unwrap() = copy;
        }
        if step % (10 * COPY) == 0 {
            contexts.iter().for_each(|context| context.check(&variables));
        }
        let Modeled { ctx, model } = contexts.choose_mut(&mut rng).unwrap();
        let index = rng.random_range(0..variables.len());
        let variable = &variables[index];
        match rng.random_range(0..5) {
            0 => {
                variable.set(ctx, step);
                model.insert(index, step);
            }
            1 | 2 => {
                ctx.run(|| variable.set_current(step));
                model.insert(index, step);
            }
            3 => ctx.run(|| variable.set_and_reset_current(step)),
            _ => assert_eq!(variable.unset(ctx), model.remove(&index).is_some()),
        }
        assert_eq!(variable.get(ctx), model.get(&index).copied());
    }
    contexts.iter().for_each(|context| context.check(&variables));
}

#[test]
fn test_hamt_gc_1() {
    #[context_var]
    static VAR: Arc<()>;

    let value = Arc::new(());
    let ctx = Context::new().with_value(&VAR, value.clone());
    let mut copy = ctx.clone();
    let token = copy.run(|| VAR.set(Arc::default()));
    drop(copy);
    drop(ctx);
    assert_eq!(Arc::strong_count(&value), 2, "a token has the old value");
    drop(token);
    assert_eq!(Arc::strong_count(&value), 1);
}

/// A context that holds an earlier copy of itself.
#[test]
fn test_hamt_gc_2() {
    #[context_var]
    static VAR: Arc<()>;
    #[context_var]
    static EARLIER: Context;

    let value = Arc::new(());
    let mut ctx = Context::new().with_value(&VAR, value.clone());
    for _ in 0..10 {
        ctx = ctx.clone().with_value(&EARLIER, ctx);
    }
    assert_eq!(ctx[&EARLIER][&EARLIER].len(), 2);
    drop(ctx);
    assert_eq!(Arc::strong_count(&value), 1);
}

/// A variable of any type, whose values stand for numbers.
trait Variable {
    fn get(&self, ctx: &Context) -> Option<u32>;
    fn get_entry(&self, entry: Entry<'_>) -> Option<u32>;
    fn set(&self, ctx: &mut Context, number: u32);
    fn unset(&self, ctx: &mut Context) -> bool;
    fn set_current(&self, number: u32);
    fn set_and_reset_current(&self, number: u32);
}

struct Numbered<T: 'static> {
    var: &'static ContextVar<T>,
    to: fn(u32) -> T,
    from: fn(&T) -> u32,
}

impl<T: Send + Sync + 'static> Variable for Numbered<T> {
    fn get(&self, ctx: &Context) -> Option<u32> {
        ctx.get(self.var).map(self.from)
    }

    fn get_entry(&self, entry: Entry<'_>) -> Option<u32> {
        entry.downcast_ref().map(self.from)
    }

    fn set(&self, ctx: &mut Context, number: u32) {
        ctx.set(self.var, (self.to)(number));
    }

    fn unset(&self, ctx: &mut Context) -> bool {
        ctx.unset(self.var)
    }

    fn set_current(&self, number: u32) {
        self.var.set((self.to)(number));
    }

    fn set_and_reset_current(&self, number: u32) {
        let token = self.var.set((self.to)(number));
        assert_eq!(self.var.with(self.from), number);
        self.var.reset(token);
    }
}

/// Creates variables of four types by turns, each named for its index.
fn variables(count: usize) -> Vec<Box<dyn Variable>> {
    fn leak<T>(index: usize, to: fn(u32) -> T, from: fn(&T) -> u32) -> Box<dyn Variable>
    where
        T: Send + Sync + 'static,
    {
        let var = &*Box::leak(Box::new(ContextVar::new(index.to_string().leak())));
        // After its first write the library refers to the variable, so Miri reports no leak.
        Context::new().set(var, to(0));
        Box::new(Numbered { var, to, from })
    }

    let variable = |index| match index % 4 {
        0 => leak(index, u64::from, |&n| n as u32),
        1 => leak(index, |n| n.to_string(), |text| text.parse().unwrap()),
        2 => leak(index, |n| n, |&n| n),
        _ => leak(index, |n| [n, 0, 0], |list| list[0]),
    };
    (0..count).map(variable).collect()
}

/// A context and its expected contents.
#[derive(Clone, Default)]
struct Modeled {
    ctx: Context,
    model: HashMap<usize, u32>,
}

impl Modeled {
    fn check(&self, variables: &[Box<dyn Variable>]) {
        assert_eq!(self.ctx.len(), self.model.len());
        for (index, variable) in variables.iter().enumerate() {
            assert_eq!(variable.get(&self.ctx), self.model.get(&index).copied(), "variable {index}");
        }
        let items = self.ctx.iter().map(|entry| {
            let index: usize = entry.name().parse().unwrap();
            (index, variables[index].get_entry(entry).unwrap())
        });
        assert_eq!(items.collect::<HashMap<_, _>>(), self.model);
    }
}

fn seeded() -> StdRng {
    const SEED: u64 = 567;
    println!("seed {SEED}");
    StdRng::seed_from_u64(SEED)
}
