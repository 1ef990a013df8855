//! tracing-journald.

// Recipe

use contextvar::tracing::record_in_span;
use tracing::{Instrument, field, info_span};

async fn in_request_span<F: Future>(request: F) -> F::Output {
    let span = info_span!("request", request_id = field::Empty, tenant = field::Empty);
    record_in_span(&span);
    request.instrument(span).await
}

// Test

use std::fs;
use std::iter;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;

use tracing::info;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::{assert_lines, in_process, is_own_process, run_requests_in};

/// The layer writes to a socket at a fixed path, so the test has a `/run` of its own. That needs the right to
/// mount one.
#[test]
fn a_record_has_the_variables() {
    const MOUNT: &str = "mount -t tmpfs tmpfs /run";
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    if !is_own_process() && !unshare(MOUNT).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no right to mount a `/run` for the socket of journald");
        return;
    }
    let mut this = unshare(&format!("{MOUNT} && exec \"$0\" \"$@\""));
    this.arg(std::env::current_exe().unwrap());
    in_process(this, "journald::a_record_has_the_variables", || {
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let socket = "/run/systemd/journal/socket";
        let journal = UnixDatagram::bind(socket).unwrap();
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let datagrams = iter::repeat_with(|| {
                let length = journal.recv(&mut buffer).unwrap();
                buffer[..length].to_vec()
            });
            datagrams.take_while(|datagram| datagram != b"end").collect::<Vec<_>>()
        });
        tracing_subscriber::registry().with(tracing_journald::layer().unwrap()).init();
        let log = |message: std::fmt::Arguments<'_>| info!("{message}");
        run_requests_in(2, log, |request| Box::pin(in_request_span(request)));
        UnixDatagram::unbound().unwrap().send_to(b"end", socket).unwrap();

        let datagrams = reader.join().unwrap();
        // The first one is empty: the layer finds out whether there is a journal.
        let records: Vec<_> = datagrams[1..].iter().map(|datagram| fields(datagram)).collect();
        let value = |record: &[(String, String)], name: &str| {
            let mut values = record.iter().filter(|field| field.0 == name).map(|field| field.1.clone());
            let value = values.next();
            assert_eq!(values.next(), None, "{name} is in the record twice: {record:?}");
            value
        };
        let lines = records.iter().map(|record| {
            let [message, id, tenant] =
                ["MESSAGE", "F_REQUEST_ID", "F_TENANT"].map(|name| value(record, name));
            format!("{} {id:?} {tenant:?}", message.unwrap())
        });
        assert_lines(&lines.collect::<Vec<_>>().join("\n"), 2, |message, n| {
            let (id, tenant) = (n.map(|n| n.to_string()), n.map(|n| format!("tenant {n}")));
            format!("{message} {id:?} {tenant:?}")
        });
    });
}

/// Returns the fields of a record in the journal's own format: a name and a line break, the length of the
/// value in 8 bytes, the value and a line break; or `name=value` in a line.
fn fields(mut record: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Vec::new();
    while let Some(end) = record.iter().position(|byte| b"\n=".contains(byte)) {
        let name = text(&record[..end]);
        let (is_line, rest) = (record[end] == b'=', &record[end + 1..]);
        let (value, rest) = if is_line {
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap();
            (&rest[..length], &rest[length + 1..])
        } else {
            let (length, rest) = rest.split_first_chunk().unwrap();
            let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            (value, &rest[1..])
        };
        fields.push((name, text(value)));
        record = rest;
    }
    fields
}
