//! Checks the listed contexts against the shop's own records.

use std::time::Duration;

use axum::http::{Request as HttpRequest, StatusCode};
use contextvar::inspect;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::load::{Client, Request, Result, SECRET};
use crate::pace::Gate;
use crate::{CHECKOUTS, PAGE, PARCELS, RECEIPT_LINES, start_job};

const ROUNDS: u64 = 10;
const REQUESTS_PER_ROUND: u64 = 30;

pub(crate) async fn run(url: &str) -> Result<()> {
    let gate = Gate::close();
    let mut check = Check { page: format!("{url}{PAGE}"), client: Client::new(), snapshots: 0 };
    let mut leaked = Vec::new();
    let mut jobs = 1..;
    let job = start_job();
    for round in 0..ROUNDS {
        let numbers = round * REQUESTS_PER_ROUND..(round + 1) * REQUESTS_PER_ROUND;
        let (mut quick, mut slow) = (JoinSet::new(), JoinSet::new());
        for request in numbers.clone().map(Request) {
            let (client, url) = (check.client.clone(), url.to_owned());
            let answers = if request.path() == "checkout" { &mut slow } else { &mut quick };
            answers.spawn(async move { (request, request.send(&client, &url).await) });
        }
        let of = |path| numbers.clone().map(Request).filter(move |request| request.path() == path);
        let checkouts: Vec<_> = of("checkout").collect();
        leaked.extend(of("track").flat_map(leaked_tree));

        let mut trees = [checkouts.iter().flat_map(checkout_tree).collect(), leaked.clone()].concat();
        trees.extend(jobs.next().into_iter().flat_map(job_tree));
        expect_answers(quick).await?;
        // Each checkout waits in two tasks, a blocking call and a thread; the job waits in one task.
        gate.holds(checkouts.len() * 4 + 1).await?;
        check.expect(trees).await?;
        gate.open();
        for _ in 0..RECEIPT_LINES {
            let mut trees = [checkouts.iter().map(receipt_tree).collect(), leaked.clone()].concat();
            trees.extend(jobs.next().into_iter().flat_map(job_tree));
            gate.holds(checkouts.len() + 1).await?;
            check.expect(trees).await?;
            gate.open();
        }
        expect_answers(slow).await?;
    }
    check.other_answers().await?;

    job.abort();
    let _ = job.await;
    gate.open();
    PARCELS.lock().unwrap().clear();
    check.expect(Vec::new()).await?;
    if !CHECKOUTS.lock().unwrap().is_empty() {
        return Err("a checkout has not ended".into());
    }
    println!("{} requests, {} snapshots: all trees are right", ROUNDS * REQUESTS_PER_ROUND, check.snapshots);
    Ok(())
}

// The expected contexts. Each is a line, with its ancestors before it.

fn checkout_tree(request: &Request) -> [String; 5] {
    let values = values(*request);
    let root = format!("request \"checkout\" {values}");
    let stock = format!("{root} > task \"reserve stock\" {values}");
    [
        format!("{stock} > task \"ask the warehouse\" {values}"),
        format!("{root} > blocking_call \"print the invoice\" {values}"),
        format!("{root} > thread \"sign\" {values}"),
        stock,
        root,
    ]
}

/// A request becomes its body when the head of the response is ready.
fn receipt_tree(request: &Request) -> String {
    format!("body \"checkout\" {}", values(*request))
}

fn leaked_tree(request: Request) -> [String; 2] {
    let root = "request \"track\" finished";
    [root.to_owned(), format!("{root} > task \"await the parcel\" {}", values(request))]
}

fn job_tree(number: u64) -> [String; 2] {
    let root = format!("task \"refresh prices\" job={number}");
    [format!("{root} > task \"fetch prices\" job={number}"), root]
}

fn values(request: Request) -> String {
    let (tenant, user) = (request.tenant(), request.user());
    format!("request_id={} tenant={tenant:?} token=<redacted> user={user:?}", request.0)
}

async fn expect_answers(mut answers: JoinSet<(Request, Result<String>)>) -> Result<()> {
    while let Some(answer) = answers.join_next().await {
        let (request, answer) = answer?;
        let (tenant, answer) = (request.tenant(), answer?);
        let expected = match request.path() {
            "products" => format!("the products of {tenant}"),
            "search" => "nothing found for public".to_owned(),
            "track" => "you will hear from us".to_owned(),
            _ => (0..RECEIPT_LINES).map(|line| format!("line {line} of {tenant}\n")).collect(),
        };
        if answer != expected {
            return Err(format!("request {} got {answer:?}", request.0).into());
        }
    }
    Ok(())
}

