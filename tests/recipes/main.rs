//! The programs of the guide's pages `getting_started`, `recipes` and `live_view`.
//!
//! Each module has a program, which a page shows, between the comments `Recipe` and `Test`. Its tests follow.

mod data;
mod getting_started;
#[expect(dead_code, reason = "its `main` serves until the process ends")]
mod live_view;
mod page;
mod servers;
