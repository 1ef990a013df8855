//! tracing's `Instrument`, with a subscriber that only stores spans. A span carries fields for subscribers
//! and no values for the program, so only polls and spawns are measured, with one span for any number of
//! variables.

use std::sync::Once;

use tracing::{Instrument, Span, info_span};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Peer, pinned};
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

pub(crate) struct Tracing;

fn span() -> Span {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| tracing_subscriber::registry().init());
    info_span!("request", number = 1)
}

impl Peer for Tracing {
    fn name(&self) -> &'static str {
        "tracing Instrument"
    }

    fn library(&self) -> Option<String> {
        pinned("tracing")
    }

    fn run(&mut self, operation: Operation, _variables: usize, meter: Meter) -> Option<Reading> {
        Some(match operation {
            Operation::Poll | Operation::PollHandedOver => {
                work::polls(meter, work::endless().instrument(span()))
            }
            Operation::SpawnCurrentThread => {
                let spawns = work::spawns(meter, spawn).instrument(span());
                work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::SpawnMultiThread => {
                let spawns = work::spawns(meter, spawn).instrument(span());
                work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            _ => return None,
        })
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        Some(size_of_val(&work::with_a_word(1).instrument(Span::none())) - size_of_val(&work::with_a_word(1)))
    }
}

fn spawn() -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async { 1 }.in_current_span())
}
