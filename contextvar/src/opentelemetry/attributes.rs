//! The variables that a processor turns into attributes, and the names of these attributes.

use std::borrow::Cow;

use ::opentelemetry::Key;

use crate::log::UnusedNames;

/// The number of variables that a processor shows, unless `with_max_attributes` changes it.
const MAX_ATTRIBUTES: usize = 32;

/// Returns true for the names of the variables to show.
type Filter = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Selects variables.
pub(super) struct Selection {
    /// `None` if all variables are shown.
    pub(super) filter: Option<Filter>,
    pub(super) max_attributes: usize,
}

impl Selection {
    pub(super) fn new() -> Self {
        Selection { filter: None, max_attributes: MAX_ATTRIBUTES }
    }

    /// Returns the names for the attributes of a span or record.
    pub(super) fn keys(&self) -> Keys<'_> {
        Keys { selection: self, left: self.max_attributes, names: UnusedNames::default() }
    }
}

/// Chooses the names of the attributes that one span or record gets.
pub(super) struct Keys<'a> {
    selection: &'a Selection,
    /// The number of attributes that it can still get.
    left: usize,
    names: UnusedNames,
}

impl Keys<'_> {
    /// Returns the name of the attribute for the variable `name`, or `None` if the variable is not shown.
    /// `is_taken` returns true for the names that the span or record has.
    #[inline]
    pub(super) fn next<'n>(
        &mut self,
        name: &'n str,
        is_taken: impl Fn(&str) -> bool,
    ) -> Option<Cow<'n, str>> {
        if self.left == 0 || self.selection.filter.as_ref().is_some_and(|filter| !filter(name)) {
            return None;
        }
        self.left -= 1;
        Some(self.names.add(name, is_taken))
    }
}

/// Returns the key of an attribute. `Key::from` takes longer.
#[inline]
pub(super) fn key(name: Cow<'static, str>) -> Key {
    match name {
        Cow::Borrowed(name) => Key::from_static_str(name),
        Cow::Owned(name) => name.into(),
    }
}
