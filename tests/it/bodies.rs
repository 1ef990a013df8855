//! `Scoped` around HTTP bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use bytes::Bytes;
use contextvar::{Context, Scoped, context_var};
use futures::stream::{self, StreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};

use crate::support::on_both_flavors;

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static HELD: Arc<()>;

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned())
}

fn events(held: &Arc<()>) -> Scoped<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let events = stream::iter(0..3).map(|n| {
        let event = format!("{n} {}\n", USER.get());
        USER.set(format!("{}!", USER.get()));
        Ok(Frame::data(Bytes::from(event)))
    });
    ada().with_value(&HELD, held.clone()).scope(StreamBody::new(events))
}

#[test]
fn a_body_runs_in_its_context_and_drops_it_at_its_end() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let mut body = Box::pin(events(&held));
        assert!(!body.is_end_stream());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first, Arc::strong_count(&held)), ("0 ada\n".into(), 2));
        USER.set("the server's".to_owned());
        assert_eq!((&mut body).collect().await.unwrap().to_bytes(), "1 ada!\n2 ada!!\n");
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(body.frame().await.is_none() && body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(USER.get(), "the server's");
        // A body that is dropped unfinished.
        let mut body = Box::pin(events(&held));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_body_that_knows_its_end_is_dropped_in_its_context_with_the_last_frame() {
    /// Yields frames, and knows which one is the last. Reports which context it is dropped in.
    struct Counted(u8, mpsc::Sender<String>);

    impl Body for Counted {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(USER.get())))))
        }

        fn is_end_stream(&self) -> bool {
            self.0 == 0
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.send(USER.get()).unwrap();
        }
    }

    on_both_flavors(|| async {
        let (held, (sender, dropped)) = (Arc::new(()), mpsc::channel());
        let mut body = Box::pin(ada().with_value(&HELD, held.clone()).scope(Counted(2, sender)));
        body.frame().await.unwrap().unwrap();
        assert!(dropped.try_recv().is_err() && !body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ada");
        assert_eq!((dropped.try_recv(), Arc::strong_count(&held)), (Ok("ada".to_owned()), 1));
        assert!(body.is_end_stream() && body.frame().await.is_none());
    });
}

#[test]
fn a_body_forwards_size_end_and_trailers() {
    let full = Context::new().scope(Full::new(Bytes::from("12345")));
    assert_eq!(full.size_hint().exact(), Some(5));
    assert!(!full.is_end_stream());
    let empty = Context::new().scope(Empty::<Bytes>::new());
    assert!(empty.is_end_stream());

    /// Yields an error, then trailers, then the end.
    struct Trailers(u8);

    impl Body for Trailers {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            self.0 += 1;
            Poll::Ready(match self.0 {
                1 => Some(Err("an error")),
                2 => Some(Ok(Frame::trailers(
                    [("user".parse().unwrap(), USER.get().parse().unwrap())].into_iter().collect(),
                ))),
                _ => None,
            })
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }

    futures::executor::block_on(async {
        let mut body = Box::pin(ada().scope(Trailers(0)));
        assert_eq!(body.size_hint().exact(), Some(7));
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "an error");
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["user"], "ada");
        assert!(body.frame().await.is_none());
    });
}
