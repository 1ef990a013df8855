//! What crosses between a Rust context and a Python context, and when.
//!
//! A Rust context that came from Python holds its [`Origin`] as the value of a variable, so the origin goes wherever
//! the context goes. A Python context that came from Rust holds a [`RustContext`], with the values of variables that
//! are not tied, as the value of a variable, and the event loop as the value of another variable.

use std::{fmt, ptr};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyContext;

use super::raw::{self, Entered, PyVar};
use super::tied::{Tied, address, tied};
use super::{attach, event_loop};
use crate::context::{Context, copy_context as copy_rust_context};
use crate::current;
use crate::storage::{AnyVariable, Changes, Map};
use crate::var::ContextVar;

/// A Python context and the values of a Rust context, from when the two last agreed.
struct Crossing {
    python: Py<PyContext>,
    /// The values, without the origin.
    rust: Context,
}

impl Crossing {
    fn clone_ref(&self, py: Python<'_>) -> Crossing {
        Crossing { python: self.python.clone_ref(py), rust: self.rust.clone() }
    }
}

/// Where a Rust context comes from.
struct Origin {
    event_loop: Option<Py<PyAny>>,
    /// The call from Python.
    border: Crossing,
    /// The last call into Python whose changes were applied.
    applied: Option<Crossing>,
}

impl Origin {
    /// Returns the last call whose changes were applied, or the call from Python.
    fn last(&self) -> &Crossing {
        self.applied.as_ref().unwrap_or(&self.border)
    }

    fn event_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.event_loop.as_ref().map(|event_loop| event_loop.clone_ref(py))
    }
}

static ORIGIN: ContextVar<Origin> = ContextVar::new("python").with_debug(Some(fmt_origin));

fn fmt_origin(_: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<Context of Python>")
}

/// A Rust context as the value of a Python variable.
#[pyclass(frozen, module = "contextvar", name = "RustContext")]
struct RustContext {
    /// The values of variables that are not tied, without the origin.
    values: Context,
}

/// Returns the Python variable that holds a [`RustContext`].
fn rust_context(py: Python<'_>) -> PyResult<&'static PyVar> {
    static VAR: PyOnceLock<PyVar> = PyOnceLock::new();

    VAR.get_or_try_init(py, || PyVar::new(py, c"contextvar.rust"))
}

/// Returns the Python variable that holds the event loop of the call that a context comes from. The event loop is not
/// part of [`RustContext`], because creating such an object costs more than the rest of a call.
fn outer_event_loop(py: Python<'_>) -> PyResult<&'static PyVar> {
    static VAR: PyOnceLock<PyVar> = PyOnceLock::new();

    VAR.get_or_try_init(py, || PyVar::new(py, c"contextvar.event_loop"))
}

fn without_origin(context: &Context) -> Context {
    let mut values = context.clone();
    values.unset(&ORIGIN);
    values
}

/// Returns a Rust context with the values of Python's current context. See [`super::copy_context`].
pub(super) fn import(py: Python<'_>) -> PyResult<Context> {
    if !raw::is_called_from_python(py) {
        return Ok(copy_rust_context());
    }
    attach::wait_at_exit(py);
    let tied = tied(py)?;
    let python = raw::copy_current(py)?;
    let mut entered = None;
    let mut context = others_in_python(py)?;
    // The first slots are the cheapest, and the origin is written at each call.
    ORIGIN.variable().slot_for_write();
    for Tied { python: var, rust } in tied {
        let value = var.get(py)?;
        // The caller does not see what a conversion sets. CPython remembers the last value that it has found for a
        // variable until another context is entered, so the copy is entered only for conversions that need it.
        if entered.is_none() && value.as_ref().is_some_and(|value| rust.var.can_run_python(value)) {
            entered = Some(Entered::new(python.clone())?);
        }
        rust.set_from_python(value.as_ref(), &mut context)?;
    }
    let event_loop = match event_loop::running(py)? {
        None => outer_event_loop(py)?.get(py)?,
        running => running,
    };
    let event_loop = event_loop.map(Bound::unbind);
    drop(entered);
    let border = Crossing { python: python.unbind(), rust: context.clone() };
    context.set(&ORIGIN, Origin { event_loop, border, applied: None });
    Ok(context)
}

/// Returns the event loop of the call from Python that `context` comes from.
pub(super) fn event_loop_of<'py>(py: Python<'py>, context: &Context) -> Option<Bound<'py, PyAny>> {
    Some(context.get(&ORIGIN)?.event_loop.as_ref()?.bind(py).clone())
}

