//! Functions on whose signature, arguments, attributes or body a lint fires.

#![warn(clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)]
#![warn(
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    let_underscore_drop,
    missing_debug_implementations,
    missing_docs,
    redundant_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_pub,
    unsafe_code,
    unused_lifetimes,
    unused_qualifications,
    unused_results
)]
#![allow(clippy::blanket_clippy_restriction_lints)]

use std::borrow::Cow;
use std::collections::{HashMap, LinkedList};
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

#[allow(missing_docs)]
pub mod types {
    pub struct Large(pub [u8; 4096]);
    #[derive(Clone, Copy)]
    pub struct Small(pub u8);
    pub struct WithLifetime<'a>(pub &'a str);
    pub enum BigError {
        Big([u8; 512]),
    }
}

use types::*;

struct Private;

// Signatures.

async fn never_called() {}

fn never_called_plain() {}

pub async unsafe fn unsafe_later() {}

pub unsafe fn unsafe_plain() {}

pub async fn private_argument(_: Private) {}

pub fn private_argument_plain(_: Private) {}

pub async fn undocumented() {}

pub fn undocumented_plain() {}

mod inner {
    pub async fn unreachable_later() {}

    pub fn unreachable_plain() {}
}

pub async fn camelCase() {}

pub fn camelCasePlain() {}

pub async fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    ready(a + b + c + d + e + f + g + h).await
}

pub fn eight_plain(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

pub async fn flags(one: bool, two: bool, three: bool, four: bool) -> bool {
    ready(one && two && three && four).await
}

pub fn flags_plain(one: bool, two: bool, three: bool, four: bool) -> bool {
    one && two && three && four
}

pub async fn needless_lifetime<'a>(text: &'a str) -> &'a str {
    ready(text).await
}

pub fn needless_lifetime_plain<'a>(text: &'a str) -> &'a str {
    text
}

pub async fn unused_lifetime<'a>() {
    ready(()).await
}

pub fn unused_lifetime_plain<'a>() {}

pub async fn unused_type<T>() {
    ready(()).await
}

pub fn unused_type_plain<T>() {}

pub async fn hidden_lifetime(value: &WithLifetime<'_>) -> usize {
    ready(value.0.len()).await
}

pub fn hidden_lifetime_plain(value: WithLifetime) -> usize {
    value.0.len()
}

pub async fn differing_lifetimes(value: &str) -> WithLifetime<'_> {
    ready(WithLifetime(value)).await
}

pub fn differing_lifetimes_plain(value: &str) -> WithLifetime {
    WithLifetime(value)
}

pub async fn complex(_: Vec<Vec<Box<(u32, u32, u32, u32, HashMap<String, Vec<Box<u32>>>)>>>) {
    ready(()).await
}

pub fn complex_plain(_: Vec<Vec<Box<(u32, u32, u32, u32, HashMap<String, Vec<Box<u32>>>)>>>) {}

pub async fn complex_output() -> Vec<Vec<Box<(u32, u32, u32, u32, HashMap<String, Vec<Box<u32>>>)>>> {
    ready(Vec::new()).await
}

pub fn complex_output_plain() -> Vec<Vec<Box<(u32, u32, u32, u32, HashMap<String, Vec<Box<u32>>>)>>> {
    Vec::new()
}

pub async fn unit_error() -> Result<u8, ()> {
    ready(Err(())).await
}

pub fn unit_error_plain() -> Result<u8, ()> {
    Err(())
}

pub async fn large_error() -> Result<(), BigError> {
    ready(Err(BigError::Big([0; 512]))).await
}

pub fn large_error_plain(n: u8) -> Result<(), BigError> {
    if n == 0 { Err(BigError::Big([0; 512])) } else { Ok(()) }
}

pub async fn twice_optional() -> Option<Option<u8>> {
    ready(None).await
}

pub fn twice_optional_plain() -> Option<Option<u8>> {
    None
}

pub async fn unit_output() -> () {
    ready(()).await
}

pub fn unit_output_plain() -> () {}

