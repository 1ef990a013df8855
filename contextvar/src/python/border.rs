//! What crosses between a context of Rust and one of Python, and when.
//!
//! A context that came from Python holds its [`Origin`] as the value of a variable, so the origin follows wherever the
//! context does. A context of Python that came from Rust holds a [`RustContext`] as the value of a variable, with the
//! values of variables that are not tied.

use std::fmt;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
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

/// What a context of Rust and one of Python had in common when they last agreed.
struct Crossing {
    python: Py<PyContext>,
    /// The values, without the origin.
    rust: Context,
}

/// Where a context comes from.
struct Origin {
    event_loop: Option<Arc<Py<PyAny>>>,
    /// The call from Python.
    border: Arc<Crossing>,
    /// The last call into Python whose changes were applied, or the call from Python.
    last: Arc<Crossing>,
}

static ORIGIN: ContextVar<Origin> = ContextVar::new("python").with_debug(Some(fmt_origin));

fn fmt_origin(_: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<Context of Python>")
}

/// A context of Rust as the value of a Python variable.
#[pyclass(frozen, module = "contextvar", name = "RustContext")]
struct RustContext {
    /// The values, without the origin.
    values: Context,
    event_loop: Option<Arc<Py<PyAny>>>,
}

/// Returns the variable of Python that holds a [`RustContext`].
fn rust_context(py: Python<'_>) -> PyResult<&'static PyVar> {
    static VAR: PyOnceLock<PyVar> = PyOnceLock::new();

    VAR.get_or_try_init(py, || PyVar::new(py, c"contextvar.rust"))
}

fn without_origin(context: &Context) -> Context {
    let mut values = context.clone();
    values.unset(&ORIGIN);
    values
}

/// Returns a context with the values of Python's current one. See [`super::copy_context`].
pub(super) fn import(py: Python<'_>) -> PyResult<Context> {
    if !raw::is_called_from_python(py) {
        return Ok(copy_rust_context());
    }
    attach::wait_at_exit(py);
    let tied = tied(py)?;
    let python = raw::copy_current(py)?;
    let outer = rust_context(py)?.get(py)?;
    let outer = outer.as_ref().map(|outer| outer.cast::<RustContext>()).transpose()?.map(Bound::get);
    let mut context = outer.map_or_else(Context::new, |outer| outer.values.clone());
    for Tied { python, rust } in tied {
        rust.set_from_python(python.get(py)?.as_ref(), &mut context)?;
    }
    let event_loop = match event_loop::running(py)? {
        None => outer.and_then(|outer| outer.event_loop.clone()),
        running => running.map(|running| Arc::new(running.unbind())),
    };
    let border = Arc::new(Crossing { python: python.unbind(), rust: context.clone() });
    context.set(&ORIGIN, Origin { event_loop, last: border.clone(), border });
    Ok(context)
}

/// Returns the event loop of the call from Python that `context` comes from.
pub(super) fn event_loop_of<'py>(py: Python<'py>, context: &Context) -> Option<Bound<'py, PyAny>> {
    Some(context.get(&ORIGIN)?.event_loop.as_ref()?.bind(py).clone())
}

/// Returns the context of Python that `context` comes from.
pub(super) fn python_of<'a, 'py>(py: Python<'py>, context: &'a Context) -> Option<&'a Bound<'py, PyContext>> {
    Some(context.get(&ORIGIN)?.last.python.bind(py))
}

/// Returns the variables that differ between `context` and `base`, or an empty context.
fn changes(context: &Context, base: Option<&Context>) -> Vec<&'static dyn AnyVariable> {
    const EMPTY: &Map = &Map::EMPTY;
    context.map().changes_since(base.map_or(EMPTY, Context::map), Changes::All)
}

