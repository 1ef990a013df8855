//! Temporary.
use contextvar::{ContextVar, InContext, task};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

static NUMBER: ContextVar<u64> = ContextVar::new("number");

struct YieldNow(bool);
impl Future for YieldNow {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
async fn endless() {
    loop {
        YieldNow(false).await
    }
}

thread_local! { static D: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
struct R(u32);
impl Drop for R {
    fn drop(&mut self) {
        D.set(self.0);
    }
}

fn main() {
    let mut a = std::env::args().skip(1);
    let what = a.next().unwrap();
    let how = a.next().unwrap();
    let n: u64 = a.next().unwrap().parse().unwrap();
    let mut ctx = contextvar::Context::new().with_value(&NUMBER, 1);
    #[cfg(feature = "carry")]
    match &*how {
        "sub" => tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap(),
        #[cfg(feature = "registered")]
        "reg" => {
            D.set(1);
            contextvar::carry::register(contextvar::carry::Ambient::guarded(
                || Some(D.get()),
                |d| R(D.replace(*d)),
            ));
        }
        "regnone" => {
            #[cfg(feature = "registered")]
            contextvar::carry::register(contextvar::carry::Ambient::guarded(
                || None::<u32>,
                |d| R(D.replace(*d)),
            ));
        }
        _ => {}
    }
    let _ = (&how, R(0));
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match &*what {
        "scope" => {
            let mut f = pin!(ctx.scope(endless()));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..n {
                black_box(f.as_mut().poll(&mut cx).is_pending());
            }
        }
        "plain" => {
            let mut f = pin!(endless());
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..n {
                black_box(f.as_mut().poll(&mut cx).is_pending());
            }
        }
        "inherited" => {
            let mut f = pin!(ctx.run(|| endless().in_inherited_context()));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..n {
                black_box(f.as_mut().poll(&mut cx).is_pending());
            }
        }
        // Each poll of the task, with tokio's part.
        "taskpoll" | "plainpoll" => {
            let polls = async move {
                for _ in 0..n {
                    YieldNow(false).await
                }
            };
            let t = if what == "taskpoll" {
                rt.block_on(async { ctx.run(|| task::spawn(polls)) })
            } else {
                rt.spawn(polls)
            };
            rt.block_on(t).unwrap();
        }
        "spawn" => {
            let f = ctx.scope(async move {
                for _ in 0..n {
                    black_box(task::spawn(async { NUMBER.get() }).await.unwrap());
                }
            });
            rt.block_on(async { tokio::spawn(f).await.unwrap() });
        }
        "plainspawn" => {
            let f = ctx.scope(async move {
                for _ in 0..n {
                    black_box(tokio::spawn(async { 1u64 }).await.unwrap());
                }
            });
            rt.block_on(async { tokio::spawn(f).await.unwrap() });
        }
        _ => panic!(),
    }
}
