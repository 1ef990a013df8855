//! Three processes and a message broker, NATS. The values of a request travel in the headers of its message,
//! also when the broker delivers the message a second time.
//!
//! The producer publishes each message in the context of its own request, with baggage and `traceparent`. Two
//! consumers share the messages. A consumer handles each message in a context of its own: it writes a row to a
//! SQLite file and logs a line, both with the values of the variables. The first consumer is killed while it
//! holds messages that it has not acknowledged, and the broker delivers them to the second.
//!
//! ```console
//! $ apt-get install nats-server    # or from https://github.com/nats-io/nats-server/releases
//! $ cargo run -p broker     # starts NATS and the processes, sends 1000 messages, checks everything, and exits
//! ```

use std::collections::{HashMap, HashSet};
use std::env;
use std::error::Error;
use std::future;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, Message, stream};
use contextvar::tracing::ContextFormat;
use contextvar::{Context, baggage, context_var, task};
use futures::{StreamExt, TryStreamExt};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{FutureExt, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{self, UnboundedSender};
use tracing::{Level, info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use uuid::Uuid;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

// The variables of all processes.

#[context_var(name = "message_id", log, baggage = "message.id")]
static MESSAGE_ID: Uuid;

#[context_var(name = "tenant", log, baggage = "tenant")]
static TENANT: String;

#[context_var(name = "locale", log, baggage = "locale")]
static LOCALE: String;

#[context_var(name = "deadline_ms", log = |it| it.as_millis(), baggage = "deadline", codec = Milliseconds)]
static DEADLINE: Duration;

/// Is in logs. OpenTelemetry's header `traceparent` carries it.
#[context_var(name = "trace_id", log)]
static TRACE_ID: TraceId;

struct Milliseconds;

impl baggage::Codec<Duration> for Milliseconds {
    fn encode(value: &Duration) -> String {
        value.as_millis().to_string()
    }

    fn decode(text: &str) -> Option<Duration> {
        text.parse().ok().map(Duration::from_millis)
    }
}

// The headers of a message.

struct Headers(HeaderMap);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value);
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

// The producer.

const MESSAGES: usize = 1000;

/// How many requests or messages a process handles at a time.
const OVERLAPPING: usize = 64;

async fn produce(server: &str) -> Result<()> {
    let jetstream = jetstream::new(async_nats::connect(server).await?);
    let tracer = &SdkTracerProvider::default();
    let request = |n| Context::new().scope(request(jetstream.clone(), tracer, n));
    futures::stream::iter((0..MESSAGES).map(Ok)).try_for_each_concurrent(OVERLAPPING, request).await
}

async fn request(jetstream: jetstream::Context, tracer: &SdkTracerProvider, n: usize) -> Result<()> {
    let (body, message_id) = (format!("order {n}"), Uuid::new_v4());
    let (tenant, locale) = (format!("tenant {}, with a comma", n % 7), ["en", "fr", "de"][n % 3]);
    let trace = opentelemetry::Context::new().with_span(tracer.tracer("producer").start("request"));
    let trace_id = trace.span().span_context().trace_id().to_string();
    // What the check expects.
    let values = json!({ "body": body, "message_id": message_id.to_string(), "tenant": tenant, "locale": locale,
        "deadline_ms": 500 + n, "trace_id": trace_id });
    println!("{values}");

    MESSAGE_ID.set(message_id);
    TENANT.set(tenant);
    LOCALE.set(locale.to_owned());
    DEADLINE.set(Duration::from_millis(500 + n as u64));
    // Meanwhile, other requests set the same variables in their contexts.
    tokio::task::yield_now().await;
    // The task inherits the variables and the trace.
    async { task::spawn(publish(jetstream, body)).await? }.with_context(trace).await
}

async fn publish(jetstream: jetstream::Context, body: String) -> Result<()> {
    let mut headers = Headers(HeaderMap::new());
    baggage::inject(&mut headers);
    jetstream.publish_with_headers("orders", headers.0, body.into()).await?.await?;
    Ok(())
}

// The consumers.

/// The first consumer takes some messages and then no more. It holds some of them and handles the others.
const TAKEN: usize = 250;
const HELD: usize = 50;

/// Handles messages until the process is killed.
async fn consume(server: &str, database: &str, is_first: bool) -> Result<()> {
    let database = Connection::open(database)?;
    database.busy_timeout(Duration::from_secs(30))?;
    // The file does not outlive the check.
    database.pragma_update(None, "synchronous", false)?;
    let database = Arc::new(Mutex::new(database));
    let client = async_nats::connect(server).await?;
    let jetstream = jetstream::new(client.clone());
    let consumer: PullConsumer = jetstream.get_consumer_from_stream("consumers", "orders").await?;
    let messages = if is_first {
        let batch = consumer.batch().max_messages(TAKEN).expires(Duration::from_secs(60)).messages().await?;
        client.flush().await?;
        info!("ready");
        batch.boxed()
    } else {
        consumer.messages().await?.err_into().boxed()
    };
    let messages = messages.enumerate().map(|(n, message)| Ok((message?, is_first && n < HELD)));
    let receive = |(message, is_held)| receive(message, database.clone(), is_held);
    messages.try_for_each_concurrent(OVERLAPPING, receive).await
}

async fn receive(mut message: Message, database: Arc<Mutex<Connection>>, is_held: bool) -> Result<()> {
    let headers = Headers(message.message.headers.take().unwrap_or_default());
    let received = baggage::receive(&headers);
    received.errors().iter().for_each(|error| warn!("{error}"));
    // Runs in the message's own context and trace.
    let work = async {
        TRACE_ID.set(current_trace());
        // Meanwhile, other messages set the same variables in their contexts.
        tokio::task::yield_now().await;
        task::spawn(handle(message, database, is_held)).await?
    };
    received.scope(work).await
}

fn current_trace() -> TraceId {
    opentelemetry::Context::map_current(|trace| trace.span().span_context().trace_id())
}

async fn handle(message: Message, database: Arc<Mutex<Connection>>, is_held: bool) -> Result<()> {
    let body = String::from_utf8(message.payload.to_vec())?;
    let delivery = message.info()?.delivered;
    if is_held {
        info!(body, delivery, "held");
        return future::pending().await;
    }
    let item = body.clone();
    task::spawn_blocking(move || insert(&database.lock().expect("`insert` does not panic"), &item)).await??;
    // Waits until the broker has the acknowledgment.
    message.double_ack().await?;
    info!(body, delivery, "stored");
    Ok(())
}

/// Takes the values of the request from the variables. A message that was delivered twice has one row.
fn insert(database: &Connection, body: &str) -> rusqlite::Result<usize> {
    let deadline = DEADLINE.get().as_millis() as u64;
    database.execute(
        "INSERT OR IGNORE INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            body,
            MESSAGE_ID.get().to_string(),
            TENANT.get(),
            LOCALE.get(),
            deadline,
            current_trace().to_string(),
        ),
    )
}

