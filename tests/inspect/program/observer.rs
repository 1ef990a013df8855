//! Snapshots taken while all work runs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};

use contextvar::inspect::{self, ListedContext, Snapshot};

/// The parent of each unit, from before its hand-over.
pub(crate) static PARENTS: RwLock<Option<HashMap<u64, Option<u64>>>> = RwLock::new(None);

/// The invariants of each snapshot, until the model sets others.
#[derive(Default)]
pub(crate) struct Expected {
    /// Units that live the whole time.
    pub(crate) live: BTreeSet<u64>,
    /// Units that have already ended, with all descendants.
    pub(crate) gone: BTreeSet<u64>,
}

pub(crate) struct Observer {
    expected: Arc<Mutex<Arc<Expected>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Observer {
    pub(crate) fn start() -> Observer {
        let expected = Arc::new(Mutex::new(Arc::new(Expected::default())));
        let stop = Arc::new(AtomicBool::new(false));
        let (of_thread, is_stopped) = (Arc::clone(&expected), Arc::clone(&stop));
        let observe = move || {
            let mut count = 0;
            while !is_stopped.load(Ordering::SeqCst) {
                let expected = Arc::clone(&of_thread.lock().unwrap());
                let snapshot = inspect::snapshot();
                let still_holds = Arc::ptr_eq(&expected, &of_thread.lock().unwrap());
                check(&snapshot, still_holds.then_some(&*expected));
                count += 1;
                thread::yield_now();
            }
            count
        };
        Observer { expected, stop, thread: thread::spawn(observe) }
    }

    pub(crate) fn expect(&self, expected: Expected) {
        *self.expected.lock().unwrap() = Arc::new(expected);
    }

    /// Returns the number of snapshots.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("every snapshot is right")
    }
}

/// Returns the unit of a context. That of a task of a runtime with hooks has the unit of the context inside it.
pub(crate) fn unit_of(context: &ListedContext) -> Option<u64> {
    let variable = || context.variables().find(|it| it.0 == "unit").map(|it| it.1);
    context.name().or_else(variable).map(|id| id.parse().unwrap())
}

fn check(snapshot: &Snapshot, expected: Option<&Expected>) {
    let mut before: HashSet<u64> = HashSet::new();
    let mut path: Vec<u64> = Vec::new();
    let parents = PARENTS.read().unwrap();
    for context in snapshot.iter() {
        let number = context.number();
        assert!(before.insert(number), "{number} twice: {snapshot:#?}");
        path.truncate(context.depth());
        assert_eq!((path.len(), path.last().copied()), (context.depth(), context.parent()), "{snapshot:#?}");
        path.push(number);
        assert!(context.finished().is_none() || snapshot.children(number).next().is_some(), "{context:?}");
        assert!(context.longest_poll() <= context.busy());
        let (Some(unit), Some(parents)) = (unit_of(context), &*parents) else { continue };
        let listed_parent = context.parent().map(|number| unit_of(snapshot.get(number).unwrap()));
        let ancestors = || std::iter::successors(parents[&unit], |unit| parents[unit]);
        match listed_parent {
            Some(parent) => assert!(ancestors().any(|it| Some(it) == parent), "{unit} is below {parent:?}"),
            None => assert_eq!(ancestors().count(), 0, "{unit} is a root"),
        }
    }
    let Some(expected) = expected else { return };
    let live: BTreeSet<u64> =
        snapshot.iter().filter(|it| it.finished().is_none()).filter_map(unit_of).collect();
    assert!(live.is_superset(&expected.live), "{:?}", expected.live.difference(&live));
    let named = snapshot.iter().filter_map(|it| it.name()).map(|name| name.parse().unwrap());
    let gone: Vec<u64> = named.filter(|unit| expected.gone.contains(unit)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
