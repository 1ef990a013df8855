//! The library's storage.

// This crate uses a part of it, and the parts of the library that are `pub` are not public here.
#![allow(dead_code, unreachable_pub)]

#[path = "../../contextvar/src/storage/counted.rs"]
mod counted;
#[path = "counted_pointers.rs"]
mod counted_pointers;
#[path = "../../contextvar/src/storage/map.rs"]
mod map;
#[path = "../../contextvar/src/storage/node.rs"]
mod node;
#[path = "../../contextvar/src/storage/pool.rs"]
mod pool;
#[path = "../../contextvar/src/storage/registry.rs"]
mod registry;
#[path = "../../contextvar/src/storage/value.rs"]
mod value;
#[path = "../../contextvar/src/storage/variable.rs"]
mod variable;

pub(crate) use map::{LookUp, Map};
pub(crate) use value::Value;
pub(crate) use variable::Variable;
