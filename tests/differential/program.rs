//! Programs over contexts: what they are made of, how they are made up and made smaller.

use rand::Rng;
use rand::rngs::StdRng;
use serde::Serialize;

/// One of `a`, `b` (numbers) and `s`, `t` (texts), of which `b` and `t` have defaults.
pub(crate) type Var = usize;

/// A place for a token, a context or a task, of which each actor has [`SLOTS`] a kind.
pub(crate) type Slot = usize;

pub(crate) type Body = Vec<Op>;

pub(crate) const VARS: usize = 4;
pub(crate) const SLOTS: usize = 3;

/// A step of a program. Its actor is the task or thread that it runs in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Op {
    Get(Var),
    GetOr(Var, u64),
    Set(Var, u64, Slot),
    Reset(Var, Slot),
    /// Sets forty more variables, so that contexts are of more than one piece.
    Fill(u64),
    Copy(Slot),
    New(Slot),
    /// The second becomes a copy of the first.
    Clone(Slot, Slot),
    Lookup(Slot, Var),
    Contains(Slot, Var),
    Len(Slot),
    Entries(Slot),
    Run(Slot, Body),
    /// Sets a variable for the body.
    Scoped(Var, u64, Body),
    Raise(u64),
    Catch(Body),
    /// A thread that is told nothing.
    Thread(Body),

    // Only where a task can be spawned.
    /// A task in a copy. It takes the actor's tokens and contexts along, or has none.
    Task(Slot, bool, Body),
    /// A task in a context, which comes back when it ends.
    TaskIn(Slot, Slot, bool, Body),

    // Only where there is an await.
    Yield,
    Await(Body),
    /// The call is made in the context, the await is not.
    Trap(Slot, Body),
    /// The call of a function that runs in a copy.
    Isolated(Body),
    ToThread(Body),
    Join(Slot),
}

/// What a body may do.
#[derive(Clone, Copy)]
pub(crate) struct May {
    pub(crate) spawn: bool,
    pub(crate) wait: bool,
}

impl May {
    pub(crate) const NOTHING: May = May { spawn: false, wait: false };
    pub(crate) const EVERYTHING: May = May { spawn: true, wait: true };

    /// What is called may not wait.
    pub(crate) fn called(self) -> May {
        May { wait: false, ..self }
    }

    pub(crate) fn allows(self, body: &Body) -> bool {
        body.iter().all(|op| {
            let (op_itself, inside) = match op {
                Op::Task(..) | Op::TaskIn(..) => (self.spawn, May::EVERYTHING),
                Op::Yield | Op::Join(_) | Op::Await(_) | Op::Trap(..) | Op::Isolated(_) => {
                    (self.wait, May::EVERYTHING)
                }
                Op::ToThread(_) => (self.wait, May::NOTHING),
                Op::Thread(_) => (true, May::NOTHING),
                Op::Run(..) | Op::Scoped(..) => (true, self.called()),
                _ => (true, self),
            };
            op_itself && op.clone().body().is_none_or(|body| inside.allows(body))
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

/// Makes up a program.
pub(crate) fn random(random: &mut StdRng, may: May) -> Body {
    let mut steps = random.random_range(1..60);
    body(random, may, 0, &mut steps)
}

fn body(random: &mut StdRng, may: May, depth: usize, steps: &mut usize) -> Body {
    let length = random.random_range(1..=if depth == 0 { 25 } else { 8 });
    let mut ops = Vec::new();
    while ops.len() < length && *steps > 0 {
        *steps -= 1;
        ops.push(op(random, may, depth, steps));
    }
    ops
}

fn op(random: &mut StdRng, may: May, depth: usize, steps: &mut usize) -> Op {
    loop {
        let (var, slot, other) =
            (random.random_range(0..VARS), random.random_range(0..SLOTS), random.random_range(0..SLOTS));
        let (value, take) = (random.random_range(0..10), random.random());
        let kind = random.random_range(0..100);
        if kind >= 55 && depth == 6 {
            continue;
        }
        let (called, everything) = (may.called(), May::EVERYTHING);
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
            70..74 => Op::Catch(body(random, may, depth + 1, steps)),
            74 => Op::Thread(body(random, May::NOTHING, depth + 1, steps)),
            75..81 if may.spawn => Op::Task(slot, take, body(random, everything, depth + 1, steps)),
            81..86 if may.spawn => Op::TaskIn(slot, other, take, body(random, everything, depth + 1, steps)),
            86..88 if may.wait => Op::Yield,
            88..90 if may.wait => Op::Await(body(random, everything, depth + 1, steps)),
            90..92 if may.wait => Op::Trap(slot, body(random, everything, depth + 1, steps)),
            92..95 if may.wait => Op::Isolated(body(random, everything, depth + 1, steps)),
            95 if may.wait => Op::ToThread(body(random, May::NOTHING, depth + 1, steps)),
            96..100 if may.wait => Op::Join(slot),
            _ => continue,
        };
    }
}

/// The smallest program that can be had from this one by leaving steps out and that is `wrong` still.
pub(crate) fn shrink(mut program: Body, may: May, mut wrong: impl FnMut(&Body) -> bool) -> Body {
    'smaller: loop {
        for smaller in smaller(&program) {
            if may.allows(&smaller) && wrong(&smaller) {
                program = smaller;
                continue 'smaller;
            }
        }
        return program;
    }
}

/// The program without one of its steps, or with what is in the step instead.
fn smaller(program: &Body) -> Vec<Body> {
    let mut all = Vec::new();
    for (index, op) in program.iter().enumerate() {
        let with = |ops: Body| [&program[..index], &ops, &program[index + 1..]].concat();
        all.push(with(Vec::new()));
        let Some(body) = op.clone().body().map(std::mem::take) else { continue };
        all.push(with(body.clone()));
        for smaller in smaller(&body) {
            let mut op = op.clone();
            *op.body().expect("it has one") = smaller;
            all.push(with(vec![op]));
        }
    }
    all
}
