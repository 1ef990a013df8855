//! Compares contexts with std's maps: after any operation on one context, each context equals its map.

use std::collections::BTreeMap;

use contextvar::{Context, ContextVar, copy_context};

// Three kinds of variables: stored inline, stored behind a pointer, and not inherited. Enough for three
// levels of the trie.
const EACH: usize = if cfg!(miri) { 40 } else { 400 };
static NUMBERS: [ContextVar<u64>; EACH] = [const { ContextVar::new("number") }; EACH];
static TEXTS: [ContextVar<String>; EACH] = [const { ContextVar::new("text") }; EACH];
static KEPT: [ContextVar<u64>; EACH] = [const { ContextVar::new("kept").inherit(false) }; EACH];

const CONTEXTS: usize = 4;

type Model = BTreeMap<usize, u64>;

#[derive(Clone, Debug)]
enum Op {
    Set(usize, usize, u64),
    SetInside(usize, usize, u64),
    SetAndReset(usize, usize, u64),
    Unset(usize, usize),
    Clone(usize, usize),
    CopyInside(usize, usize),
    Inherited(usize, usize),
    Only(usize, usize, Vec<usize>),
    /// Applies the changes of the second context since the first to the third.
    Apply(usize, usize, usize),
}

/// Decodes bytes into operations.
struct Ops<'a>(std::slice::Iter<'a, u8>);

impl Ops<'_> {
    fn below(&mut self, limit: usize) -> Option<usize> {
        let byte = usize::from(*self.0.next()?);
        // Half of the numbers are small, so that writes meet; the others make the trie grow.
        let number = if byte < 128 { byte % 15 } else { byte << 8 | usize::from(*self.0.next()?) };
        Some(number % limit)
    }
}

impl Iterator for Ops<'_> {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        let kind = *self.0.next()? % 25;
        let (context, other) = (self.below(CONTEXTS)?, self.below(CONTEXTS)?);
        let (var, value) = (self.below(3 * EACH)?, self.below(9)? as u64);
        Some(match kind {
            0..6 => Op::Set(context, var, value),
            6..12 => Op::SetInside(context, var, value),
            12..14 => Op::SetAndReset(context, var, value),
            14..18 => Op::Unset(context, var),
            18..20 => Op::Clone(context, other),
            20..22 => Op::CopyInside(context, other),
            22 => Op::Inherited(context, other),
            23 => Op::Only(context, other, (var..3 * EACH).step_by(1 + value as usize).take(8).collect()),
            _ => Op::Apply(context, other, var % CONTEXTS),
        })
    }
}

/// Evaluates `$body` with the variable of a number, whatever its type.
macro_rules! with_var {
    ($number:expr, |$var:ident, $value:ident| $body:expr) => {
        match ($number % 3, $number / 3) {
            (0, index) => {
                let ($var, $value) = (&NUMBERS[index], |value: u64| value);
                $body
            }
            (1, index) => {
                let ($var, $value) = (&TEXTS[index], |value: u64| value.to_string());
                $body
            }
            (_, index) => {
                let ($var, $value) = (&KEPT[index], |value: u64| value);
                $body
            }
        }
    };
}

fn is_kept(var: usize) -> bool {
    var % 3 == 2
}

fn do_it(op: &Op, step: u64, contexts: &mut [Context; CONTEXTS], models: &mut [Model; CONTEXTS]) {
    // Setting an equal text counts as a change, so no text is set twice.
    let unique = |var, value| if var % 3 == 1 { value + 10 * step } else { value };
    match *op {
        Op::Set(context, var, value) => {
            let value = unique(var, value);
            with_var!(var, |var, of| contexts[context].set(var, of(value)));
            models[context].insert(var, value);
        }
        Op::SetInside(context, var, value) => {
            let value = unique(var, value);
            let old = with_var!(var, |var, of| contexts[context].run(|| {
                let token = var.set(of(value));
                assert_eq!(var.get(), of(value));
                token.old_value().map(|old| old.to_string().parse().unwrap())
            }));
            assert_eq!(old, models[context].insert(var, value));
        }
        Op::SetAndReset(context, var, value) => {
            with_var!(var, |var, of| contexts[context].run(|| var.reset(var.set(of(value)))));
        }
        Op::Unset(context, var) => {
            let was_set = with_var!(var, |var, _of| contexts[context].unset(var));
            assert_eq!(was_set, models[context].remove(&var).is_some());
        }
        Op::Clone(from, to) => {
            contexts[to] = contexts[from].clone();
            models[to] = models[from].clone();
        }
        Op::CopyInside(from, to) => {
            contexts[to] = contexts[from].run(copy_context);
            models[to] = models[from].clone();
        }
        Op::Inherited(from, to) => {
            contexts[to] = contexts[from].clone().inherited();
            models[to] = models[from].clone();
            models[to].retain(|var, _| !is_kept(*var));
        }
        Op::Only(from, to, ref vars) => {
            let only: Vec<_> = vars.iter().map(|var| with_var!(*var, |var, _of| var as _)).collect();
            contexts[to] = contexts[from].only(&only);
            models[to] = models[from].clone();
            models[to].retain(|var, _| vars.contains(var));
        }
        Op::Apply(base, from, to) => {
            let (base_context, from_context) = (contexts[base].clone(), contexts[from].clone());
            contexts[to].run(|| from_context.apply_changes_to_current(&base_context));
            let changed: Vec<usize> = (0..3 * EACH)
                .filter(|var| !is_kept(*var) && models[base].get(var) != models[from].get(var))
                .collect();
            for var in changed {
                match models[from].get(&var).copied() {
                    Some(value) => models[to].insert(var, value),
                    None => models[to].remove(&var),
                };
            }
        }
    }
}

fn check(context: &Context, model: &Model, op: &Op) {
    assert_eq!(context.len(), model.len());
    assert_eq!(context.is_empty(), model.is_empty());
    let mut entries: Vec<(&str, u64)> = context
        .iter()
        .map(|entry| {
            let number = entry.downcast_ref::<u64>().copied();
            (entry.name(), number.unwrap_or_else(|| entry.downcast_ref::<String>().unwrap().parse().unwrap()))
        })
        .collect();
    let name = |var: usize| ["number", "text", "kept"][var % 3];
    let mut expected: Vec<_> = model.iter().map(|(&var, &value)| (name(var), value)).collect();
    entries.sort_unstable();
    expected.sort_unstable();
    assert_eq!(entries, expected, "after {op:?}");
    for var in (0..15).chain(model.keys().copied()) {
        let found = with_var!(var, |var, _of| {
            assert_eq!(context.get(var).is_some(), context.contains(var));
            context.get(var).map(|value| value.to_string().parse().unwrap())
        });
        assert_eq!(found, model.get(&var).copied());
    }
}

/// Runs the operations that the bytes stand for, and checks all contexts after each one.
pub(crate) fn run(bytes: &[u8]) {
    let mut contexts: [Context; CONTEXTS] = Default::default();
    let mut models: [Model; CONTEXTS] = Default::default();
    for (step, op) in (0..).zip(Ops(bytes.iter())) {
        do_it(&op, step, &mut contexts, &mut models);
        for (context, model) in contexts.iter().zip(&models) {
            check(context, model, &op);
        }
    }
}
