//! Jobs that wait in a database, each with the context of the request that stored it.
//!
//! One process handles requests and stores a job for each: a row with the job's input and the request's
//! context. After a restart, another process runs the jobs. Their log lines and results have the request's
//! id, tenant and locale, although no argument of a job identifies the request.
//!
//! ```console
//! $ cargo run -p stored_jobs    # runs both processes, checks all rows and log lines, and exits
//! ```

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use contextvar::tracing::ContextFormat;
use contextvar::{baggage, context_var, copy_context, task, with_copied_context};
use futures::stream::{self, StreamExt, TryStreamExt};
use rusqlite::Connection;
use tokio::process::Command;
use tracing::{info, warn};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[context_var(name = "request_id", log, baggage = "request.id")]
static REQUEST_ID: Uuid;

#[context_var(name = "tenant", log, baggage = "tenant")]
static TENANT: String;

#[context_var(name = "locale", log, baggage = "locale")]
static LOCALE: String = "en".to_owned();

/// Is in the logs of the requests, and is not stored with the jobs.
#[context_var(name = "client", log)]
static CLIENT: String;

// The first process: requests that store jobs.

async fn handle_requests(database: PathBuf) -> Result<()> {
    open(&database)?.execute_batch(
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, input TEXT, context TEXT);
         CREATE TABLE results (job INTEGER, request_id TEXT, tenant TEXT, locale TEXT, output TEXT)",
    )?;
    let requests = stream::iter(0..REQUESTS).map(|n| request(&database, n));
    requests.buffer_unordered(32).try_collect().await
}

#[with_copied_context(REQUEST_ID = Uuid::new_v4(), TENANT = tenant(n), CLIENT = "check".to_owned())]
async fn request(database: &Path, n: usize) -> Result<()> {
    if let Some(locale) = locale(n) {
        LOCALE.set(locale.to_owned());
    }
    tokio::task::yield_now().await;
    store_job(database.to_owned(), input(n)).await
}

/// Stores a job with the context of its caller.
async fn store_job(database: PathBuf, input: String) -> Result<()> {
    let stored = task::spawn_blocking(move || {
        let context = serde_json::to_string(&baggage::store(&copy_context()))?;
        let insert = "INSERT INTO jobs (input, context) VALUES (?1, ?2)";
        open(&database)?.execute(insert, (input, context))?;
        info!("stored");
        Ok(())
    });
    stored.await?
}

// The second process: a worker that runs the jobs.

struct Job {
    id: i64,
    input: String,
    context: String,
}

async fn run_jobs(database: PathBuf) -> Result<()> {
    let jobs = read_jobs(&database)?;
    let jobs = stream::iter(jobs).map(|job| start(&database, job));
    jobs.buffer_unordered(32).try_collect().await
}

/// Starts a job in the context that was stored with it.
async fn start(database: &Path, job: Job) -> Result<()> {
    let entries: BTreeMap<String, String> = serde_json::from_str(&job.context)?;
    let (mut context, ignored) = baggage::restore(entries);
    // A newer or older version of the program may have stored the job.
    context.run(|| ignored.iter().for_each(|error| warn!("{error}")));
    tokio::spawn(context.scope(run(database.to_owned(), job.id, job.input))).await?
}

