//! The programs of the guide's pages `getting_started` and `recipes`.
//!
//! Each module has a program, which a page shows, between the comments `Recipe` and `Test`. Its tests follow.

mod data;
mod getting_started;
mod page;
mod servers;
