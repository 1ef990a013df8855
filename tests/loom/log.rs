//! The library's values for logs, which the storage shows.

// This crate uses a part of it, and the parts of the library that are `pub` are not public here.
#![allow(dead_code, unreachable_pub)]

#[path = "../../contextvar/src/log/value.rs"]
mod value;

pub(crate) use value::LogValue;
