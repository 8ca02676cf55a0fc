//! Messages of daemons that are repeated, out of order, cut off, or of somebody else: none changes anything
//! beyond what was rightly accepted before.
//!
//! `CHATROOM_FORGED` says how many are sent, `SOAK_SEED` which ones.

use std::collections::BTreeMap;
use std::env;

use chatroom_protocol::{CommandId, RunId, Timestamp};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon};
use chatroom_testkit::world::{Answer, Client};
use reqwest::Method;
use sea_orm::{FromQueryResult as _, JsonValue, Statement};
use serde_json::{Value, json};

use crate::stage::{Stage, computer};

/// Every table a daemon's word could reach, and the feed, which tells of every change.
const TABLES: &[&str] = &[
    "agents",
    "agent_configs",
    "commands",
    "events",
    "machines",
    "messages",
    "permissions",
    "prompts",
    "rooms",
    "runs",
    "tasks",
    "waiters",
];
/// What time alone changes.
const BY_TIME: &[&str] = &["lease_until", "last_seen_at", "token_until"];

/// How many send at the same time.
const LANES: usize = 8;
/// How often it is looked whether anything has changed.
const PARTS: usize = 4;

async fn dump(stage: &Stage, without: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    use chatroom_store::Access as _;
    let reader = stage.world.app().reader();
    let connection = reader.connection();
    let mut tables = BTreeMap::new();
    for table in TABLES {
        let all = Statement::from_string(connection.get_database_backend(), format!("SELECT * FROM {table}"));
        let rows = JsonValue::find_by_statement(all).all(connection).await.expect(table);
        let mut rows: Vec<String> = rows
            .into_iter()
            .map(|mut row| {
                if let Some(fields) = row.as_object_mut() {
                    fields.retain(|name, _| !BY_TIME.contains(&name.as_str()) && !without.contains(&name.as_str()));
                }
                row.to_string()
            })
            .collect();
        rows.sort();
        tables.insert(*table, rows);
    }
    tables
}

/// Numbers that look random and can be had again.
struct Dice(u64);

