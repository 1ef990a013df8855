//! Declares as many variables as `$TIED` says, of type `$TYPE`. A module's tied variables are known when it is linked,
//! so each number is a build of its own.

use std::fmt::Write;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=TIED");
    println!("cargo::rerun-if-env-changed=TYPE");
    let tied: usize = env::var("TIED").map_or(1, |tied| tied.parse().expect("TIED is a number"));
    let value = env::var("TYPE").unwrap_or_else(|_| "String".to_owned());
    let path = format!("{}/variables.rs", env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(path, declarations(tied, &value)).expect("the folder exists");
}

fn declarations(tied: usize, value: &str) -> String {
    let mut text = format!("pub(crate) type Value = {value};\nconst TIED: usize = {tied};\n");
    for n in 0..tied {
        let _ = write!(
            text,
            "#[contextvar::context_var(python = \"variables:V{n}\")]\nstatic V{n}: Value;\n\
             #[contextvar::context_var]\nstatic UNTIED{n}: Value;\n\
             tokio::task_local! {{ static LOCAL{n}: Value; }}\n"
        );
    }
    let vars: Vec<String> = (0..tied).map(|n| format!("&V{n}")).collect();
    let _ = writeln!(text, "static VARS: [&contextvar::ContextVar<Value>; {tied}] = [{}];", vars.join(", "));
    // Each variable in a scope inside of that of the one before.
    for (function, name) in [("in_scopes", "UNTIED"), ("in_task_locals", "LOCAL")] {
        let open: String = (0..tied).map(|n| format!("{name}{n}.sync_scope(get(py, {n})?, || ")).collect();
        let close = ")".repeat(tied);
        let _ = writeln!(
            text,
            "#[pyfunction]\npub(crate) fn {function}(py: Python<'_>) -> PyResult<()> {{ let _ = py; {open}Ok(()){close} }}"
        );
    }
    let arguments: String = (0..tied).map(|n| format!("v{n}: Value, ")).collect();
    let names: String = (0..tied).map(|n| format!("&v{n}, ")).collect();
    let _ = writeln!(
        text,
        "#[pyfunction]\n#[allow(clippy::too_many_arguments, clippy::ptr_arg)]\n\
         pub(crate) fn takes_arguments({arguments}) {{ black_box([{names}] as [&Value; {tied}]); }}"
    );
    text
}