/// Returns the Python context that `context` comes from.
pub(super) fn python_of<'a, 'py>(py: Python<'py>, context: &'a Context) -> Option<&'a Bound<'py, PyContext>> {
    Some(context.get(&ORIGIN)?.last().python.bind(py))
}

/// Returns the variables that differ between `context` and `base`, or an empty context, except for the origin.
fn changes(context: &Context, base: Option<&Context>) -> Vec<&'static dyn AnyVariable> {
    const EMPTY: &Map = &Map::EMPTY;
    let origin = ORIGIN.variable().slot_for_write();
    context.map().changes_since(base.map_or(EMPTY, Context::map), Changes::AllExcept(origin))
}

/// Returns the tied variables among `changed`, and the others.
fn split<'a>(
    tied: &'a [Tied],
    changed: Vec<&'static dyn AnyVariable>,
) -> (Vec<&'a Tied>, Vec<&'static dyn AnyVariable>) {
    let mut among = Vec::new();
    let mut others = Vec::new();
    for variable in changed {
        match tied.binary_search_by_key(&address(variable), Tied::address) {
            Ok(index) => among.push(&tied[index]),
            Err(_) => others.push(variable),
        }
    }
    (among, others)
}

/// Returns a context with the values of the variables that are not tied, as Python's current context has them.
fn others_in_python(py: Python<'_>) -> PyResult<Context> {
    let values = rust_context(py)?.get(py)?;
    let values = values.as_ref().map(|values| values.cast::<RustContext>()).transpose()?;
    Ok(values.map_or_else(Context::new, |values| values.get().values.clone()))
}

/// Copies the states of variables that are not tied from `context` to Python's current context.
fn set_others_in_python(
    py: Python<'_>,
    others: &[&'static dyn AnyVariable],
    context: &Context,
) -> PyResult<()> {
    if others.is_empty() {
        return Ok(());
    }
    let mut values = others_in_python(py)?;
    values.copy_states(others, context);
    rust_context(py)?.set(Bound::new(py, RustContext { values })?.as_any())
}

/// A call into Python: a Python context with Rust's values, while it is current.
pub(super) struct Call<'py> {
    entered: Entered<'py>,
    /// The Rust context that calls. `None` if Python code has called Rust code that runs in no context: the values of
    /// its thread belong to no request.
    rust: Option<Context>,
}

impl<'py> Call<'py> {
    /// Enters a Python context with the values of Rust's current context.
    pub(super) fn enter(py: Python<'py>) -> PyResult<Self> {
        let tied = tied(py)?;
        if current::is_outside_of_contexts() && raw::is_called_from_python(py) {
            return Ok(Call { entered: Entered::new(raw::copy_current(py)?)?, rust: None });
        }
        let rust = copy_rust_context();
        let origin = rust.get(&ORIGIN);
        let (tied, others) = split(tied, changes(&rust, origin.map(|origin| &origin.last().rust)));
        let mut python = match origin {
            Some(origin) => raw::copy(origin.last().python.bind(py))?,
            // A Rust program whose thread has set Python variables.
            None if current::is_outside_of_contexts() => raw::copy_current(py)?,
            None => raw::new(py)?,
        };
        if tied.iter().any(|tied| !tied.rust.var.is_set(&rust)) {
            python = without(&python, |var| {
                tied.iter().any(|tied| tied.python.is(var) && !tied.rust.var.is_set(&rust))
            })?;
        }
        let entered = Entered::new(python)?;
        for Tied { python, rust: declared } in tied {
            if let Some(value) = declared.to_python(py, &rust)? {
                python.set(&value)?;
            }
        }
        set_others_in_python(py, &others, &rust)?;
        if let Some(current) = origin.and_then(|origin| origin.event_loop.as_ref()) {
            let var = outer_event_loop(py)?;
            if var.get(py)?.is_none_or(|outer| !outer.is(current)) {
                var.set(current.bind(py))?;
            }
        }
        Ok(Call { entered, rust: Some(rust) })
    }

