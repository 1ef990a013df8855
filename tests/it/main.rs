mod adapters;
mod asyncio;
mod auto_traits;
mod baggage;
mod containers;
mod coroutines;
mod empty;
mod fidelity;
mod following;
mod logging;
mod other_macros;
mod properties;
mod rivals;
mod rules;
mod servers;
mod shapes;
#[path = "../core/support.rs"]
mod support;
