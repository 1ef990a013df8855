//! Programs over contexts: their steps, and functions that generate and shrink them.

use rand::Rng;
use rand::rngs::StdRng;
use serde::Serialize;

/// The index of one of the variables `a`, `b` (numbers), `s` and `t` (texts). `b` and `t` have defaults.
pub(crate) type Var = usize;

/// The index of a place for a token, a context or a task. Each actor has [`SLOTS`] places for each kind.
pub(crate) type Slot = usize;

pub(crate) type Body = Vec<Op>;

pub(crate) const VARS: usize = 4;
pub(crate) const SLOTS: usize = 3;

/// A step of a program. The task or thread that runs it is its actor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Op {
    Get(Var),
    GetOr(Var, u64),
    Set(Var, u64, Slot),
    Reset(Var, Slot),
    /// Sets forty more variables, so that a context's map has more than one node.
    Fill(u64),
    Copy(Slot),
    New(Slot),
    /// Copies the context of the first slot to the second slot.
    Clone(Slot, Slot),
    Lookup(Slot, Var),
    Contains(Slot, Var),
    Len(Slot),
    Entries(Slot),
    Run(Slot, Body),
    /// Sets a variable while the body runs.
    Scoped(Var, u64, Body),
    Raise(u64),
    Catch(Body),
    /// Runs the body on a plain thread.
    Thread(Body),

    // Steps that spawn a task. If the flag is set, the task takes over the actor's tokens and contexts.
    /// Spawns a task in a copy of the current context.
    Task(Slot, bool, Body),
    /// Spawns a task in the context of the first slot. The context returns to that slot when the task ends.
    TaskIn(Slot, Slot, bool, Body),

    // Steps that await.
    Yield,
    Await(Body),
    /// Calls an async function in the context, and awaits it outside.
    Trap(Slot, Body),
    /// Calls an async function that runs in a copy of the current context.
    Isolated(Body),
    ToThread(Body),
    Join(Slot),
}

/// The steps that a body can contain besides those that run anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Allowed {
    /// Steps that spawn a task.
    spawn: bool,
    /// Steps that await.
    wait: bool,
}

impl Allowed {
    /// Neither, as on a plain thread.
    pub(crate) const NONE: Allowed = Allowed { spawn: false, wait: false };
    /// Both, as in a task.
    pub(crate) const ALL: Allowed = Allowed { spawn: true, wait: true };

    /// Returns the steps of a body that runs synchronously.
    pub(crate) fn without_waiting(self) -> Allowed {
        Allowed { wait: false, ..self }
    }

    pub(crate) fn allows(self, body: &Body) -> bool {
        body.iter().all(|op| {
            let (is_allowed, inside) = match op {
                Op::Task(..) | Op::TaskIn(..) => (self.spawn, Allowed::ALL),
                Op::Yield | Op::Join(_) | Op::Await(_) | Op::Trap(..) | Op::Isolated(_) => {
                    (self.wait, Allowed::ALL)
                }
                Op::ToThread(_) => (self.wait, Allowed::NONE),
                Op::Thread(_) => (true, Allowed::NONE),
                Op::Run(..) | Op::Scoped(..) => (true, self.without_waiting()),
                _ => (true, self),
            };
            is_allowed && op.clone().body().is_none_or(|body| inside.allows(body))
        })
    }
}

impl Op {
    pub(crate) fn body(&mut self) -> Option<&mut Body> {
        match self {
            Op::Run(_, body)
            | Op::Scoped(_, _, body)
            | Op::Catch(body)
            | Op::Thread(body)
            | Op::Task(_, _, body)
            | Op::TaskIn(_, _, _, body)
            | Op::Await(body)
            | Op::Trap(_, body)
            | Op::Isolated(body)
            | Op::ToThread(body) => Some(body),
            _ => None,
        }
    }
}

/// Generates a program.
pub(crate) fn generate(random: &mut StdRng, allowed: Allowed) -> Body {
    let mut steps = random.random_range(1..60);
    body(random, allowed, 0, &mut steps)
}

fn body(random: &mut StdRng, allowed: Allowed, depth: usize, steps: &mut usize) -> Body {
    let length = random.random_range(1..=if depth == 0 { 25 } else { 8 });
    let mut ops = Vec::new();
    while ops.len() < length && *steps > 0 {
        *steps -= 1;
        ops.push(op(random, allowed, depth, steps));
    }
    ops
}

fn op(random: &mut StdRng, allowed: Allowed, depth: usize, steps: &mut usize) -> Op {
    loop {
        let (var, slot, other) =
            (random.random_range(0..VARS), random.random_range(0..SLOTS), random.random_range(0..SLOTS));
        let (value, take) = (random.random_range(0..10), random.random());
        let kind = random.random_range(0..100);
        if kind >= 55 && depth == 6 {
            continue;
        }
        let (called, all) = (allowed.without_waiting(), Allowed::ALL);
        return match kind {
            0..10 => Op::Get(var),
            10..13 => Op::GetOr(var, value),
            13..25 => Op::Set(var, value, slot),
            25..33 => Op::Reset(var, slot),
            33 => Op::Fill(value),
            34..40 => Op::Copy(slot),
            40 => Op::New(slot),
            41..43 => Op::Clone(slot, other),
            43..47 => Op::Lookup(slot, var),
            47..49 => Op::Contains(slot, var),
            49..51 => Op::Len(slot),
            51..53 => Op::Entries(slot),
            53..55 if depth > 0 => Op::Raise(value),
            55..67 => Op::Run(slot, body(random, called, depth + 1, steps)),
            67..70 => Op::Scoped(var, value, body(random, called, depth + 1, steps)),
            70..74 => Op::Catch(body(random, allowed, depth + 1, steps)),
            74 => Op::Thread(body(random, Allowed::NONE, depth + 1, steps)),
            75..81 if allowed.spawn => Op::Task(slot, take, body(random, all, depth + 1, steps)),
            81..86 if allowed.spawn => Op::TaskIn(slot, other, take, body(random, all, depth + 1, steps)),
            86..88 if allowed.wait => Op::Yield,
            88..90 if allowed.wait => Op::Await(body(random, all, depth + 1, steps)),
            90..92 if allowed.wait => Op::Trap(slot, body(random, all, depth + 1, steps)),
            92..95 if allowed.wait => Op::Isolated(body(random, all, depth + 1, steps)),
            95 if allowed.wait => Op::ToThread(body(random, Allowed::NONE, depth + 1, steps)),
            96..100 if allowed.wait => Op::Join(slot),
            _ => continue,
        };
    }
}

/// Removes steps from a failing program for as long as the result still `fails`, and returns the smallest
/// one.
pub(crate) fn shrink(mut program: Body, allowed: Allowed, mut fails: impl FnMut(&Body) -> bool) -> Body {
    'smaller: loop {
        for smaller in smaller(&program) {
            if allowed.allows(&smaller) && fails(&smaller) {
                program = smaller;
                continue 'smaller;
            }
        }
        return program;
    }
}

/// Returns the programs that leave out one step, with its body in its place or without.
fn smaller(program: &Body) -> Vec<Body> {
    let mut all = Vec::new();
    for (index, op) in program.iter().enumerate() {
        let with = |ops: Body| [&program[..index], &ops, &program[index + 1..]].concat();
        all.push(with(Vec::new()));
        let Some(body) = op.clone().body().map(std::mem::take) else { continue };
        all.push(with(body.clone()));
        for smaller in smaller(&body) {
            let mut op = op.clone();
            *op.body().expect("the original has a body") = smaller;
            all.push(with(vec![op]));
        }
    }
    all
}