/// Returns the tied variables among `changed`, and the others.
fn split<'a>(
    tied: &'a [Tied],
    changed: Vec<&'static dyn AnyVariable>,
) -> (Vec<&'a Tied>, Vec<&'static dyn AnyVariable>) {
    let origin = address(ORIGIN.variable());
    let mut among = Vec::new();
    let mut others = Vec::new();
    for variable in changed {
        match tied.iter().find(|tied| tied.rust.var.erase() == address(variable)) {
            Some(tied) => among.push(tied),
            None if address(variable) != origin => others.push(variable),
            None => (),
        }
    }
    (among, others)
}

/// A call into Python: a context of Python with Rust's values, while it is current.
pub(super) struct Call<'py> {
    entered: Entered<'py>,
    /// The context of Rust that calls.
    rust: Context,
}

impl<'py> Call<'py> {
    /// Enters a context of Python with the values of Rust's current context.
    pub(super) fn enter(py: Python<'py>) -> PyResult<Self> {
        let rust = copy_rust_context();
        let tied = tied(py)?;
        let origin = rust.get(&ORIGIN);
        let (tied, others) = split(tied, changes(&rust, origin.map(|origin| &origin.last.rust)));
        let mut python = match origin {
            Some(origin) => raw::copy(origin.last.python.bind(py))?,
            // No context of Rust has been entered, so Python's current one is that of the caller.
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
        let event_loop = origin.and_then(|origin| origin.event_loop.clone());
        let var = rust_context(py)?;
        // Another call can have left a value there.
        let has_event_loop = |event_loop: &Arc<Py<PyAny>>| {
            let there = var.get(py)?.map(Bound::cast_into::<RustContext>).transpose()?;
            let there = there.as_ref().and_then(|there| there.get().event_loop.as_ref());
            PyResult::Ok(there.is_some_and(|there| there.is(&**event_loop)))
        };
        if !others.is_empty() || !event_loop.as_ref().map_or(Ok(true), has_event_loop)? {
            var.set(&RustContext::object(py, &rust, event_loop)?)?;
        }
        Ok(Call { entered, rust })
    }

    /// Returns the context of Rust that calls.
    pub(super) fn rust(&self) -> &Context {
        &self.rust
    }

    /// Leaves the context of Python and returns it.
    pub(super) fn leave(self) -> Bound<'py, PyContext> {
        self.entered.context().clone()
    }

    /// Returns what the tied variables are set to, to find out later what has changed.
    pub(super) fn values(&self) -> PyResult<Values> {
        Values::read(self.entered.context().py())
    }

    /// Applies the changes that Python's code has made since `before` to Rust's current context.
    pub(super) fn apply_changes(&self, before: &Values) -> PyResult<()> {
        apply_changes_to_rust(self.entered.context(), before)
    }
}

impl RustContext {
    fn object<'py>(
        py: Python<'py>,
        context: &Context,
        event_loop: Option<Arc<Py<PyAny>>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(Bound::new(py, RustContext { values: without_origin(context), event_loop })?.into_any())
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
    Ok(entered.context().clone())
}

/// The objects that tied variables and [`rust_context`] are set to.
pub(super) struct Values {
    tied: Vec<Option<Py<PyAny>>>,
    rust: Option<Py<PyAny>>,
}

impl Values {
    /// Reads Python's current context.
    fn read(py: Python<'_>) -> PyResult<Values> {
        let read = |var: &PyVar| Ok(var.get(py)?.map(Bound::unbind));
        Ok(Values {
            tied: tied(py)?.iter().map(|tied| read(&tied.python)).collect::<PyResult<_>>()?,
            rust: read(rust_context(py)?)?,
        })
    }
}

fn is_same(one: Option<&Py<PyAny>>, other: Option<&Bound<'_, PyAny>>) -> bool {
    one.map(|one| one.as_ptr()) == other.map(|other| other.as_ptr())
}

