use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

/// A value of a variable, as [`for_each_log_field`](crate::for_each_log_field) passes it to a logger.
///
/// Its `Display` and its `Debug` write the same text. A logger with types can tell numbers and booleans from
/// text:
///
/// ```
/// use contextvar::{ContextVar, LogValue, for_each_log_field};
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
///
/// REQUEST_ID.set(7);
/// let mut number = None;
/// for_each_log_field(|_, value| {
///     if let LogValue::U64(value) = value {
///         number = Some(*value);
///     }
/// });
/// assert_eq!(number, Some(7));
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LogValue<'a> {
    /// A `bool`.
    Bool(bool),
    /// A signed integer of at most 64 bits, or an `isize`.
    I64(i64),
    /// An unsigned integer of at most 64 bits, or a `usize`.
    U64(u64),
    /// An `i128`.
    I128(i128),
    /// A `u128`.
    U128(u128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// Text.
    Str(&'a str),
    /// The JSON text of a value whose variable is declared with `#[context_var(log = serde)]`.
    Json(&'a str),
    /// A value of another type. Its text is that of the type's `Display`, or else of its `Debug`.
    Display(&'a dyn fmt::Display),
}

impl fmt::Display for LogValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogValue::Bool(value) => value.fmt(f),
            LogValue::I64(value) => value.fmt(f),
            LogValue::U64(value) => value.fmt(f),
            LogValue::I128(value) => value.fmt(f),
            LogValue::U128(value) => value.fmt(f),
            LogValue::F32(value) => value.fmt(f),
            LogValue::F64(value) => value.fmt(f),
            LogValue::Str(value) | LogValue::Json(value) => value.fmt(f),
            LogValue::Display(value) => value.fmt(f),
        }
    }
}

impl fmt::Debug for LogValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A type that logs show as a number, a boolean or text.
pub(crate) trait Primitive {
    /// Returns the value as a [`LogValue`].
    fn to_log_value(&self) -> LogValue<'_>;
}

/// Implements `Primitive` for types, and declares `primitive`, which finds out whether `T` is one of them. The
/// compiler decides that for each `T`, so that the list takes no time.
macro_rules! primitives {
    ($($ty:ty: $self:ident => $value:expr,)*) => {
        $(impl Primitive for $ty {
            fn to_log_value(&self) -> LogValue<'_> {
                let $self = self;
                $value
            }
        })*

        /// Returns a value of a primitive type as a [`LogValue`].
        fn primitive<T: 'static>(value: &T) -> Option<LogValue<'_>> {
            let value: &dyn Any = value;
            $(if let Some(value) = value.downcast_ref::<$ty>() {
                return Some(value.to_log_value());
            })*
            None
        }
    };
}

primitives! {
    String: value => LogValue::Str(value),
    &'static str: value => LogValue::Str(value),
    u64: value => LogValue::U64(*value),
    u32: value => LogValue::U64((*value).into()),
    u16: value => LogValue::U64((*value).into()),
    u8: value => LogValue::U64((*value).into()),
    usize: value => LogValue::U64(*value as u64),
    u128: value => LogValue::U128(*value),
    i64: value => LogValue::I64(*value),
    i32: value => LogValue::I64((*value).into()),
    i16: value => LogValue::I64((*value).into()),
    i8: value => LogValue::I64((*value).into()),
    isize: value => LogValue::I64(*value as i64),
    i128: value => LogValue::I128(*value),
    bool: value => LogValue::Bool(*value),
    f64: value => LogValue::F64(*value),
    f32: value => LogValue::F32(*value),
    Arc<str>: value => LogValue::Str(value),
    Box<str>: value => LogValue::Str(value),
    Arc<String>: value => LogValue::Str(value),
    Cow<'static, str>: value => LogValue::Str(value),
    NonZero<u64>: value => LogValue::U64(value.get()),
    NonZero<u32>: value => LogValue::U64(value.get().into()),
    NonZero<u16>: value => LogValue::U64(value.get().into()),
    NonZero<u8>: value => LogValue::U64(value.get().into()),
    NonZero<usize>: value => LogValue::U64(value.get() as u64),
    NonZero<u128>: value => LogValue::U128(value.get()),
    NonZero<i64>: value => LogValue::I64(value.get()),
    NonZero<i32>: value => LogValue::I64(value.get().into()),
    NonZero<i16>: value => LogValue::I64(value.get().into()),
    NonZero<i8>: value => LogValue::I64(value.get().into()),
    NonZero<isize>: value => LogValue::I64(value.get() as i64),
    NonZero<i128>: value => LogValue::I128(value.get()),
}

impl Primitive for str {
    fn to_log_value(&self) -> LogValue<'_> {
        LogValue::Str(self)
    }
}

/// Passes a value to `visit` in its primitive form, or with its `Display`.
pub(crate) fn show_display<T: fmt::Display + 'static>(value: &T, visit: &mut dyn FnMut(LogValue<'_>)) {
    visit(primitive(value).unwrap_or(LogValue::Display(value)));
}
