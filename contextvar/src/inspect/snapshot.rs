//! The list at one moment.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::clock::{self, Time};
use super::entry::{Counts, Entry};
use super::{Kind, list, thread};
use crate::context::Context;
use crate::on_drop::OnDrop;

/// The longest text of a value, in bytes.
const MAX_TEXT: usize = 256;

/// The contexts that are listed at one moment, as trees. Returned by [`snapshot`].
///
/// `Display` writes the trees for a terminal. serde writes them as JSON.
///
/// ```
/// use contextvar::{inspect, thread};
///
/// inspect::enable();
/// thread::spawn(|| println!("{}", inspect::snapshot())).join().unwrap();
/// ```
#[derive(Clone)]
pub struct Snapshot {
    time: SystemTime,
    /// Depth first, the oldest root first.
    contexts: Vec<ListedContext>,
    indexes: HashMap<u64, usize>,
}

/// A listed context, or a finished one that is kept for the contexts that it handed over. See [`Snapshot`].
#[derive(Clone)]
pub struct ListedContext {
    number: u64,
    parent: Option<u64>,
    handed_over_by: Option<u64>,
    /// The number of ancestors in the snapshot.
    depth: usize,
    kind: Kind,
    location: &'static Location<'static>,
    name: Option<Arc<str>>,
    age: Duration,
    finished: Option<Duration>,
    polls: u64,
    busy: Duration,
    longest_poll: Duration,
    last_polled: Option<Duration>,
    running: Option<(Arc<str>, Duration)>,
    task: Option<u64>,
    variables: Vec<(&'static str, String)>,
    size: usize,
}

/// Returns the contexts that are listed now. Formats their values with `Debug`, in the caller's context.
///
/// Work continues during the call: no lock stops it, and each context is shown as it was at some moment of the call.
/// If a context lets go of a value meanwhile, this call can be the one that drops it, in an empty context, and
/// discards a panic of its destructor.
///
/// If a value's `Debug` panics, its text is `<panicked in Debug>`. A `Debug` that calls this function gets `…` for
/// all values.
pub fn snapshot() -> Snapshot {
    let time = SystemTime::now();
    let now = clock::exact();
    let mut found = HashMap::new();
    let mut parents = Vec::new();
    let add = |found: &mut HashMap<_, _>, entry: &Entry, context| {
        // Read once: the context can end meanwhile, and then refer to another ancestor.
        let parent = entry.parent();
        let number = parent.as_ref().map(|parent| parent.number);
        found.insert(entry.number, (entry.handed_over, ListedContext { parent: number, ..context }));
        parent
    };
    for entry in list::live() {
        let context = ListedContext::new(&entry, now);
        if context.finished.is_none() {
            parents.extend(add(&mut found, &entry, context));
        }
    }
    while let Some(entry) = parents.pop() {
        if !found.contains_key(&entry.number) {
            parents.extend(add(&mut found, &entry, ListedContext::new(&entry, now)));
        }
    }
    Snapshot::new(time, found)
}

impl Snapshot {
    /// Puts contexts in order. Each comes with the time of its hand-over.
    fn new(time: SystemTime, mut found: HashMap<u64, (Time, ListedContext)>) -> Snapshot {
        // The contexts without a parent, and those of each parent, as keys by which they are sorted.
        let mut roots = Vec::new();
        let mut children: HashMap<u64, Vec<(Time, u64)>> = HashMap::new();
        for (&number, (handed_over, context)) in &found {
            let siblings = match context.parent_in(|number| found.contains_key(&number)) {
                Some(parent) => children.entry(parent).or_default(),
                None => &mut roots,
            };
            siblings.push((*handed_over, number));
        }
        let mut contexts = Vec::with_capacity(found.len());
        let mut indexes = HashMap::with_capacity(found.len());
        // The next context is the last one.
        let mut stack: Vec<_> = roots.into_iter().map(|key| (None, 0, key)).collect();
        stack.sort_unstable_by(|a, b| b.cmp(a));
        while let Some((parent, depth, (_, number))) = stack.pop() {
            let (_, context) = found.remove(&number).expect("a context is found once");
            let siblings = stack.len();
            let children = children.remove(&number).into_iter().flatten();
            stack.extend(children.map(|key| (Some(number), depth + 1, key)));
            stack[siblings..].sort_unstable_by(|a, b| b.cmp(a));
            indexes.insert(number, contexts.len());
            contexts.push(ListedContext { parent, depth, ..context });
        }
        Snapshot { time, contexts, indexes }
    }

