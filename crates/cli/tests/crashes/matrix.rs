//! Every step of a start, a stop and a restart, and the process that makes it killed right before and right after.

use crate::plant::{Database, Look, Plant};

/// The steps of each verb: what the process writes there, to its journal or to its database.
const DAEMON: [(&str, &[&str]); 3] = [
    ("start-agent", &["command_received", "run_spawned", "run_started", "run_activity", "command_finished", "applied"]),
    ("stop-agent", &["command_received", "run_exited", "command_finished"]),
    ("restart-agent", &["command_received", "run_exited", "run_spawned", "run_started", "command_finished"]),
];
const SERVER: [(&str, &[&str]); 3] = [
    ("start-agent", &["command.pending", "command.processing", "run.started", "run.activity", "command.completed"]),
    ("stop-agent", &["agent.stopping", "command.processing", "run.exited", "command.completed"]),
    ("restart-agent", &["command.pending", "command.processing", "run.exited", "run.started", "command.completed"]),
];
/// The sample for PostgreSQL, where only the server's steps differ.
const SAMPLE: [(&str, &[&str]); 3] = [
    ("start-agent", &["command.pending", "command.completed"]),
    ("stop-agent", &["agent.stopping", "run.exited"]),
    ("restart-agent", &["run.started"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_a_start() {
    every_step(Database::Sqlite, "daemon", DAEMON[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_a_stop() {
    every_step(Database::Sqlite, "daemon", DAEMON[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_a_restart() {
    every_step(Database::Sqlite, "daemon", DAEMON[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_start() {
    every_step(Database::Sqlite, "server", SERVER[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_stop() {
    every_step(Database::Sqlite, "server", SERVER[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_a_restart() {
    every_step(Database::Sqlite, "server", SERVER[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_postgresql_killed_at_a_sample_of_steps() {
    let mut plant = Plant::new(Database::Postgres).await;
    for (verb, steps) in SAMPLE {
        at_each(&mut plant, "server", verb, steps).await;
    }
    in_the_end(&mut plant).await;
}

async fn every_step(database: Database, who: &str, (verb, steps): (&str, &[&str])) {
    let mut plant = Plant::new(database).await;
    at_each(&mut plant, who, verb, steps).await;
    in_the_end(&mut plant).await;
}

async fn at_each(plant: &mut Plant, who: &str, verb: &str, steps: &[&str]) {
    for step in steps {
        for when in ["before", "after"] {
            at(plant, verb, &format!("{who} {when} {step}")).await;
        }
    }
}

/// Sends a command, lets a process die at a place on its way, and sees that all comes right.
async fn at(plant: &mut Plant, verb: &str, place: &str) {
    let before = begin(plant, verb).await;
    plant.arm(place);
    let id = plant.send(verb).await;
    plant.until(&format!("{verb}: something dies at `{place}`"), |look| !look.is_armed).await;
    let what = format!("{verb}: all comes right after a death at `{place}`");
    plant.until(&what, |look| is_right(look, verb, &before.run, &id)).await;
    assert!(plant.most_processes() <= 1, "{verb}: two processes at once after a death at `{place}`");
}

/// Brings the agent to where the verb begins.
pub async fn begin(plant: &mut Plant, verb: &str) -> Look {
    let look = plant.until("what was before is over", Look::is_settled).await;
    let runs = verb != "start-agent";
    if runs && look.status != "waiting" {
        plant.send("start-agent").await;
    } else if !runs && look.status != "stopped" {
        plant.send("stop-agent").await;
    }
    let (status, processes) = if runs { ("waiting", 1) } else { ("stopped", 0) };
    let is_there = |look: &Look| look.is_settled() && look.status == status && look.processes == processes;
    plant.until(&format!("{status} before {verb}"), is_there).await
}

/// Whether a command and the agent have come to an end that people can rely on.
pub fn is_right(look: &Look, verb: &str, before: &str, id: &str) -> bool {
    if !look.is_settled() || !look.is_online {
        return false;
    }
    let runs = look.status == "waiting" && look.processes == 1;
    let gave_up = look.status == "gave-up" && look.processes == 0;
    match (verb, look.status_of(id)) {
        ("stop-agent", "completed") => look.status == "stopped" && look.processes == 0,
        // One that failed says so: what ran before runs on, or nothing does and that is shown.
        ("restart-agent", "completed") => runs && look.run != before,
        (_, "completed") => runs,
        (_, "failed") => runs || gave_up,
        _ => false,
    }
}

/// Every command was answered once.
pub async fn in_the_end(plant: &mut Plant) {
    let look = plant.until("all is settled", Look::is_settled).await;
    let outcomes = plant.outcomes().await;
    for command in &look.commands {
        let id = command["commandId"].as_str().expect("an id");
        let heard = outcomes.get(id).map_or(0, Vec::len);
        assert_eq!(heard, 1, "{id} has {heard} outcomes: {command}");
    }
}