// The listed contexts.

struct Check {
    page: String,
    client: Client,
    snapshots: u32,
}

impl Check {
    /// Expects these contexts, and no others, in a snapshot and on the page.
    async fn expect(&mut self, mut expected: Vec<String>) -> Result<()> {
        expected.sort();
        self.snapshots += 1;
        // The server drops a request shortly after the client has the answer.
        let mut tries = 500;
        let snapshot = loop {
            let snapshot = inspect::snapshot();
            let listed = lines(&serde_json::to_value(&snapshot)?);
            tries -= 1;
            if listed == expected || tries == 0 {
                expect_same("the snapshot", &expected, &listed)?;
                break snapshot;
            }
            sleep(Duration::from_millis(10)).await;
        };
        expect_no_secret("the snapshot", &snapshot.to_string())?;
        let answer: Value = serde_json::from_str(&self.get("?contexts").await?)?;
        expect_same("the page", &expected, &lines(&answer))
    }

    async fn get(&self, query: &str) -> Result<String> {
        let answer = self.client.send(HttpRequest::get(format!("{}{query}", self.page))).await?;
        expect_no_secret("the page", &answer)?;
        Ok(answer)
    }

    async fn other_answers(&self) -> Result<()> {
        if !self.get("").await?.starts_with("<!DOCTYPE html>") {
            return Err("the page is no HTML".into());
        }
        let lost: Value = serde_json::from_str(&self.get("?lost").await?)?;
        let searches = (0..ROUNDS * REQUESTS_PER_ROUND).filter(|&n| Request(n).path() == "search").count();
        let place = &lost["places"][0];
        if place["variable"] != "tenant" || place["file"] != "examples/live.rs" || place["count"] != searches
        {
            return Err(format!("{searches} reads were lost, but the page has {lost}").into());
        }
        let finished: Value = serde_json::from_str(&self.get("?finished").await?)?;
        let requests = finished["contexts"].as_array().into_iter().flatten();
        let requests = requests.filter(|context| context["kind"] == "request").count() as u64;
        if requests != ROUNDS * REQUESTS_PER_ROUND {
            return Err(format!("the page has {requests} finished requests").into());
        }
        // Looks like a request from another machine, through a proxy on this one.
        let foreign = HttpRequest::get(&self.page).header("x-forwarded-for", "192.0.2.1");
        let (status, _) = self.client.send_for_status(foreign).await?;
        if status != StatusCode::FORBIDDEN {
            return Err(format!("a request from elsewhere got {status}").into());
        }
        Ok(())
    }
}

/// Returns a line for each context of a snapshot in JSON, sorted.
fn lines(snapshot: &Value) -> Vec<String> {
    let contexts = snapshot["contexts"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<_> = contexts.iter().map(|context| line(contexts, context)).collect();
    lines.sort();
    lines
}

fn line(contexts: &[Value], context: &Value) -> String {
    let parent = contexts.iter().find(|parent| parent["number"] == context["parent"]);
    let mut line = parent.map_or_else(String::new, |parent| line(contexts, parent) + " > ");
    line += context["kind"].as_str().unwrap_or_default();
    if let Some(name) = context["name"].as_str() {
        line += &format!(" {name:?}");
    }
    if !context["finished_us"].is_null() {
        line += " finished";
    }
    let variables = context["variables"].as_array().into_iter().flatten();
    let mut variables: Vec<_> = variables.map(|it| [&it["name"], &it["value"]].map(Value::as_str)).collect();
    variables.sort();
    for [name, value] in variables {
        line += &format!(" {}={}", name.unwrap_or_default(), value.unwrap_or_default());
    }
    line
}

/// Compares two sorted lists of lines.
fn expect_same(place: &str, expected: &[String], listed: &[String]) -> Result<()> {
    if expected == listed {
        return Ok(());
    }
    let mut message = format!("{place} differs");
    for line in expected.iter().filter(|line| !listed.contains(line)) {
        message += &format!("\n  missing: {line}");
    }
    for line in listed.iter().filter(|line| !expected.contains(line)) {
        message += &format!("\n  not of the shop: {line}");
    }
    message += &format!("\n  {} contexts expected, {} listed", expected.len(), listed.len());
    Err(message.into())
}

fn expect_no_secret(place: &str, text: &str) -> Result<()> {
    if text.contains(SECRET) { Err(format!("{place} shows a secret").into()) } else { Ok(()) }
}
