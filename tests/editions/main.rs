//! The tests of the attributes, for callers on older editions. The packages `contextvar-tests-edition2018`
//! and `contextvar-tests-edition2021` build this file.

#[path = "../it/containers.rs"]
mod containers;
#[path = "../core/copied.rs"]
mod copied;
#[path = "../it/fidelity.rs"]
mod fidelity;
#[path = "../it/shapes.rs"]
mod shapes;
#[allow(dead_code)]
#[path = "../core/support.rs"]
mod support;
