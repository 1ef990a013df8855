use std::convert::Infallible;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Response};

use super::response_header::WriteHeader;
use crate::hand_over::Place;
use crate::inherit::Carried;

/// What a layer does with each request.
pub(super) struct Settings<R> {
    pub(super) copies_current: bool,
    /// Where the layer was made.
    pub(super) place: Place,
    pub(super) setters: Vec<Setter<R>>,
    #[cfg(feature = "baggage")]
    pub(super) extracts_trace: bool,
    /// `None` costs a response less than an empty slice.
    pub(super) response_headers: Option<Arc<[WriteHeader]>>,
}

/// Sets a variable in the current context, or returns the response that rejects the request.
pub(super) enum Setter<R> {
    Set(Arc<dyn Fn(&Parts) + Send + Sync>),
    SetOrReject(Arc<TrySet<R>>),
}

type TrySet<R> = dyn Fn(&Parts) -> Result<(), R> + Send + Sync;

impl<R> Settings<R> {
    pub(super) fn new(copies_current: bool, place: Place) -> Self {
        Settings {
            copies_current,
            place,
            setters: Vec::new(),
            #[cfg(feature = "baggage")]
            extracts_trace: false,
            response_headers: None,
        }
    }

    /// Converts the settings of a layer to those of a layer that can reject.
    pub(super) fn widen<B>(self) -> Settings<Response<B>>
    where
        R: Rejection<B>,
    {
        Settings {
            copies_current: self.copies_current,
            place: self.place,
            setters: self.setters.into_iter().map(R::widen).collect(),
            #[cfg(feature = "baggage")]
            extracts_trace: self.extracts_trace,
            response_headers: self.response_headers,
        }
    }

    /// Returns the trace that the request belongs to, if the layer extracts it.
    #[inline]
    pub(super) fn carried(&self, _headers: &HeaderMap) -> Carried {
        #[cfg(feature = "baggage")]
        if self.extracts_trace {
            let trace = crate::baggage::trace::extract_headers(_headers);
            return trace.map_or(Carried::NOTHING, Carried::opentelemetry);
        }
        Carried::NOTHING
    }

    /// Sets the variables from the request.
    pub(super) fn set_variables(&self, request: &Parts) -> Result<(), R> {
        for setter in &self.setters {
            match setter {
                Setter::Set(set) => set(request),
                Setter::SetOrReject(set) => set(request)?,
            }
        }
        Ok(())
    }
}

impl<R> Clone for Settings<R> {
    fn clone(&self) -> Self {
        Settings {
            copies_current: self.copies_current,
            place: self.place,
            setters: self.setters.clone(),
            #[cfg(feature = "baggage")]
            extracts_trace: self.extracts_trace,
            response_headers: self.response_headers.clone(),
        }
    }
}

impl<R> Clone for Setter<R> {
    fn clone(&self) -> Self {
        match self {
            Setter::Set(set) => Setter::Set(set.clone()),
            Setter::SetOrReject(set) => Setter::SetOrReject(set.clone()),
        }
    }
}

/// The type of a [`ContextLayer`](super::ContextLayer)'s rejections: `Infallible` if it rejects nothing, or
/// `Response<B>`.
#[diagnostic::on_unimplemented(
    message = "the layer rejects requests with another type of body than the service's",
    note = "`ContextLayer::set_or_reject` needs a `Response` with the type of body that the inner service responds with",
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#rejection-with-another-body"
)]
pub trait Rejection<B>: sealed::Widen<B> {}

impl<B> Rejection<B> for Infallible {}
impl<B> Rejection<B> for Response<B> {}

mod sealed {
    use std::convert::Infallible;

    use http::Response;

    use super::Setter;

    pub trait Widen<B>: Sized {
        fn into_response(self) -> Response<B>;

        /// Converts a setter of a layer to one of a layer that can reject.
        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setter: Setter<Self>) -> Setter<Response<B>>;
    }

    impl<B> Widen<B> for Infallible {
        fn into_response(self) -> Response<B> {
            match self {}
        }

        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setter: Setter<Self>) -> Setter<Response<B>> {
            match setter {
                Setter::Set(set) => Setter::Set(set),
                Setter::SetOrReject(_) => unreachable!("a layer of `Infallible` has none that reject"),
            }
        }
    }

    impl<B> Widen<B> for Response<B> {
        fn into_response(self) -> Response<B> {
            self
        }

        #[expect(private_interfaces, reason = "sealed")]
        fn widen(setter: Setter<Self>) -> Setter<Response<B>> {
            setter
        }
    }
}