    /// Returns the event loop for a coroutine that the call makes.
    pub(super) fn event_loop(&self) -> PyResult<Bound<'py, PyAny>> {
        event_loop::for_context(self.entered.context().py(), self.rust.as_ref())
    }

    /// Returns the objects that the variables are set to, to find the changes later.
    pub(super) fn values(&self) -> PyResult<Values> {
        let python = self.entered.context();
        let py = python.py();
        let read = |var: &PyVar| Ok(var.get(py)?.map(Bound::unbind));
        Ok(Values {
            caller: self.rust.clone(),
            python: raw::copy(python)?.unbind(),
            tied: tied(py)?.iter().map(|tied| read(&tied.python)).collect::<PyResult<_>>()?,
            rust: read(rust_context(py)?)?,
        })
    }

    /// Leaves the Python context and returns it.
    pub(super) fn leave(self) -> Bound<'py, PyContext> {
        self.entered.leave()
    }
}

/// Returns a copy of `context` without some variables. Python can unset a variable only with a token.
fn without<'py>(
    context: &Bound<'py, PyContext>,
    leave_out: impl Fn(&Bound<'py, PyAny>) -> bool,
) -> PyResult<Bound<'py, PyContext>> {
    let py = context.py();
    let entered = Entered::new(raw::new(py)?)?;
    for item in context.call_method0("items")?.try_iter()? {
        let (var, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        if !leave_out(&var) {
            if let Ok(var) = PyVar::from_object(var) {
                var.set(&value)?;
            }
        }
    }
    Ok(entered.leave())
}

/// The objects that variables are set to when a call begins.
pub(super) struct Values {
    /// The Rust context that calls, as in [`Call`].
    caller: Option<Context>,
    /// A copy of the call's Python context.
    python: Py<PyContext>,
    tied: Vec<Option<Py<PyAny>>>,
    /// The [`RustContext`].
    rust: Option<Py<PyAny>>,
}

fn is_same(one: Option<&Py<PyAny>>, other: Option<&Bound<'_, PyAny>>) -> bool {
    one.map(|one| one.as_ptr()) == other.map(|other| other.as_ptr())
}

/// Applies the changes that Python code has made in `python` since `before` to Rust's current context, or to Python's
/// if Rust code calls without a context.
pub(super) fn apply_changes_of(python: &Bound<'_, PyContext>, before: &Values) -> PyResult<()> {
    let py = python.py();
    let Some(caller) = &before.caller else {
        return refuse_unset(py, &apply_python_changes(python, before.python.bind(py), |_| false)?);
    };
    let entered = Entered::new(raw::copy(python)?)?;
    // The current context can have other changes by now, which `python` does not have.
    let mut changed = caller.clone();
    let tied = tied(py)?;
    let now = rust_context(py)?.get(py)?;
    if let Some(now) = now.filter(|now| !is_same(before.rust.as_ref(), Some(now))) {
        let now = now.cast::<RustContext>()?.get();
        let then = before.rust.as_ref().map(|then| then.bind(py).cast::<RustContext>()).transpose()?;
        let (_, others) = split(tied, changes(&now.values, then.map(|then| &then.get().values)));
        changed.copy_states(&others, &now.values);
    }
    for (Tied { python, rust }, then) in tied.iter().zip(&before.tied) {
        let now = python.get(py)?;
        if !is_same(then.as_ref(), now.as_ref()) {
            rust.set_from_python(now.as_ref(), &mut changed)?;
        }
    }
    let origin = caller.get(&ORIGIN);
    // A thread's own context gets no origin, because each call from it sees Python's current context.
    if origin.is_some() || !current::is_outside_of_contexts() {
        let last = Crossing { python: raw::copy(python)?.unbind(), rust: without_origin(&changed) };
        let origin = match origin {
            Some(origin) => Origin {
                event_loop: origin.event_loop(py),
                border: origin.border.clone_ref(py),
                applied: Some(last),
            },
            None => Origin { event_loop: None, border: last, applied: None },
        };
        changed.set(&ORIGIN, origin);
    }
    drop(entered);
    apply_changes_in_rust(&changed, caller)
}

