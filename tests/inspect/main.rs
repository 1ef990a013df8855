//! The list of `contextvar::inspect`, for each way to hand a context over, and each way for its work to end. The
//! tests run at the same time, so each looks only at the contexts below its own root.

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
