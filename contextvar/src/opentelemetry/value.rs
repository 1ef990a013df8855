//! Values of variables as values of attributes.

use ::opentelemetry::logs::AnyValue;

use crate::log::{LogValue, to_text};

/// Returns a number, a boolean or text. A number that is no `i64` and no `f64` is text.
pub(super) fn scalar<V>(value: &LogValue<'_>) -> V
where
    V: From<bool> + From<i64> + From<f64> + From<String>,
{
    match *value {
        LogValue::Bool(value) => value.into(),
        LogValue::I64(value) => value.into(),
        LogValue::U64(value) => i64::try_from(value).map_or_else(|_| value.to_string().into(), V::from),
        LogValue::F32(value) => f64::from(value).into(),
        LogValue::F64(value) => value.into(),
        LogValue::Str(value) | LogValue::Json(value) => value.to_owned().into(),
        value => to_text(&value).into(),
    }
}

/// Returns the same as [`scalar`], except that JSON is a map, a list or a scalar.
pub(super) fn structured(value: &LogValue<'_>) -> AnyValue {
    #[cfg(feature = "serde")]
    if let LogValue::Json(text) = *value {
        let json = serde_json::from_str(text).ok().and_then(any_value);
        return json.unwrap_or_else(|| scalar(value));
    }
    scalar(value)
}

/// Returns `None` for `null`, which a log record cannot hold. A map leaves it out; a list shows it as text,
/// so that the other elements keep their places.
#[cfg(feature = "serde")]
fn any_value(json: serde_json::Value) -> Option<AnyValue> {
    use ::opentelemetry::Key;
    use serde_json::Value as Json;

    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, None) => number.as_f64().map_or_else(|| number.to_string().into(), AnyValue::from),
            // Larger than an `i64`.
            (None, Some(_)) => number.to_string().into(),
        },
        Json::String(text) => text.into(),
        Json::Array(list) => {
            let element = |json| any_value(json).unwrap_or_else(|| "null".into());
            AnyValue::ListAny(Box::new(list.into_iter().map(element).collect()))
        }
        Json::Object(map) => {
            let member = |(key, json)| Some((Key::from(key), any_value(json)?));
            AnyValue::Map(Box::new(map.into_iter().filter_map(member).collect()))
        }
    })
}