#[must_use]
pub async fn must_use_unit() {
    ready(()).await
}

#[must_use]
pub fn must_use_unit_plain() {}

#[must_use]
pub async fn must_use_result() -> Result<u8, String> {
    ready(Ok(1)).await
}

#[must_use]
pub fn must_use_result_plain() -> Result<u8, String> {
    Ok(1)
}

pub async fn must_use_candidate(n: u8) -> u8 {
    ready(n).await
}

pub fn must_use_candidate_plain(n: u8) -> u8 {
    n.wrapping_add(1)
}

pub async fn impl_argument(_: impl Send) {
    ready(()).await
}

pub fn impl_argument_plain(_: impl Send) {}

pub async fn bounds_in_two_places<T: Send>(_: T)
where
    T: Sync,
{
    ready(()).await
}

pub fn bounds_in_two_places_plain<T: Send>(_: T)
where
    T: Sync,
{
}

pub async fn parameter_named_like_a_function(flags: u8) -> u8 {
    ready(flags).await
}

// Arguments.

pub async fn unused_argument(used: u8, unused: u8) -> u8 {
    ready(used).await
}

pub fn unused_argument_plain(used: u8, unused: u8) -> u8 {
    used
}

pub async fn unused_mut_argument(mut n: u8) -> u8 {
    ready(n).await
}

pub fn unused_mut_argument_plain(mut n: u8) -> u8 {
    n
}

pub async fn assigned_argument(mut n: u8) {
    n = 1;
    ready(()).await
}

pub fn assigned_argument_plain(mut n: u8) {
    n = 1;
}

pub async fn NotSnake(BadName: u8) -> u8 {
    ready(BadName).await
}

pub fn bad_name_plain(BadName: u8) -> u8 {
    BadName
}

pub async fn vec_reference(list: &Vec<u8>) -> usize {
    ready(list.len()).await
}

pub fn vec_reference_plain(list: &Vec<u8>) -> usize {
    list.len()
}

pub async fn string_reference(text: &String, cow: &Cow<'_, str>) -> usize {
    ready(text.len() + cow.len()).await
}

pub fn string_reference_plain(text: &String, cow: &Cow<'_, str>) -> usize {
    text.len() + cow.len()
}

pub async fn boxed_collection(_: Box<Vec<u8>>, _: Rc<Vec<u8>>, _: Vec<Box<u8>>, _: LinkedList<u8>) {
    ready(()).await
}

pub fn boxed_collection_plain(_: Box<Vec<u8>>, _: Rc<Vec<u8>>, _: Vec<Box<u8>>, _: LinkedList<u8>) {}

pub async fn borrowed_box(value: &Box<u8>, option: &Option<String>) -> u8 {
    ready(**value + option.iter().count() as u8).await
}

pub fn borrowed_box_plain(value: &Box<u8>, option: &Option<String>) -> u8 {
    **value + option.iter().count() as u8
}

pub async fn rc_mutex(_: Rc<Mutex<u8>>, _: Arc<Rc<u8>>) {
    ready(()).await
}

pub fn rc_mutex_plain(_: Rc<Mutex<u8>>, _: Arc<Rc<u8>>) {}

pub async fn by_value(text: String) -> usize {
    ready(text.len()).await
}

pub fn by_value_plain(text: String) -> usize {
    text.len()
}

pub async fn large_by_value(large: Large) -> u8 {
    ready(large.0[0]).await
}

pub fn large_by_value_plain(large: Large) -> u8 {
    large.0[0]
}

pub async fn small_by_reference(small: &Small) -> u8 {
    ready(small.0).await
}

pub fn small_by_reference_plain(small: &Small) -> u8 {
    small.0
}

pub async fn not_mutated(text: &mut String) -> usize {
    ready(text.len()).await
}

pub fn not_mutated_plain(text: &mut String) -> usize {
    text.len()
}