/// Applies the changes that Python's code has made in `python`, which is current, to Rust's current context.
fn apply_changes_to_rust(python: &Bound<'_, PyContext>, before: &Values) -> PyResult<()> {
    let py = python.py();
    let base = copy_rust_context();
    let mut changed = base.clone();
    let tied = tied(py)?;
    let now = rust_context(py)?.get(py)?;
    if let Some(now) = now.filter(|now| !is_same(before.rust.as_ref(), Some(now))) {
        let now = now.cast::<RustContext>()?.get();
        let before = before.rust.as_ref().map(|before| before.bind(py).cast::<RustContext>()).transpose()?;
        let (_, others) = split(tied, changes(&now.values, before.map(|before| &before.get().values)));
        changed.copy_states(&others, &now.values);
    }
    for (Tied { python, rust }, before) in tied.iter().zip(&before.tied) {
        let now = python.get(py)?;
        if !is_same(before.as_ref(), now.as_ref()) {
            rust.set_from_python(now.as_ref(), &mut changed)?;
        }
    }
    if let Some(Origin { event_loop, border, .. }) = base.get(&ORIGIN) {
        let last = Crossing { python: raw::copy(python)?.unbind(), rust: without_origin(&changed) };
        let (event_loop, border) = (event_loop.clone(), border.clone());
        changed.set(&ORIGIN, Origin { event_loop, border, last: Arc::new(last) });
    }
    changed.apply_to_current(&base, Changes::All).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// Applies what has changed in `context`, which [`import`] has returned, to the current context of Python. Where Rust's
/// code has called [`import`], applies it to Rust's current context.
pub(super) fn apply_changes(py: Python<'_>, context: &Context, base: &Context) -> PyResult<()> {
    let Some(Origin { event_loop, border, last }) =
        context.get(&ORIGIN).filter(|_| raw::is_called_from_python(py))
    else {
        let applied = context.apply_to_current(base, Changes::All);
        return applied.map_err(|error| PyRuntimeError::new_err(error.to_string()));
    };
    let tied = tied(py)?;
    let rust = rust_context(py)?;
    let mut unset = Vec::new();
    if !Arc::ptr_eq(border, last) {
        apply_python_changes(last.python.bind(py), border.python.bind(py), |var| rust.is(var), &mut unset)?;
    }
    let (changed, _) = split(tied, changes(context, Some(&last.rust)));
    for Tied { python, rust } in changed {
        match rust.to_python(py, context)? {
            Some(value) => python.set(&value)?,
            None => unset.push(python.bind(py).clone()),
        }
    }
    let (_, others) = split(tied, changes(context, Some(&border.rust)));
    if !others.is_empty() {
        rust.set(&RustContext::object(py, context, event_loop.clone())?)?;
    }
    match unset.first() {
        None => Ok(()),
        Some(var) => Err(PyRuntimeError::new_err(format!(
            "{var} was unset, and Python can't unset a variable in the caller's context, where it stays set. Set it to \
             another value instead. All other changes were applied"
        ))),
    }
}

/// Sets the variables in Python's current context that differ between `changed` and `base`.
fn apply_python_changes<'py>(
    changed: &Bound<'py, PyContext>,
    base: &Bound<'py, PyContext>,
    leave_out: impl Fn(&Bound<'py, PyAny>) -> bool,
    unset: &mut Vec<Bound<'py, PyAny>>,
) -> PyResult<()> {
    for item in changed.call_method0("items")?.try_iter()? {
        let (var, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        // A variable is never a value of itself.
        if !leave_out(&var) && !base.call_method1("get", (&var, &var))?.is(&value) {
            if let Ok(var) = PyVar::from_object(var) {
                var.set(&value)?;
            }
        }
    }
    for var in base.try_iter()? {
        let var = var?;
        if !leave_out(&var) && !changed.contains(&var)? {
            unset.push(var);
        }
    }
    Ok(())
}

/// Applies the changes that Python's code has made since `before` in `python` to Rust's current context.
pub(super) fn apply_changes_of(python: &Bound<'_, PyContext>, before: &Values) -> PyResult<()> {
    let entered = Entered::new(raw::copy(python)?)?;
    apply_changes_to_rust(entered.context(), before)
}