    /// Returns all contexts, depth first: children come after their parent, and the oldest comes first among those
    /// that have the same parent, or none.
    pub fn iter(&self) -> impl Iterator<Item = &ListedContext> {
        self.contexts.iter()
    }

    /// Returns the contexts that have no parent, the oldest first.
    pub fn roots(&self) -> impl Iterator<Item = &ListedContext> {
        self.iter().filter(|context| context.parent.is_none())
    }

    /// Returns the contexts whose parent is the context with this number, the oldest first.
    pub fn children(&self, number: u64) -> impl Iterator<Item = &ListedContext> {
        self.descendants(number).iter().filter(move |context| context.parent == Some(number))
    }

    /// Returns the contexts below the context with this number, depth first.
    pub fn descendants(&self, number: u64) -> &[ListedContext] {
        let Some(&index) = self.indexes.get(&number) else { return &[] };
        let depth = self.contexts[index].depth;
        let below = &self.contexts[index + 1..];
        &below[..below.iter().position(|context| context.depth <= depth).unwrap_or(below.len())]
    }

    /// Returns the context with this number.
    pub fn get(&self, number: u64) -> Option<&ListedContext> {
        self.indexes.get(&number).map(|&index| &self.contexts[index])
    }

    /// Returns the number of contexts.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Returns true if no context is listed.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Returns when the snapshot was taken.
    pub fn time(&self) -> SystemTime {
        self.time
    }
}

impl ListedContext {
    /// Returns a context without its place in the trees.
    fn new(entry: &Entry, now: Time) -> Self {
        let since = |time: Time| Duration::from_micros(now.saturating_sub(time));
        // The size before the copy, which would be another owner.
        let (size, map) = entry.with_map(|map| (map.own_size(2), map.clone()));
        // Read after the map: if the context has not finished now, the map is its own.
        let finished = entry.finished();
        let Counts { polls, busy, longest_poll, last, task, thread } = entry.counts();
        let running = (thread != 0 && finished.is_none()).then(|| (thread::name(thread), since(last)));
        let current_poll = running.as_ref().map_or(Duration::ZERO, |&(_, time)| time);
        let context = Context::from_map(map);
        let variables = context.iter().map(|entry| (entry.name(), text(&entry))).collect();
        drop_values(context);
        ListedContext {
            number: entry.number,
            parent: None,
            handed_over_by: entry.handed_over_by(),
            depth: 0,
            kind: entry.kind(),
            location: entry.location,
            name: entry.name(),
            age: since(entry.handed_over),
            finished: finished.map(since),
            polls,
            busy: Duration::from_micros(busy) + current_poll,
            longest_poll: Duration::from_micros(longest_poll).max(current_poll),
            last_polled: (last != 0).then(|| if running.is_some() { Duration::ZERO } else { since(last) }),
            running,
            task: (task != 0).then_some(task),
            variables,
            size,
        }
    }

    /// Returns the context's number. No two contexts of the process have the same one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns its parent among the contexts for which `is_found` returns true.
    fn parent_in(&self, is_found: impl Fn(u64) -> bool) -> Option<u64> {
        self.handed_over_by.filter(|&number| is_found(number)).or(self.parent)
    }

    /// Returns the number of the context that was current at the hand-over. If that one has finished and is no
    /// longer in the list, returns the number of an ancestor of it that is.
    pub fn parent(&self) -> Option<u64> {
        self.parent
    }

    /// Returns the number of ancestors in the snapshot.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns what the context was handed to.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns where it was handed over. For a request this is the place where the layer or the service was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns the name that [`set_name`](super::set_name) gave it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the time since the hand-over.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns the time since the context finished, or `None` if it is live. A finished context is in the list because
    /// contexts that it handed over live on.
    pub fn finished(&self) -> Option<Duration> {
        self.finished
    }

    /// Returns how often its future, stream or body was polled, or its closure called.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Returns the total time of all polls, including the current one.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Returns the time of the longest poll, including the current one.
    pub fn longest_poll(&self) -> Duration {
        self.longest_poll
    }

    /// Returns the time since the last poll ended: zero during a poll, `None` before the first poll.
    pub fn last_polled(&self) -> Option<Duration> {
        self.last_polled
    }

