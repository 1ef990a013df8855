use contextvar::context_var;
use pyo3::prelude::*;

#[derive(Clone, IntoPyObject)]
pub struct User {
    pub name: String,
}

#[context_var(python = "app:USER")]
static USER: User;

fn main() {}
