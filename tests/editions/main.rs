//! The tests of the attributes, for callers on older editions. The packages `contextvar-tests-edition2018`
//! and `contextvar-tests-edition2021` build this file.

#[path = "../it/async_traits.rs"]
mod async_traits;
#[path = "../it/drop_order_and_size.rs"]
mod drop_order_and_size;
#[path = "../it/impls_traits_modules.rs"]
mod impls_traits_modules;
#[path = "../it/macro_hygiene.rs"]
mod macro_hygiene;
#[path = "../it/main_and_tests.rs"]
mod main_and_tests;
#[path = "../it/methods.rs"]
mod methods;
#[path = "../it/returned_futures.rs"]
mod returned_futures;
#[path = "../it/signatures.rs"]
mod signatures;
#[allow(dead_code)]
#[path = "../core/support.rs"]
mod support;
#[path = "../core/with_copied_context.rs"]
mod with_copied_context;
