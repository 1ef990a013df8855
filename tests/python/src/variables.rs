//! The variables that several tests share. Their counterparts are in `variables.py`.

use contextvar::context_var;

#[context_var(python = "variables:USER")]
pub static USER: String;

#[context_var(python = "variables:TENANT")]
pub static TENANT: String;

/// Has a default in each language.
#[context_var(python = "variables:LOCALE")]
pub static LOCALE: String = "de".to_owned();

/// Not inherited by tasks and threads.
#[context_var(python = "variables:SESSION", inherit = false)]
pub static SESSION: String;

/// Not tied to a Python variable.
#[context_var]
pub static NOTE: String;
