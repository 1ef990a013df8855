//! The functions of CPython's C API for contexts, which PyO3 does not wrap.
//!
//! A call of the method `ContextVar.get` takes several times as many instructions as `PyContextVar_Get`.
#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyContext;

/// Returns true if the thread is attached to the interpreter. Before the interpreter is initialized, the result is
/// true as well.
pub(super) fn is_attached() -> bool {
    // SAFETY: it can be called at any time.
    unsafe { ffi::PyGILState_Check() == 1 }
}

/// Returns true if Python knows this thread: if it is attached to the interpreter, or has detached temporarily.
pub(super) fn is_thread_of_python() -> bool {
    // SAFETY: it can be called at any time, and the result is only compared.
    unsafe { !ffi::PyGILState_GetThisThreadState().is_null() }
}

/// Returns true if Python code runs on this thread, and has called this code.
pub(super) fn is_called_from_python(_py: Python<'_>) -> bool {
    // SAFETY: the thread is attached. The result is borrowed, and only compared.
    unsafe { !ffi::PyEval_GetGlobals().is_null() }
}

/// Returns a copy of Python's current context.
pub(super) fn copy_current(py: Python<'_>) -> PyResult<Bound<'_, PyContext>> {
    // SAFETY: the thread is attached, and the function returns a new reference, or null with an exception set.
    let copy = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }?;
    Ok(copy.cast_into()?)
}

/// Returns a copy of `context`.
pub(super) fn copy<'py>(context: &Bound<'py, PyContext>) -> PyResult<Bound<'py, PyContext>> {
    // SAFETY: as in `copy_current`, and the argument is a context.
    let copy = unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }?;
    Ok(copy.cast_into()?)
}

/// Returns a new, empty context.
pub(super) fn new(py: Python<'_>) -> PyResult<Bound<'_, PyContext>> {
    // SAFETY: as in `copy_current`.
    let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_New()) }?;
    Ok(context.cast_into()?)
}

/// A Python `ContextVar`.
#[derive(Debug)]
pub(super) struct PyVar(Py<PyAny>);

impl PyVar {
    /// Creates a variable.
    pub(super) fn new(py: Python<'_>, name: &'static std::ffi::CStr) -> PyResult<PyVar> {
        // SAFETY: as in `copy_current`. The name is copied.
        let var = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyContextVar_New(name.as_ptr(), ptr::null_mut()))
        }?;
        Ok(PyVar(var.unbind()))
    }

    /// Returns `object` if it is a variable.
    pub(super) fn from_object(object: Bound<'_, PyAny>) -> Result<PyVar, Bound<'_, PyAny>> {
        // SAFETY: it is an object.
        if unsafe { ffi::PyContextVar_CheckExact(object.as_ptr()) } == 1 {
            Ok(PyVar(object.unbind()))
        } else {
            Err(object)
        }
    }

    /// Returns true if `object` is this variable.
    pub(super) fn is(&self, object: &Bound<'_, PyAny>) -> bool {
        self.0.is(object)
    }

    /// Returns the address of the object, which stays the same.
    pub(super) fn address(&self) -> *const () {
        self.0.as_ptr().cast_const().cast()
    }

    /// Returns the variable's value in Python's current context, if it is set there. Ignores its default.
    pub(super) fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Returned if the variable is not set. No code sets a variable to itself.
        let not_set = self.0.as_ptr();
        let mut value = ptr::null_mut();
        // SAFETY: `self` is a variable. The function stores a new reference, or returns -1 with an exception set.
        if unsafe { ffi::PyContextVar_Get(self.0.as_ptr(), not_set, &raw mut value) } != 0 {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: the reference is new.
        let value = unsafe { Bound::from_owned_ptr(py, value) };
        Ok((!value.is(&self.0)).then_some(value))
    }

    /// Sets the variable in Python's current context.
    pub(super) fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: `self` is a variable, and the function returns a new reference to a token, or null with an
        // exception set.
        let token = unsafe {
            let token = ffi::PyContextVar_Set(self.0.as_ptr(), value.as_ptr());
            Bound::from_owned_ptr_or_err(value.py(), token)
        }?;
        drop(token);
        Ok(())
    }

    pub(super) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }
}

/// A Python context while it is current.
pub(super) struct Entered<'py> {
    context: Bound<'py, PyContext>,
}

impl<'py> Entered<'py> {
    /// Makes `context` current.
    pub(super) fn new(context: Bound<'py, PyContext>) -> PyResult<Self> {
        // SAFETY: the argument is a context. The function returns -1 with an exception set if it is entered already.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
            return Err(PyErr::fetch(context.py()));
        }
        Ok(Entered { context })
    }

    /// Leaves the context and returns it.
    pub(super) fn leave(self) -> Bound<'py, PyContext> {
        self.context.clone()
    }

    pub(super) fn context(&self) -> &Bound<'py, PyContext> {
        &self.context
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let py = self.context.py();
        // An exception that is set stays set.
        let pending = if PyErr::occurred(py) { PyErr::take(py) } else { None };
        // SAFETY: the context has been entered. If another one is current now, which code has entered and not left,
        // the function returns -1 with an exception set.
        if unsafe { ffi::PyContext_Exit(self.context.as_ptr()) } != 0 {
            PyErr::fetch(py).write_unraisable(py, Some(&self.context));
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    }
}