async fn run(database: PathBuf, id: i64, input: String) -> Result<()> {
    tokio::task::yield_now().await;
    let output = work(&input).await;
    task::spawn_blocking(move || {
        let row = (id, REQUEST_ID.get().to_string(), TENANT.get(), LOCALE.get(), output);
        open(&database)?.execute("INSERT INTO results VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
        info!("done");
        Ok(())
    })
    .await?
}

async fn work(input: &str) -> String {
    info!("working");
    format!("{} for {}", input.to_uppercase(), TENANT.get())
}

fn read_jobs(database: &Path) -> Result<Vec<Job>> {
    let connection = open(database)?;
    let mut select = connection.prepare("SELECT id, input, context FROM jobs")?;
    let jobs =
        select.query_map((), |row| Ok(Job { id: row.get(0)?, input: row.get(1)?, context: row.get(2)? }))?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

// The check.

const REQUESTS: usize = 200;

fn tenant(n: usize) -> String {
    format!("tenant {}, 100% \"größe\"", n % 7)
}

fn locale(n: usize) -> Option<&'static str> {
    [None, Some("fr"), Some("de")][n % 3]
}

fn input(n: usize) -> String {
    format!("job {n}")
}

async fn check() -> Result<()> {
    let directory = env::temp_dir().join(format!("stored-jobs-{}", Uuid::new_v4()));
    std::fs::create_dir(&directory)?;
    let database = directory.join("jobs.sqlite");
    let stored = run_process("requests", &database).await?;
    // The first process has ended. Only the database has the contexts.
    let done = run_process("jobs", &database).await?;

    let ids = assert_rows(&database)?;
    assert_logs(&stored, &ids, &["stored"], Some("check"));
    assert_logs(&done, &ids, &["working", "done"], None);
    std::fs::remove_dir_all(&directory)?;
    println!(
        "{REQUESTS} jobs ran after a restart: each log line and each result has the id, tenant and locale of \
         its request"
    );
    Ok(())
}

/// Runs another process of this program to its end. Returns its log.
async fn run_process(argument: &str, database: &Path) -> Result<Vec<serde_json::Value>> {
    let mut command = Command::new(env::current_exe()?);
    let output = command.arg(argument).arg(database).stderr(Stdio::inherit()).output().await?;
    assert!(output.status.success(), "{argument}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?)
}

/// Asserts that each request has one result. Returns the numbers of the requests by id.
fn assert_rows(database: &Path) -> Result<HashMap<String, usize>> {
    let connection = open(database)?;
    let mut select = connection.prepare(
        "SELECT input, context, request_id, tenant, locale, output FROM jobs JOIN results ON job = id",
    )?;
    let rows = select.query_map((), |row| {
        let columns: [String; 6] =
            [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        Ok(columns)
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    assert_eq!(rows.len(), REQUESTS);
    let mut ids = HashMap::new();
    for [input, context, id, job_tenant, job_locale, output] in rows {
        let n: usize = input.strip_prefix("job ").ok_or("an input of this program")?.parse()?;
        assert_eq!((&job_tenant, &*job_locale), (&tenant(n), locale(n).unwrap_or("en")));
        assert_eq!(output, format!("JOB {n} for {job_tenant}"));
        // The job's context has what the request set, and no defaults.
        let context: BTreeMap<String, String> = serde_json::from_str(&context)?;
        assert_eq!(context.get("locale").map(String::as_str), locale(n));
        assert_eq!((&context["request.id"], &context["tenant"]), (&id, &job_tenant));
        ids.insert(id, n);
    }
    assert_eq!(ids.len(), REQUESTS);
    Ok(ids)
}

fn assert_logs(
    lines: &[serde_json::Value],
    ids: &HashMap<String, usize>,
    messages: &[&str],
    client: Option<&str>,
) {
    assert_eq!(lines.len(), ids.len() * messages.len());
    for (id, &n) in ids {
        for message in messages {
            let is_it = |line: &&serde_json::Value| {
                line["fields"]["request_id"] == **id && line["fields"]["message"] == **message
            };
            let found: Vec<_> = lines.iter().filter(is_it).collect();
            assert_eq!(found.len(), 1, "{message} of job {n}");
            let shown = ["tenant", "locale", "client"].map(|name| found[0]["fields"][name].as_str());
            assert_eq!(shown, [Some(&*tenant(n)), locale(n), client]);
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [process, database] = &arguments[..] else { return check().await };
    tracing_subscriber::fmt().json().map_event_format(ContextFormat::new).init();
    match process.to_str() {
        Some("requests") => handle_requests(PathBuf::from(database)).await,
        Some("jobs") => run_jobs(PathBuf::from(database)).await,
        _ => Err("usage: stored_jobs [requests DATABASE-FILE | jobs DATABASE-FILE]".into()),
    }
}
