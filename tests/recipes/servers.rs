//! The programs of the first half of the page `recipes`.

mod authentication;
mod catch_panic;
mod connections;
mod log_level;
mod log_lines;
mod main_values;
mod panic_messages;
mod re_export;
mod request_id;
mod support;
mod trace_layer;
mod websockets;
mod whole_service;