/// Applies what has changed in `context` since `base` to Rust's current context.
pub(super) fn apply_changes_in_rust(context: &Context, base: &Context) -> PyResult<()> {
    let applied = context.apply_to_current(base, Changes::All);
    applied.map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// Applies the changes in `context`, which [`import`] has returned, to Python's current context, or to Rust's if Rust
/// code has called [`import`].
pub(super) fn apply_changes(py: Python<'_>, context: &Context, base: &Context) -> PyResult<()> {
    let Some(origin) = context.get(&ORIGIN).filter(|_| raw::is_called_from_python(py)) else {
        return apply_changes_in_rust(context, base);
    };
    let tied = tied(py)?;
    let rust = rust_context(py)?;
    let border = &origin.border;
    let since = |base: &Crossing| split(tied, changes(context, Some(&base.rust)));
    let (since_last, others) = since(origin.last());
    let (since_border, others) = match origin.applied {
        Some(_) => since(border),
        None => (since_last.clone(), others),
    };
    let object = |tied: &Tied| match since_border.iter().any(|changed| ptr::eq(*changed, tied)) {
        true => tied.rust.to_python(py, context),
        // A call into Python has changed the variable, and Rust has changed it back.
        false => value_in(border.python.bind(py), tied.python.bind(py)),
    };
    let mut objects = Vec::new();
    if !since_last.is_empty() {
        // The caller does not see what a conversion sets.
        let _entered = Entered::new(raw::copy_current(py)?)?;
        objects = since_last.iter().map(|tied| object(tied)).collect::<PyResult<_>>()?;
    }
    let mut unset = Vec::new();
    if let Some(applied) = &origin.applied {
        let event_loop = outer_event_loop(py)?;
        let leave_out =
            |var: &_| rust.is(var) || event_loop.is(var) || since_last.iter().any(|tied| tied.python.is(var));
        unset = apply_python_changes(applied.python.bind(py), border.python.bind(py), leave_out)?;
    }
    for (tied, object) in since_last.into_iter().zip(objects) {
        match object {
            Some(object) => tied.python.set(&object)?,
            None if tied.python.get(py)?.is_some() => unset.push(tied.python.bind(py).clone()),
            None => (),
        }
    }
    // Python code can have called another function in the meantime, which has changed other variables.
    set_others_in_python(py, &others, context)?;
    refuse_unset(py, &unset)
}

/// Returns an exception if variables were unset that Python can't unset.
fn refuse_unset(py: Python<'_>, unset: &[Bound<'_, PyAny>]) -> PyResult<()> {
    let Some(var) = unset.first() else { return Ok(()) };
    Err(PyRuntimeError::new_err(format!(
        "{} was unset, but Python can't unset a variable in the caller's context, where it stays set. Set it to \
         another value instead. All other changes were applied",
        display_name(tied(py)?, var)
    )))
}

/// Returns the names of a Python variable, not its `repr`: that shows the default, which can be secret.
fn display_name(tied: &[Tied], var: &Bound<'_, PyAny>) -> String {
    match tied.iter().find(|tied| tied.python.is(var)) {
        Some(Tied { rust, .. }) => {
            format!("Python's `{}:{}`, Rust's `{}`,", rust.module, rust.name, rust.path)
        }
        None => {
            let name = var.getattr(intern!(var.py(), "name")).map(|name| name.to_string());
            format!("Python's ContextVar `{}`", name.unwrap_or_default())
        }
    }
}

/// Returns the value of a variable in `context`, if it is set there.
fn value_in<'py>(
    context: &Bound<'py, PyContext>,
    var: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // A variable is never a value of itself.
    let value = context.call_method1(intern!(context.py(), "get"), (var, var))?;
    Ok((!value.is(var)).then_some(value))
}

/// Sets the variables in Python's current context that differ between `changed` and `base`. Returns those that are set
/// in `base` only.
fn apply_python_changes<'py>(
    changed: &Bound<'py, PyContext>,
    base: &Bound<'py, PyContext>,
    leave_out: impl Fn(&Bound<'py, PyAny>) -> bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    for item in changed.call_method0("items")?.try_iter()? {
        let (var, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        if !leave_out(&var) && !value_in(base, &var)?.is_some_and(|before| before.is(&value)) {
            if let Ok(var) = PyVar::from_object(var) {
                var.set(&value)?;
            }
        }
    }
    let mut unset = Vec::new();
    for var in base.try_iter()? {
        let var = var?;
        if !leave_out(&var) && !changed.contains(&var)? {
            unset.push(var);
        }
    }
    Ok(unset)
}