// The check.

/// Values of a message, in the producer's lines, in logs and in rows.
const VALUES: [&str; 6] = ["body", "message_id", "tenant", "locale", "deadline_ms", "trace_id"];

/// The broker delivers a message again if it is not acknowledged in this time.
const ACK_WAIT: Duration = Duration::from_secs(5);

async fn check() -> Result<()> {
    let nats = Nats::start()?;
    let jetstream = jetstream::new(async_nats::connect(&nats.address).await?);
    let orders = stream::Config { name: "orders".to_owned(), ..Default::default() };
    let shared = Some("consumers".to_owned());
    let shared = pull::Config { durable_name: shared, ack_wait: ACK_WAIT, ..Default::default() };
    let consumer = jetstream.create_stream(orders).await?.create_consumer(shared).await?;
    let database = nats.directory.join("orders.sqlite");
    let table = format!("CREATE TABLE orders ({}, UNIQUE (body))", VALUES.join(", "));
    Connection::open(&database)?.execute(&table, ())?;

    let (sender, mut lines) = mpsc::unbounded_channel();
    let start = |role| start(role, &nats.address, &database, &sender);
    let mut first = start("first")?;
    // The broker divides the messages among the consumers that wait for some, so the first one gets its share.
    let (_, ready) = lines.recv().await.expect("the channel is open");
    assert_eq!(ready.ok_or("the first consumer has ended")?["message"], "ready");
    let mut second = start("second")?;
    let mut producer = start("producer")?;

    let expected = HashMap::from([("producer", MESSAGES), ("first", TAKEN), ("second", usize::MAX)]);
    let mut logs: HashMap<_, Vec<Value>> = expected.keys().map(|role| (*role, Vec::new())).collect();
    let mut stored = HashSet::new();
    while logs["producer"].len() < MESSAGES || logs["first"].len() < TAKEN || stored.len() < MESSAGES {
        let (role, line) = lines.recv().await.expect("the channel is open");
        let log = logs.get_mut(role).expect("a role");
        let Some(line) = line else {
            assert_eq!(log.len(), expected[role], "the {role} process has ended");
            continue;
        };
        if line["message"] == "stored" {
            stored.insert(line["body"].clone());
        }
        log.push(line);
        if role == "first" && log.len() == TAKEN {
            first.kill().await?;
        }
    }
    assert!(producer.wait().await?.success());
    second.kill().await?;
    let left = consumer.get_info().await?;
    assert_eq!((left.num_pending, left.num_ack_pending), (0, 0));

    let rows = rows(&database)?;
    let values = |line: &Value| VALUES.map(|name| line[name].clone());
    let sent: HashMap<_, _> = logs["producer"].iter().map(|line| (&line["body"], values(line))).collect();
    assert_eq!((sent.len(), rows.len()), (MESSAGES, MESSAGES));
    for line in logs["first"].iter().chain(&logs["second"]).chain(&rows) {
        assert_eq!(Some(&values(line)), sent.get(&line["body"]), "{line}");
    }
    let delivery = |line: &Value| (line["body"].clone(), line["delivery"].as_u64());
    let held = logs["first"].iter().filter(|line| line["message"] == "held").map(delivery);
    let held: HashMap<_, _> = held.collect();
    let second: HashMap<_, _> = logs["second"].iter().map(delivery).collect();
    let again = held.iter().filter(|(body, delivery)| second.get(*body) > Some(*delivery)).count();
    assert_eq!((held.len(), again), (HELD, HELD));
    println!(
        "{MESSAGES} messages. The first consumer stored {} and held {HELD} when it was killed. The second stored {}, \
         among them those {HELD}. Each log line and each row has the id, tenant, locale, deadline and trace of its \
         message",
        logs["first"].len() - HELD,
        logs["second"].len(),
    );
    Ok(())
}

