//! Pools, caches, threads, tasks and tests.

mod bb8;
mod cache;
mod cancellation;
mod deadpool;
mod fixtures;
mod loader;
mod rayon;
mod sqlx;
mod state;
mod support;
mod transaction;
