//! The true tree.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use contextvar::inspect::{self, Snapshot};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::observer::{Expected, PARENTS, unit_of};
use super::runtimes::{Runtimes, Target};
use super::units::{self, Command, Order, Unit, Value, Way};

/// A context of the list: that of a unit, or the one that hooks gave to the task of the unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    unit: u64,
    is_of_hooks: bool,
}

struct Node {
    unit: Arc<Unit>,
    commands: UnboundedSender<Command>,
    way: Way,
    target: Target,
    parent: Option<u64>,
    /// The ancestor that it refers to: the parent while it lives, and from its end on that of the rule.
    refers_to: Option<u64>,
    is_live: bool,
    value: Option<u64>,
    /// The variables of the context of its task, if hooks gave it one.
    of_hooks: Option<Option<u64>>,
    nested: Vec<u64>,
}

/// Counts of events.
#[derive(Default)]
pub(crate) struct Counts(BTreeMap<String, u64>);

pub(crate) struct Model {
    nodes: BTreeMap<u64, Node>,
    values: u64,
    sender: mpsc::Sender<()>,
    answers: mpsc::Receiver<()>,
    /// The number of answers that are still pending.
    awaited: u64,
    /// The units that the list showed at the last rest.
    listed: BTreeSet<u64>,
    pub(crate) counts: Counts,
}