fn rows(database: &Path) -> Result<Vec<Value>> {
    let connection = Connection::open(database)?;
    let columns = VALUES.map(|name| format!("'{name}', {name}")).join(", ");
    let mut select = connection.prepare(&format!("SELECT json_object({columns}) FROM orders"))?;
    let rows = select.query_map((), |row| row.get::<_, String>(0))?;
    rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
}

/// Starts another process of this program. Its lines of output go to `lines`, and `None` after the last.
fn start(
    role: &'static str,
    server: &str,
    database: &Path,
    lines: &UnboundedSender<(&'static str, Option<Value>)>,
) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(role).arg(server).arg(database).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn()?;
    let mut output = tokio::io::BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
    let lines = lines.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            let _ = lines.send((role, Some(serde_json::from_str(&line).expect("a line of JSON"))));
        }
        let _ = lines.send((role, None));
    });
    Ok(process)
}

const HOW_TO_INSTALL: &str =
    "Install it with `apt-get install nats-server`, or from https://github.com/nats-io/nats-server/releases";

/// A NATS server and its directory. Dropping it stops the server and removes the directory.
struct Nats {
    process: std::process::Child,
    address: String,
    directory: PathBuf,
}

impl Nats {
    fn start() -> Result<Self> {
        let directory = env::temp_dir().join(format!("broker-{}", Uuid::new_v4()));
        let spawn = |program| {
            let mut command = std::process::Command::new(program);
            command.args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir"]);
            command.arg(&directory).stderr(Stdio::piped()).spawn()
        };
        // Debian installs it in a directory that is only in root's `PATH`.
        let process = spawn("nats-server").or_else(|_| spawn("/usr/sbin/nats-server"));
        let process =
            process.map_err(|error| format!("cannot start nats-server: {error}. {HOW_TO_INSTALL}"))?;
        let mut nats = Self { process, address: String::new(), directory };
        let mut log = BufReader::new(nats.process.stderr.take().expect("stderr is piped")).lines();
        while let Some(line) = log.next().transpose()? {
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                nats.address = address.to_owned();
            } else if line.contains("Server is ready") {
                // Reads on, because a process blocks when its pipe is full.
                thread::spawn(|| log.for_each(drop));
                return Ok(nats);
            }
        }
        Err("nats-server has ended".into())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [role, server, database] = &arguments[..] else {
        return tokio::time::timeout(Duration::from_secs(60), check()).await?;
    };
    // The client of NATS logs as well.
    let only_this_program = Targets::new().with_target(module_path!(), Level::INFO);
    let format = tracing_subscriber::fmt().json().flatten_event(true).map_event_format(ContextFormat::new);
    format.finish().with(only_this_program).init();
    if role == "producer" { produce(server).await } else { consume(server, database, role == "first").await }
}
