//! Names that no line has twice.

#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::storage::{has_namesakes, shown_variables};

/// The names that one line has so far.
pub(crate) struct Names {
    /// Empty and not used if no two variables of the process have the same name.
    used: Vec<&'static str>,
    has_namesakes: bool,
}

impl Names {
    #[inline]
    pub(crate) fn new() -> Self {
        Names { used: Vec::new(), has_namesakes: has_namesakes() }
    }

    /// Returns `name` if the line does not have it yet, or otherwise a numbered form of it.
    #[inline]
    pub(crate) fn add(&mut self, name: &'static str) -> &'static str {
        if self.has_namesakes { self.add_namesake(name) } else { name }
    }

    #[cold]
    fn add_namesake(&mut self, name: &'static str) -> &'static str {
        let unused = if self.used.contains(&name) {
            intern(number(name, |name| self.used.contains(&name)))
        } else {
            name
        };
        self.used.push(unused);
        unused
    }
}

/// Returns the same text for as long as the process lives.
#[cold]
fn intern(name: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(&*name) {
        Some(name) => name,
        None => {
            let name: &'static str = Box::leak(name.into_boxed_str());
            names.insert(name);
            name
        }
    }
}

/// The names of variables in a line that has other names as well, such as those of an event's fields.
#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
#[derive(Default)]
pub(crate) struct UnusedNames {
    /// Empty and not used if no two variables of the process have the same name.
    used: Vec<String>,
}

#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
impl UnusedNames {
    /// Returns `name`, which [`for_each_shown`](super::for_each_shown) has passed on, or a numbered form of it if
    /// the line has that name already. Never returns a name of another variable.
    #[inline]
    pub(crate) fn add<'a>(&mut self, name: &'a str, is_taken: impl Fn(&str) -> bool) -> Cow<'a, str> {
        if has_namesakes() || is_taken(name) { self.add_used(name, &is_taken) } else { Cow::Borrowed(name) }
    }

    #[cold]
    fn add_used<'a>(&mut self, name: &'a str, is_taken: &dyn Fn(&str) -> bool) -> Cow<'a, str> {
        let is_used = |name: &str| is_taken(name) || self.used.iter().any(|used| used == name);
        let unused = if is_used(name) { number(name, is_used).into() } else { Cow::Borrowed(name) };
        if has_namesakes() {
            self.used.push(unused.clone().into_owned());
        }
        unused
    }
}

/// Returns the first of `name_2`, `name_3`, .. that is neither taken nor the name of a variable.
#[cold]
fn number(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let is_variable = |name: &str| shown_variables().any(|shown| shown.variable.name() == name);
    let mut numbered = (2..).map(|number| format!("{name}_{number}"));
    numbered.find(|name| !is_taken(name) && !is_variable(name)).expect("more numbers than names")
}
