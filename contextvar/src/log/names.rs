use std::borrow::Cow;

use crate::storage::shown_variables;

/// Returns `name`, or the first of `name_2`, `name_3`, .. if it is taken. Never returns the name of another
/// variable that logs show.
pub(crate) fn unused_name<'a>(name: &'a str, is_taken: &dyn Fn(&str) -> bool) -> Cow<'a, str> {
    if !is_taken(name) {
        return name.into();
    }
    let is_variable = |name: &str| shown_variables().any(|shown| shown.name == name);
    let mut numbered = (2..).map(|number| format!("{name}_{number}"));
    numbered.find(|name| !is_taken(name) && !is_variable(name)).map_or(name.into(), Cow::Owned)
}