pub async fn raw_pointer(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

pub fn raw_pointer_plain(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

pub async fn underscored(_used: u8) -> u8 {
    ready(_used).await
}

pub fn underscored_plain(_used: u8) -> u8 {
    _used
}

pub async fn same_names(name: u8, _name: u8) -> u8 {
    ready(name).await
}

pub fn same_names_plain(name: u8, _name: u8) -> u8 {
    name
}

pub async fn one(foo: u8, x: u8) -> u8 {
    ready(foo + x).await
}

pub async fn patterns((a, b): (u8, u8), [first, ..]: [u8; 2], Small(inner): Small) -> u8 {
    ready(a + b + first + inner).await
}

pub fn patterns_plain((a, b): (u8, u8), [first, ..]: [u8; 2], Small(inner): Small) -> u8 {
    a + b + first + inner
}

pub async fn argument_lints(#[allow(unused_variables)] allowed: u8, #[warn(clippy::ptr_arg)] list: &Vec<u8>) -> usize {
    ready(list.len()).await
}

pub async fn expected_in_arguments(
    #[expect(unused_variables)] unused: u8,
    #[expect(unused_mut)] mut n: u8,
    #[expect(clippy::ptr_arg)] list: &Vec<u8>,
) -> usize {
    ready(list.len() + usize::from(n)).await
}

// Attributes.

#[inline(always)]
pub async fn always_inline() {
    ready(()).await
}

#[inline(always)]
pub fn always_inline_plain() -> u8 {
    1
}

#[inline]
#[inline]
pub fn inline_twice() {}

#[deprecated]
pub async fn deprecated() {
    ready(()).await
}

#[allow(clippy::needless_return)]
pub async fn allowed() -> u8 {
    return ready(1).await;
}

#[unsafe(no_mangle)]
pub fn generic_and_not_mangled<T>(_: T) {}

/// Returns a number
///  with a bad indent, and `MyType` or my_type without ticks: my_type.
pub async fn documented_badly() -> u8 {
    ready(1).await
}

/// Returns a number, or my_type.
pub fn documented_badly_plain() -> u8 {
    1
}

/// Fails.
pub async fn errors_undocumented() -> Result<u8, String> {
    ready(Err(String::new())).await
}

/// Fails.
pub fn errors_undocumented_plain(n: u8) -> Result<u8, String> {
    if n == 0 { Err(String::new()) } else { Ok(n) }
}

/// Panics.
pub async fn panics_undocumented(n: u8) {
    assert!(n == 0);
    ready(()).await
}

/// Panics.
pub fn panics_undocumented_plain(n: u8) {
    assert!(n == 0);
}

// Bodies.

pub async fn no_await() -> u8 {
    1
}

pub async fn needless_return() -> u8 {
    return ready(1).await;
}

pub fn needless_return_plain() -> u8 {
    return 1;
}

pub async fn let_and_return() -> u8 {
    let n = ready(1).await;
    n
}

pub fn let_and_return_plain() -> u8 {
    let n = 1;
    n
}

pub async fn unused_parts() -> u8 {
    let unused = 1;
    let mut not_mutable = 2;
    ready(1).await;
    1;
    not_mutable
}

pub fn unused_parts_plain() -> u8 {
    let unused = 1;
    let mut not_mutable = 2;
    1;
    not_mutable
}

pub async fn unused_future() {
    ready(());
    ready(Ok::<u8, u8>(1)).await;
}

pub async fn unreachable_end() -> u8 {
    return ready(1).await;
    2
}

pub fn unreachable_end_plain() -> u8 {
    return 1;
    2
}

pub async fn diverges() -> u8 {
    ready(()).await;
    panic!("always")
}

pub fn diverges_plain() -> u8 {
    panic!("always")
}

pub async fn todo_later() -> u8 {
    todo!()
}

pub fn todo_plain() -> u8 {
    todo!()
}

pub fn recursive(n: u8) -> u8 {
    recursive(n)
}

pub async fn shadows(n: u8) -> u8 {
    let n = n;
    let n = n + 1;
    let n = ready(3).await;
    n
}

pub fn shadows_plain(n: u8) -> u8 {
    let n = n;
    let n = n + 1;
    let n = 3;
    n
}

pub async fn yields_a_future() -> Ready<u8> {
    ready(1)
}

pub async fn yields_a_box() -> Pin<Box<dyn Future<Output = u8>>> {
    Box::pin(async { 1 })
}

pub async fn block_yields_a_future() -> u8 {
    let block = async { ready(1) };
    block.await.await
}

pub fn manual_async() -> impl Future<Output = u8> {
    async { ready(1).await }
}

pub async fn not_send(text: Rc<str>) -> usize {
    ready(()).await;
    text.len()
}

pub async fn not_send_unit(text: Rc<str>) {
    ready(()).await;
    drop(text);
}

pub async fn holds_a_lock(lock: &Mutex<u8>) -> u8 {
    let guard = lock.lock();
    ready(()).await;
    guard.map_or(0, |value| *value)
}

pub async fn unwraps(n: Option<u8>) -> Result<u8, String> {
    Ok(ready(n.unwrap()).await)
}

pub fn unwraps_plain(n: Option<u8>) -> Result<u8, String> {
    Ok(n.unwrap())
}

pub async fn wrapped() -> Option<u8> {
    Some(ready(1).await)
}

pub fn wrapped_plain(n: u8) -> Option<u8> {
    Some(n)
}

pub async fn branches(n: u8) -> u8 {
    if n == 0 {
        ready(1).await
    } else if n == 1 {
        2
    } else if n == 2 {
        return 3;
    } else {
        match n {
            3 => 4,
            _ => 5,
        }
    }
}

pub fn branches_plain(n: u8) -> u8 {
    if n == 0 {
        1
    } else if n == 1 {
        2
    } else if n == 2 {
        return 3;
    } else {
        match n {
            3 => 4,
            _ => 5,
        }
    }
}

pub async fn items_inside() -> u8 {
    let n = ready(1).await;
    fn late() -> u8 {
        2
    }
    n + late()
}

pub async fn closures() -> usize {
    let large = |n: u8| -> Result<u8, BigError> { Ok(n) };
    let list: Vec<Vec<Box<(u32, u32, u32, u32, HashMap<String, Vec<Box<u32>>>)>>> = ready(Vec::new()).await;
    list.len() + usize::from(large(1).is_ok())
}

pub async fn converts(n: u64) -> u8 {
    ready(n as u8).await
}

pub fn converts_plain(n: u64) -> u8 {
    n as u8
}

// Methods.

/// A service.
#[derive(Debug)]
pub struct Service {
    name: String,
    other: String,
}

impl Service {
    async fn never_called(&self) {}

    fn never_called_plain(&self) {}

    pub async fn new() -> u8 {
        ready(1).await
    }

    pub async fn unused_self(&self) -> u8 {
        ready(1).await
    }

    pub fn unused_self_plain(&self) -> u8 {
        1
    }

    pub async fn is_owned(self) -> bool {
        ready(self.name.is_empty()).await
    }

    pub fn is_owned_plain(self) -> bool {
        self.name.is_empty()
    }

    pub async fn to_mut(&mut self) -> usize {
        ready(self.name.len()).await
    }

    pub fn into_borrowed(&self) -> usize {
        self.name.len()
    }

    pub fn other(&self) -> &String {
        &self.name
    }

    pub async fn add(self, _: Self) -> Self {
        ready(self).await
    }

    pub fn sub(self, _: Self) -> Self {
        self
    }

    pub async fn by_rc(self: Rc<Self>) -> usize {
        ready(self.name.len() + self.other.len()).await
    }

    pub fn len(&self) -> usize {
        self.name.len()
    }
}

/// A trait.
pub trait Greeter {
    async fn greet(&self) -> u8 {
        ready(1).await
    }

    fn greet_plain(&self) -> u8 {
        1
    }
}

impl Greeter for Service {
    async fn greet(&self) -> u8 {
        ready(2).await
    }
}

impl Drop for Private {
    fn drop(&mut self) {}
}
