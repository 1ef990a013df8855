//! What the list of `contextvar::inspect` says of each way to hand a context over, and of each way for its work to
//! end. The tests run at the same time: each looks only at the contexts below a root of its own.

#[cfg(feature = "adapters")]
mod adapters;
mod ends;
#[cfg(tokio_unstable)]
mod hooks;
mod parents;
mod reentrancy;
mod support;
mod text;
mod times;
mod values;
mod ways;
