//! `Scoped` around sinks: each step runs in the context.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Waker};

use contextvar::{Context, context_var, task};
use futures::channel::mpsc;
use futures::sink::{self, Sink, SinkExt};
use futures::stream::{Stream, StreamExt};

use crate::support::{Log, on_both_flavors, panic_text};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static HELD: Arc<()>;

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned())
}

#[test]
fn a_sink_runs_each_step_in_its_context() {
    /// Logs each step with the user of its context.
    struct Steps(Log);

    impl Steps {
        fn note(&self, step: &str) -> Poll<Result<(), io::Error>> {
            self.0.push(format!("{step} {}", USER.get()));
            USER.set(format!("after {step}"));
            Poll::Ready(Ok(()))
        }
    }

    impl Sink<u8> for Steps {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("ready")
        }

        fn start_send(self: Pin<&mut Self>, item: u8) -> io::Result<()> {
            let _ = self.note(&format!("send {item}"));
            if item == 2 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("flush")
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("close")
        }
    }

    impl Drop for Steps {
        fn drop(&mut self) {
            let _ = self.note("drop");
        }
    }

    let log = Log::default();
    futures::executor::block_on(async {
        let mut sink = Box::pin(ada().scope(Steps(log.clone())));
        sink.send(1).await.unwrap();
        assert_eq!(sink.send(2).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        SinkExt::<u8>::close(&mut sink).await.unwrap();
        assert_eq!(sink.context()[&USER], "after close");
        drop(sink);
        assert_eq!(USER.get(), "nobody");
    });
    let steps = [
        "ready ada",
        "send 1 after ready",
        "flush after send 1",
        "ready after flush",
        "send 2 after ready",
        "close after send 2",
        "drop after close",
    ];
    assert_eq!(log.take(), steps);
}

#[test]
fn a_channel_as_a_sink() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let (sender, receiver) = mpsc::channel::<String>(4);
        let ctx = ada().with_value(&HELD, held.clone());
        let with_user = sender.with(|text: &str| {
            let line = format!("{}: {text}", USER.get());
            async { Ok::<_, mpsc::SendError>(line) }
        });
        let mut sink = Box::pin(ctx.scope(with_user));
        sink.send("hello").await.unwrap();
        task::spawn(async move { sink.send("from a task").await.unwrap() }).await.unwrap();
        assert_eq!(receiver.collect::<Vec<_>>().await, ["ada: hello", "ada: from a task"]);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_sink_that_is_also_a_stream() {
    struct Duplex(Option<u8>);

    impl Stream for Duplex {
        type Item = u8;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<u8>> {
            Poll::Ready(self.0.take())
        }
    }

    impl Sink<u8> for Duplex {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, item: u8) -> Result<(), Infallible> {
            self.0 = Some(item);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
    }

    let text = "sent to a `Scoped` whose stream has ended, which dropped the sink as well: split it first, and wrap \
                the halves\nsee https://docs.rs/contextvar/latest/contextvar/guide/errors#sink-after-its-stream";
    futures::executor::block_on(async {
        let mut both = pin!(ada().scope(Duplex(None)));
        both.send(1).await.unwrap();
        assert_eq!(both.next().await, Some(1));
        assert_eq!(both.next().await, None);
        both.flush().await.unwrap();
        both.close().await.unwrap();
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert_eq!(panic_text(|| both.as_mut().poll_ready(&mut cx)), text);
        assert_eq!(panic_text(|| both.as_mut().start_send(2)), text);
        assert_eq!(USER.get(), "nobody");

        // A sink that is also a stream can be split first, and each half scoped.
        let (sink, stream) = Duplex(Some(1)).split();
        let (mut sink, mut stream) = (pin!(ada().scope(sink)), pin!(ada().scope(stream)));
        assert_eq!((stream.next().await, stream.next().await), (Some(1), None));
        sink.send(2).await.unwrap();
    });
}

#[test]
fn a_panic_in_a_sink_restores_the_context() {
    futures::executor::block_on(async {
        let panics = |(): ()| async {
            if USER.is_set() { panic!("in {}", USER.get()) } else { Ok::<(), Infallible>(()) }
        };
        let mut sink = pin!(ada().scope(sink::drain::<()>().with(panics)));
        let send = std::panic::AssertUnwindSafe(sink.send(()));
        let panic = futures::FutureExt::catch_unwind(send).await.unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), "in ada");
        assert_eq!(USER.get(), "nobody");
    });
}