impl Model {
    pub(crate) fn new() -> Model {
        let (sender, answers) = mpsc::channel();
        Model {
            nodes: BTreeMap::new(),
            values: 0,
            sender,
            answers,
            awaited: 0,
            listed: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn units_made(&self) -> u64 {
        self.nodes.len() as u64
    }

    pub(crate) fn live_units(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().filter(|(_, node)| node.is_live).map(|(&unit, _)| unit)
    }

    pub(crate) fn send(&mut self, unit: u64, command: Command) {
        let sent = self.nodes[&unit].commands.send(command);
        assert!(sent.is_ok(), "unit {unit} has ended");
        self.awaited += 1;
    }

    pub(crate) fn set_value(&mut self, unit: u64) {
        self.values += 1;
        self.nodes.get_mut(&unit).unwrap().value = Some(self.values);
        self.send(unit, Command::Set(self.values));
    }

    pub(crate) fn unset_value(&mut self, unit: u64) {
        self.nodes.get_mut(&unit).unwrap().value = None;
        self.send(unit, Command::Unset);
    }

    /// Lets `parent` hand a context over to a new unit.
    pub(crate) fn hand_over(&mut self, parent: Option<u64>, runtimes: &Runtimes, random: &mut StdRng) {
        let id = self.nodes.len() as u64;
        let mut target = runtimes.target(random.random_range(0..runtimes.len()));
        let way = self.choose_way(parent, &mut target, random);
        let (commands, receiver) = unbounded_channel();
        let unit = Arc::new(Unit {
            id,
            line: AtomicU32::new(0),
            polls: AtomicU64::new(0),
            abort: OnceLock::new(),
            answers: self.sender.clone(),
        });
        let inherited = parent.and_then(|parent| self.nodes[&parent].value);
        let is_empty = way == Way::TaskInEmptyContext;
        let listed_parent = parent.filter(|_| !is_empty);
        #[cfg(tokio_unstable)]
        let is_plain = way == Way::PlainTask;
        #[cfg(not(tokio_unstable))]
        let is_plain = false;
        let is_in_task = !way.is_blocking() && way != Way::Nested && !is_plain;
        self.nodes.insert(
            id,
            Node {
                unit: Arc::clone(&unit),
                commands,
                way,
                target: target.clone(),
                parent: listed_parent,
                refers_to: listed_parent,
                is_live: true,
                value: inherited.filter(|_| !is_empty),
                of_hooks: (is_in_task && target.has_hooks()).then_some(inherited),
                nested: Vec::new(),
            },
        );
        PARENTS.write().unwrap().get_or_insert_default().insert(id, listed_parent);
        self.counts.add(format!("{way:?}"));
        // A unit also answers its start.
        self.awaited += 1;
        let order = Order { unit, commands: receiver, way, target };
        match parent {
            None => drop(units::hand_over(order, None)),
            Some(parent) => {
                if way == Way::Nested {
                    self.nodes.get_mut(&parent).unwrap().nested.push(id);
                }
                self.send(parent, Command::HandOver(Box::new(order)));
            }
        }
    }

    /// Chooses a way that the parent can go to the target, and changes the target if the way demands it.
    fn choose_way(&self, parent: Option<u64>, target: &mut Target, random: &mut StdRng) -> Way {
        use Way::*;

        let mut ways =
            vec![Inherited, Copied, Attribute, Stream, BoundAsync, Thread, NamedThread, BoundClosure];
        if !target.is_local() {
            ways.extend([Task, TaskInEmptyContext, Task, BlockingCall, BlockingCallReturningContext]);
        }
        #[cfg(tokio_unstable)]
        if target.has_hooks() {
            ways.extend([PlainTask; 4]);
            // Its two contexts have different parents: `hooks.rs` tests that.
            ways.retain(|way| *way != TaskInEmptyContext);
        }
        if let Some(parent) = parent.map(|parent| &self.nodes[&parent]) {
            if parent.way.is_blocking() {
                ways.extend([ScopedThread; 4]);
            } else {
                ways.extend([Nested; 3]);
            }
            if parent.target.is_local() && !parent.way.is_blocking() && parent.way != Nested {
                ways.extend([LocalTask; 8]);
            }
        }
        let way = *ways.choose(random).unwrap();
        if let (Nested | LocalTask, Some(parent)) = (way, parent) {
            *target = self.nodes[&parent].target.clone();
        }
        way
    }

    /// Returns the units, with those that they poll, each after those that it polls.
    pub(crate) fn with_nested(&self, units: &[u64]) -> Vec<u64> {
        let mut all = Vec::new();
        for &unit in units {
            let live = self.nodes[&unit].nested.iter().copied().filter(|it| self.nodes[it].is_live);
            all.extend(self.with_nested(&live.collect::<Vec<_>>()));
            all.push(unit);
        }
        all
    }

    fn ancestors(&self, unit: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(self.nodes[&unit].parent, |unit| self.nodes[unit].parent)
    }

    /// Chooses live units that can end at the same time: none is an ancestor of another one.
    pub(crate) fn choose_unrelated(&self, count: usize, random: &mut StdRng) -> Vec<u64> {
        let live: Vec<u64> = self.live_units().collect();
        let mut ended: HashSet<u64> = HashSet::new();
        let mut above: HashSet<u64> = HashSet::new();
        let mut chosen = Vec::new();
        for &unit in live.choose_multiple(random, count) {
            let all = self.with_nested(&[unit]);
            // A unit with scoped threads ends after them.
            let has_scoped = self.nodes.values().any(|it| {
                it.is_live && it.way == Way::ScopedThread && it.parent.is_some_and(|it| all.contains(&it))
            });
            let above_all: HashSet<u64> = all.iter().flat_map(|&it| self.ancestors(it)).collect();
            let is_related = all.iter().any(|it| ended.contains(it) || above.contains(it))
                || above_all.iter().any(|it| ended.contains(it));
            if !has_scoped && !is_related {
                ended.extend(all);
                above.extend(above_all);
                chosen.push(unit);
            }
        }
        chosen
    }

    /// Ends a unit and those that it polls.
    pub(crate) fn end(&mut self, unit: u64, random: &mut StdRng) {
        let node = &self.nodes[&unit];
        let abort = node.unit.abort.get().filter(|_| random.random());
        // A panic of one of these units would end its parent.
        let can_panic = !matches!(node.way, Way::Nested | Way::ScopedThread);
        if let Some(abort) = abort {
            abort.abort();
            self.counts.add("aborted");
        } else if can_panic && random.random_ratio(1, 3) {
            self.send(unit, Command::Panic);
            self.counts.add("panicked");
        } else {
            self.send(unit, Command::End);
            self.counts.add("ended");
        }
        self.note_end(unit);
    }

    /// Records the end of a unit and of those that it polls.
    fn note_end(&mut self, unit: u64) {
        for unit in self.with_nested(&[unit]) {
            let kept = self.nodes[&unit].parent.map(|parent| self.kept_ancestor(parent));
            let node = self.nodes.get_mut(&unit).unwrap();
            node.refers_to = kept;
            node.is_live = false;
        }
    }

    /// Returns the ancestor that a context refers to from its end on: see the rule at `Entry::kept_ancestor`.
    fn kept_ancestor(&self, mut unit: u64) -> u64 {
        while !self.nodes[&unit].is_live {
            match self.nodes[&unit].refers_to {
                Some(parent) => unit = parent,
                None => break,
            }
        }
        unit
    }

    /// Returns the live units whose tasks are on the runtime.
    pub(crate) fn tasks_on(&self, runtime: usize) -> Vec<u64> {
        let is_on = |unit: &u64| {
            let node = &self.nodes[unit];
            node.target.runtime == runtime && !node.way.is_blocking() && node.way != Way::Nested
        };
        self.live_units().filter(is_on).collect()
    }

    /// Returns one of these units, if any, that is an ancestor of another one.
    pub(crate) fn find_related(&self, units: &[u64]) -> Option<u64> {
        let is_related = |&unit: &u64| {
            let all = self.with_nested(&[unit]);
            units.iter().any(|&other| other != unit && self.ancestors(other).any(|it| all.contains(&it)))
        };
        units.iter().copied().find(is_related)
    }

    /// Shuts down a runtime whose tasks belong to these units. None of the units is an ancestor of another one, because
    /// tasks end in no defined order.
    pub(crate) fn shut_down(&mut self, runtime: usize, tasks: &[u64], runtimes: &mut Runtimes) {
        self.counts.add("runtimes shut down");
        for &unit in tasks {
            self.counts.add("shut down");
            self.note_end(unit);
        }
        runtimes.restart(runtime);
    }

    /// Returns what snapshots show until these units have ended.
    pub(crate) fn will_end(&self, ended: &[u64]) -> Expected {
        let ended: BTreeSet<u64> = ended.iter().copied().collect();
        let live: BTreeSet<u64> = self.live_units().collect();
        let dead = self.nodes.keys().copied().filter(|unit| !live.contains(unit));
        Expected { gone: dead.filter(|unit| !self.listed.contains(unit)).collect(), live: &live - &ended }
    }

    /// Waits until all units have executed their commands, and all work is at rest. The list must then equal the
    /// model.
    pub(crate) fn await_rest(&mut self) {
        // An ended unit may have been aborted, so it may not answer.
        while self.awaited > 0 {
            self.answers.recv_timeout(LIMIT).expect("each unit answers");
            self.awaited -= 1;
        }
        let values: BTreeSet<u64> = self
            .nodes
            .values()
            .filter(|node| node.is_live)
            .flat_map(|node| [node.value, node.of_hooks.flatten()])
            .flatten()
            .collect();
        wait_until(|snapshot| {
            let listed = describe(snapshot);
            // Polls can continue for a moment.
            let expected = self.expected();
            if listed != expected {
                return Err(format!("--- the model:\n{expected}--- the list:\n{listed}"));
            }
            let live: BTreeSet<u64> = Value::live().into_iter().collect();
            if live == values { Ok(()) } else { Err(format!("values {live:?} instead of {values:?}")) }
        });
        self.listed = self.shown();
    }

    /// Returns the units that the list shows: live ones, and those that they refer to.
    fn shown(&self) -> BTreeSet<u64> {
        let refers_to = |unit: &u64| self.nodes[unit].refers_to;
        self.live_units().flat_map(|unit| std::iter::successors(Some(unit), refers_to)).collect()
    }

    /// Returns what [`describe`] must return.
    fn expected(&self) -> String {
        let shown = self.shown();
        let mut lines = BTreeMap::new();
        for &unit in &shown {
            let node = &self.nodes[&unit];
            let parent = node.parent.filter(|parent| shown.contains(parent)).or(node.refers_to);
            let line = node.unit.line.load(Ordering::SeqCst);
            let kind = node.way.kind();
            let place = |kind| format!("parent {parent:?} {kind} line {line} finished {}", !node.is_live);
            let variables = |value: Option<u64>, unit: Option<u64>| {
                let unit = unit.map(|unit| format!("unit={unit}"));
                let value = value.map(|value| format!("value={value}"));
                BTreeSet::from_iter(unit.into_iter().chain(value))
            };
            let of_live = node.is_live.then(|| {
                let polls = node.unit.polls.load(Ordering::SeqCst);
                let is_running = node.way.is_blocking();
                format!(" polls {polls} running {is_running} {:?}", variables(node.value, Some(unit)))
            });
            let key = Key { unit, is_of_hooks: false };
            lines.insert(key, format!("{}{}", place(kind), of_live.unwrap_or_default()));
            if let (Some(value), true) = (node.of_hooks, node.is_live) {
                let key = Key { unit, is_of_hooks: true };
                // The line is that of the call of tokio.
                let parent = format!("parent {parent:?} task {:?}", variables(value, Some(unit)));
                lines.insert(key, parent);
            }
        }
        to_text(lines)
    }
}

/// Returns a line for each context.
fn describe(snapshot: &Snapshot) -> String {
    let mut lines = BTreeMap::new();
    for context in snapshot.iter() {
        let Some(unit) = unit_of(context) else { return format!("{context:?}") };
        let key = Key { unit, is_of_hooks: context.name().is_none() };
        let parent = context.parent().map(|number| unit_of(snapshot.get(number).unwrap()).unwrap());
        let variables: BTreeSet<String> =
            context.variables().map(|(name, value)| format!("{name}={value}")).collect();
        let kind = context.kind();
        let line = if key.is_of_hooks {
            format!("parent {parent:?} {kind} {variables:?}")
        } else {
            let location = context.location();
            assert!(location.file().ends_with("units.rs"), "{context:?}");
            let is_finished = context.finished().is_some();
            let mut line =
                format!("parent {parent:?} {kind} line {} finished {is_finished}", location.line());
            if is_finished {
                assert_eq!(variables.len(), 0);
            } else {
                let (polls, is_running) = (context.polls(), context.running_on().is_some());
                write!(line, " polls {polls} running {is_running} {variables:?}").unwrap();
            }
            line
        };
        if lines.insert(key, line).is_some() {
            return format!("{key:?} is listed twice");
        }
    }
    to_text(lines)
}

fn to_text(lines: BTreeMap<Key, String>) -> String {
    lines.into_iter().fold(String::new(), |mut text, (Key { unit, is_of_hooks }, line)| {
        writeln!(text, "{unit}{}: {line}", if is_of_hooks { " (hooks)" } else { "" }).unwrap();
        text
    })
}

const LIMIT: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 60 });

/// Waits until the list is as it must be at rest.
fn wait_until(check: impl Fn(&Snapshot) -> Result<(), String>) {
    let start = Instant::now();
    loop {
        let snapshot = inspect::snapshot();
        match check(&snapshot) {
            Ok(()) => return,
            Err(difference) => assert!(start.elapsed() < LIMIT, "{difference}"),
        }
        drop(snapshot);
        thread::yield_now();
    }
}

impl Counts {
    fn add(&mut self, name: impl Into<String>) {
        *self.0.entry(name.into()).or_default() += 1;
    }

    /// Checks that a long program had a part of each kind.
    pub(crate) fn assert_all_happened(&self, units: u64) {
        let kinds = 20 + usize::from(cfg!(tokio_unstable));
        assert!(units < 1000 || self.0.len() >= kinds, "{self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| write!(f, "{name} {count}, "))
    }
}
