//! The labels that metrics get from variables, and a bound on the number of their combinations.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::context::AnyContextVar;
use crate::error::address;
use crate::log::{LogValue, Names, ShownIn, UnusedNames, for_each_shown};
use crate::storage::{AnyVariable, shown_variables};

/// A label in a metrics library's own form.
pub(crate) trait Label: Clone + Eq {
    fn new(name: &'static str, value: &LogValue<'_>) -> Self;

    fn name(&self) -> &str;

    fn rename(&mut self, name: String);

    fn hash_value(&self, hasher: &mut impl Hasher);

    /// Returns the labels that stand for all sets beyond the limit. `names` are those of the variables.
    fn beyond_limit(names: impl Iterator<Item = &'static str>) -> Vec<Self>;
}

/// Which variables are labels, and which sets of labels there have been.
pub(crate) struct Labels<L> {
    /// `None` if they are those that are marked `metric`.
    variables: Option<Box<[&'static dyn AnyVariable]>>,
    /// How many sets have labels of their own.
    pub(crate) limit: usize,
    /// The sets that came first, at most `limit`.
    known: LazyLock<RwLock<HashSet<Set<L>>>>,
}

/// Labels in the order of their names.
#[derive(Clone, PartialEq, Eq)]
struct Set<L>(Vec<L>);

impl<L: Label> Hash for Set<L> {
    /// Hashes the values only, which is faster: almost all sets have the same names.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for label in &self.0 {
            label.hash_value(hasher);
            // Text of two values must not look like text of two others.
            hasher.write_u8(0xff);
        }
    }
}

impl<L> Labels<L> {
    pub(crate) const fn new() -> Self {
        Labels { variables: None, limit: 1000, known: LazyLock::new(RwLock::default) }
    }

    #[track_caller]
    pub(crate) fn with_variables(mut self, variables: &[&'static dyn AnyContextVar]) -> Self {
        let erase = |variable: &&'static dyn AnyContextVar| variable.erase();
        let variables: Box<[_]> = variables.iter().map(erase).collect();
        if let Some(hidden) = variables.iter().find(|variable| !variable.is_logged() && !variable.is_metric())
        {
            panic!(
                "context variable `{}` cannot be a label: mark it `metric` or `log`, and not `secret`\nsee {}",
                hidden.name(),
                address!("not-a-label")
            );
        }
        self.variables = Some(variables);
        self
    }

    fn shown_in(&self) -> ShownIn<'_> {
        self.variables.as_deref().map_or(ShownIn::Metrics, ShownIn::List)
    }
}

impl<L: Label> Labels<L> {
    /// Returns the labels from the current context, for a metric that has the labels `own`.
    pub(crate) fn current(&self, own: &[L]) -> Vec<L> {
        let mut labels = Vec::new();
        for_each_shown(self.shown_in(), &mut |name, value| labels.push(L::new(name, value)));
        if labels.is_empty() {
            return labels;
        }
        // Whether a value is set or a default determines the order, and not the set.
        labels.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        let set = Set(labels);
        let is_within_limit = self.is_within_limit(&set);
        let mut labels = set.0;
        if !is_within_limit {
            let mut names: Vec<&str> = match &self.variables {
                Some(list) => list.iter().map(|listed| listed.name()).collect(),
                None => shown_variables().filter(|it| it.is_metric).map(|it| it.variable.name()).collect(),
            };
            names.sort_unstable();
            let mut unique = Names::new();
            labels = L::beyond_limit(names.into_iter().map(|name| unique.add(name)));
        }
        let is_own = |name: &str| own.iter().any(|label| label.name() == name);
        if labels.iter().any(|label| is_own(label.name())) {
            let others: Vec<String> = labels.iter().map(|label| label.name().to_owned()).collect();
            let is_taken = |name: &str| is_own(name) || others.iter().any(|other| other == name);
            let mut names = UnusedNames::default();
            for label in labels.iter_mut().filter(|label| is_own(label.name())) {
                if let Cow::Owned(numbered) = names.add(label.name(), is_taken) {
                    label.rename(numbered);
                }
            }
        }
        labels
    }

    /// Returns true if `set` is one of the first sets, as many as the limit. Takes a shared lock if it is, or
    /// if there have been as many. No user code runs while the lock is held.
    fn is_within_limit(&self, set: &Set<L>) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(set) {
            return true;
        }
        if known.len() >= self.limit {
            return false;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.limit {
            return known.contains(set);
        }
        known.insert(set.clone());
        true
    }
}

impl<L> fmt::Debug for Labels<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |list: &[&dyn AnyVariable]| list.iter().map(|listed| listed.name()).collect::<Vec<_>>();
        f.debug_struct("Labels")
            .field("variables", &self.variables.as_deref().map(names))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