impl Dice {
    fn new(lane: usize) -> Self {
        let given: Option<u64> = env::var("SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(given.unwrap_or(0x5eed_c4a7) + lane as u64)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }
}

/// A real story with everything in it, and what its daemon said.
struct Scene {
    stage: Stage,
    daemon: FakeDaemon,
    desk: Computer,
    /// What was rightly reported.
    said: Vec<Value>,
    commands: Vec<CommandId>,
    run: RunId,
}

impl Scene {
    async fn play() -> Self {
        let stage = Stage::set().await;
        let desk = computer(&stage.bob, "desk").await;
        let daemon = stage.laptop.connect(2).await;
        stage.online(true).await;
        stage.alice.post(&format!("{}/messages", stage.room), json!({ "content": "do it" })).await;
        let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
        let start = stage.command("start-agent").await;
        daemon.until("both commands", |heard| heard.commands.len() >= 2).await;
        let (ping, start): (CommandId, CommandId) =
            (ping.text("commandId").parse().unwrap(), start.text("commandId").parse().unwrap());
        let heard = daemon.heard();
        let pushed = heard.commands.iter().find(|command| command.command_id == start).unwrap();
        let run = pushed.start.as_ref().unwrap().run_id;
        let facts = [
            json!({ "type": "command_received", "commandId": ping }),
            json!({ "type": "command_finished", "commandId": ping, "status": "completed", "result": "pong" }),
            json!({ "type": "command_received", "commandId": start }),
            json!({ "type": "run_started", "runId": run, "pid": 4242, "startTime": 77 }),
            json!({ "type": "command_finished", "commandId": start, "status": "completed", "result": "started" }),
            json!({ "type": "run_activity", "runId": run, "activity": "idle" }),
        ];
        let mut said: Vec<Value> = numbered(1, &facts);
        assert_eq!(daemon.report_raw(2, &said).await.status, 200);
        let prompt = daemon.prompt(1).await.prompt_id;
        let more = numbered(
            said.len() as u64 + 1,
            &[
                json!({ "type": "prompt_sent", "runId": run, "promptId": prompt }),
                json!({ "type": "prompt_started", "runId": run, "promptId": prompt }),
                json!({ "type": "run_activity", "runId": run, "activity": "working" }),
            ],
        );
        assert_eq!(daemon.report_raw(2, &more).await.status, 200);
        said.extend(more);
        Self { stage, daemon, desk, said, commands: vec![ping, start], run }
    }

    fn last(&self) -> u64 {
        self.said.len() as u64
    }
}

fn numbered(first: u64, facts: &[Value]) -> Vec<Value> {
    (first..).zip(facts).map(|(seq, fact)| json!({ "seq": seq, "at": 0, "fact": fact })).collect()
}

/// A fact that would change a lot, were it believed.
fn tempting(dice: &mut Dice, run: RunId, command: CommandId) -> Value {
    match dice.roll(6) {
        0 => json!({ "type": "run_exited", "runId": run, "requested": false, "reason": "forged" }),
        1 => json!({ "type": "run_activity", "runId": run, "activity": "stopping" }),
        2 => json!({ "type": "run_started", "runId": run, "pid": 666, "startTime": 1 }),
        3 => json!({ "type": "command_finished", "commandId": command, "status": "failed", "result": "forged" }),
        4 => json!({ "type": "command_received", "commandId": command }),
        _ => json!({ "type": "permission_asked", "runId": run, "permissionId": "perm_01HF7YAT000000000000000007",
                     "title": "rm", "input": "rm -rf /", "digest": "0" }),
    }
}

/// Sends one message nobody should believe, and returns what came back.
async fn forge(scene: &Scene, dice: &mut Dice) -> (&'static str, Answer) {
    let Scene { stage, desk, said, run, .. } = scene;
    let laptop = &stage.laptop;
    let path = format!("{}/reports", laptop.path());
    let command = *dice.pick(&scene.commands);
    let fact = tempting(dice, *run, command);
    let fresh = scene.last() + 1 + dice.roll(1_000) as u64;
    let report = |seq: u64, fact: &Value| json!({ "seq": seq, "at": 0, "fact": fact });
    let body =
        |epoch: u64, reports: Vec<Value>| json!({ "epoch": epoch, "journalId": laptop.journal, "reports": reports });
    match dice.roll(11) {
        0 => {
            let from = dice.roll(said.len());
            let count = 1 + dice.roll(said.len() - from);
            ("repeated", laptop.client.post(&path, body(2, said[from..from + count].to_vec())).await)
        }
        1 => {
            let seq = dice.roll(said.len() + 1) as u64;
            ("an old number, another fact", laptop.client.post(&path, body(2, vec![report(seq, &fact)])).await)
        }
        2 => {
            let epoch = dice.roll(2) as u64;
            ("an old epoch", laptop.client.post(&path, body(epoch, vec![report(fresh, &fact)])).await)
        }
        3 => {
            let twice = vec![report(fresh, &fact), report(fresh - dice.roll(2) as u64, &fact)];
            ("numbers that do not grow", laptop.client.post(&path, body(2, twice)).await)
        }
        4 => {
            let mut other = body(2, vec![report(fresh, &fact)]);
            other["journalId"] = json!(format!("journal-{}", dice.roll(50) + 7));
            ("another journal", laptop.client.post(&path, other).await)
        }
        5 => {
            let whole = body(2, vec![report(fresh, &fact)]).to_string();
            let cut = &whole[..dice.roll(whole.len())];
            let request = laptop.client.request(Method::POST, &path);
            let request = request.header("content-type", "application/json").body(cut.to_owned());
            ("cut off", laptop.client.send(request).await)
        }
        6 => ("another machine's", desk.client.post(&path, body(2, vec![report(fresh, &fact)])).await),
        7 => {
            let nobody = stage.world.anonymous().with_token(&format!("crm_{}", "A".repeat(43)));
            let callers: [&Client; 3] = [&stage.alice, &stage.bob, &nobody];
            ("no machine's", dice.pick(&callers).post(&path, body(2, vec![report(fresh, &fact)])).await)
        }
        8 => {
            let ack =
                json!({ "status": *dice.pick(&["processing", "completed", "failed", "expired"]), "result": "forged" });
            let path = format!("{}/commands/{command}/ack", dice.pick(&[laptop.path(), desk.path()]));
            ("another machine's word on a command", desk.client.post(&path, ack).await)
        }
        9 => {
            let ack = json!({ "status": *dice.pick(&["processing", "failed", "expired"]), "result": "forged" });
            let path = format!("{}/commands/{command}/ack", laptop.path());
            ("a late word on a command", laptop.client.post(&path, ack).await)
        }
        _ => {
            let huge = vec![report(u64::MAX - dice.roll(9) as u64, &fact)];
            ("a number no journal reaches", laptop.client.post(&path, body(2, huge)).await)
        }
    }
}

#[tokio::test]
async fn no_forged_message_changes_anything() {
    let scene = Scene::play().await;
    let count: usize = env::var("CHATROOM_FORGED").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let seed = Dice::new(0).0;
    let before = dump(&scene.stage, &[]).await;
    let mut answers: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    let mut dice: Vec<Dice> = (0..LANES).map(Dice::new).collect();
    for _ in 0..PARTS {
        let lanes = dice.iter_mut().map(async |dice| {
            let mut answers = Vec::new();
            for _ in 0..count.div_ceil(PARTS * LANES) {
                let (what, answer) = forge(&scene, dice).await;
                assert!(answer.status < 500, "{what}, seed {seed}: {}", answer.raw);
                answers.push((what, answer.status));
            }
            answers
        });
        for answer in futures_util::future::join_all(lanes).await.into_iter().flatten() {
            *answers.entry(answer).or_default() += 1;
        }
        assert_eq!(dump(&scene.stage, &[]).await, before, "seed {seed}: {answers:?}");
    }
    assert!(scene.daemon.is_connected());
    for what in ["an old epoch", "numbers that do not grow", "another journal", "another machine's", "no machine's"] {
        assert!(!answers.contains_key(&(what, 200)), "{what} was taken: {answers:?}");
    }
}

#[tokio::test]
async fn what_a_machine_says_of_others_runs_and_commands_is_not_heard() {
    let scene = Scene::play().await;
    // Bob's desk reports in good order, about what is on alice's laptop and about what is nowhere.
    let daemon = scene.desk.connect(1).await;
    while scene.stage.bob.get(&scene.desk.path()).await.body["daemonConnected"] != true {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut dice = Dice::new(0);
    let own = ["applied_seq", "journal_id", "epoch"];
    let before = dump(&scene.stage, &own).await;
    let nowhere = (RunId::from_parts(Timestamp(1), 7), CommandId::from_parts(Timestamp(1), 7));
    for round in 0_u64..40 {
        let facts: Vec<Value> = (0..25)
            .map(|_| {
                let command = *dice.pick(&scene.commands);
                let (run, command) = if dice.roll(4) == 0 { nowhere } else { (scene.run, command) };
                tempting(&mut dice, run, command)
            })
            .collect();
        let answer = daemon.report_raw(1, &numbered(round * 25 + 1, &facts)).await;
        assert_eq!(answer.status, 200, "{}", answer.raw);
    }
    assert_eq!(dump(&scene.stage, &own).await, before);
}