    /// Returns the name of the thread that is polling it, or `None` if it is idle.
    pub fn running_on(&self) -> Option<&str> {
        self.running.as_ref().map(|(thread, _)| &**thread)
    }

    /// Returns the time since the current poll began, or `None` if it is idle.
    pub fn running_for(&self) -> Option<Duration> {
        self.running.as_ref().map(|&(_, time)| time)
    }

    /// Returns the id of the tokio task that polled it last, the number in the `Display` of `tokio::task::Id`.
    pub fn task_id(&self) -> Option<u64> {
        self.task
    }

    /// Returns the names of the variables that are set, and the `Debug` output of their values, up to 256 bytes each.
    /// [`Entry`](crate::Entry) documents the text for a secret, and for a type without `Debug`.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// Returns the number of bytes that this context alone keeps alive, as far as the library can determine: its own
    /// memory, and the values that no other context has. A value counts as the size of its type. `String` and
    /// `Vec<u8>` also count the memory that they own.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Drops values that other contexts may no longer have. Drops them in an empty context, so that their destructors
/// set no variable of the caller's context. Discards their panics, because the caller did not cause them.
fn drop_values(context: Context) {
    drop(panic::catch_unwind(AssertUnwindSafe(|| Context::new().run(|| drop(context)))));
}

/// Returns the text of a value, cut after [`MAX_TEXT`].
fn text(value: &impl fmt::Debug) -> String {
    /// Writes until the text is full, and then fails, so that the rest is not formatted.
    struct Cut(String);

    impl Write for Cut {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MAX_TEXT - self.0.len();
            if text.len() <= room {
                self.0.push_str(text);
                return Ok(());
            }
            let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            self.0.push_str(&text[..end]);
            Err(fmt::Error)
        }
    }

    thread_local! {
        /// True while this thread formats a value.
        static FORMATS: Cell<bool> = const { Cell::new(false) };
    }

    if FORMATS.replace(true) {
        return "\u{2026}".to_owned();
    }
    let _end = OnDrop(|| FORMATS.set(false));
    let mut cut = Cut(String::new());
    match panic::catch_unwind(AssertUnwindSafe(|| write!(cut, "{value:?}"))) {
        Ok(Ok(())) => cut.0,
        Ok(Err(_)) => cut.0 + "\u{2026}",
        Err(_) => "<panicked in Debug>".to_owned(),
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.contexts).finish()
    }
}

impl fmt::Debug for ListedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedContext")
            .field("number", &self.number)
            .field("parent", &self.parent)
            .field("kind", &self.kind)
            .field("location", &format_args!("{}", self.location))
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

/// Times are in microseconds, except `time_ms`, a Unix time in milliseconds.
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut snapshot = serializer.serialize_struct("Snapshot", 2)?;
        snapshot.serialize_field("time_ms", &super::finished::unix_ms(self.time))?;
        snapshot.serialize_field("contexts", &self.contexts)?;
        snapshot.end()
    }
}

impl Serialize for ListedContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Variable<'a> {
            name: &'a str,
            value: &'a str,
        }

        let micros = |time: Duration| time.as_micros() as u64;
        let mut context = serializer.serialize_struct("ListedContext", 18)?;
        context.serialize_field("number", &self.number)?;
        context.serialize_field("parent", &self.parent)?;
        context.serialize_field("kind", self.kind.name())?;
        context.serialize_field("file", self.location.file())?;
        context.serialize_field("line", &self.location.line())?;
        context.serialize_field("column", &self.location.column())?;
        context.serialize_field("name", &self.name)?;
        context.serialize_field("age_us", &micros(self.age))?;
        context.serialize_field("finished_us", &self.finished.map(micros))?;
        context.serialize_field("polls", &self.polls)?;
        context.serialize_field("busy_us", &micros(self.busy))?;
        context.serialize_field("longest_poll_us", &micros(self.longest_poll))?;
        context.serialize_field("last_polled_us", &self.last_polled.map(micros))?;
        context.serialize_field("running_on", &self.running_on())?;
        context.serialize_field("running_us", &self.running_for().map(micros))?;
        context.serialize_field("task_id", &self.task)?;
        let variables: Vec<_> = self.variables().map(|(name, value)| Variable { name, value }).collect();
        context.serialize_field("variables", &variables)?;
        context.serialize_field("size", &self.size)?;
        context.end()
    }
}
