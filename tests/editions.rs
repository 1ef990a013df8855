//! The attributes' tests, for callers on older editions. The crates `edition2018` and `edition2021` build this.

#[path = "it/containers.rs"]
mod containers;
#[path = "core/copied.rs"]
mod copied;
#[path = "it/fidelity.rs"]
mod fidelity;
#[path = "it/shapes.rs"]
mod shapes;
#[allow(dead_code)]
#[path = "core/support.rs"]
mod support;
