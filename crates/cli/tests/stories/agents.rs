//! Steering agents from the terminal. The daemon at the other end does what a story tells it.

use chatroom_protocol::api::agents::{PermissionScope, RunActivity};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{PermissionId, RunId, Timestamp, Tool};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon};
use chatroom_testkit::world::{User, World};
use serde_json::{Value, json};

use crate::desk::Desk;

const LAPTOP: &str = "8f14e45f-ceea-467f-a0e6-3f1c9d1f0a01";
const TOWER: &str = "8f14e45f-ceea-467f-a0e6-3f1c9d1f0a02";

struct Story {
    world: World,
    ada: User,
    desk: Desk,
    laptop: Computer,
    daemon: FakeDaemon,
    room: String,
}

impl Story {
    /// A room, and a connected laptop with claude and pi.
    async fn begin() -> Self {
        let world = World::start().await;
        let ada = world.user("ada").await;
        let desk = Desk::of(&world, &ada).await;
        let laptop = Computer::register(&ada, LAPTOP, "laptop", &[Tool::Claude, Tool::Pi]).await;
        let daemon = laptop.come_online(&ada, 1).await;
        let room = desk.run("room create hello --role builder --role reviewer").await.exits(0).out.trim().to_owned();
        Self { world, ada, desk, laptop, daemon, room }
    }

    fn line(&self, verb: &str, more: &str) -> String {
        format!("agent {verb} --chatroom-id={} --role=builder {more}", self.room).trim_end().to_owned()
    }

    /// Starts the agent, and lets its process be there.
    async fn started(&mut self, nth: usize) -> RunId {
        let start = self.desk.start(&self.line("start", "--tool=claude --working-dir=/srv/app"));
        let push = self.daemon.command(nth).await;
        let run = self.daemon.started(&push).await;
        let ended = start.ended().await.exits(0);
        assert!(ended.out.starts_with("completed: "), "{}", ended.all());
        run
    }
}

#[tokio::test]
async fn an_agent_is_started_listed_and_stopped() {
    let mut story = Story::begin().await;
    let run = story.started(1).await;
    let pushed = story.daemon.command(1).await.start.expect("a start");
    assert_eq!((pushed.tool, pushed.working_dir.as_str()), (Tool::Claude, "/srv/app"));
    let list = format!("agent list --chatroom-id={}", story.room);
    let listed = story.desk.run(&list).await.exits(0);
    let builder = listed.out.lines().find(|line| line.starts_with("builder")).expect("a line");
    assert!(
        builder.contains("Waiting") && builder.contains("claude") && builder.contains("laptop"),
        "{}",
        listed.all()
    );
    let reviewer = listed.out.lines().find(|line| line.starts_with("reviewer")).expect("a line");
    assert!(reviewer.contains("Stopped"), "{}", listed.all());

    let stop = story.desk.start(&story.line("stop", ""));
    let command_id = story.daemon.command(2).await.command_id;
    story
        .daemon
        .report([
            Fact::CommandReceived { command_id },
            Fact::RunExited { run_id: run, requested: true, reason: "stopped".into() },
            Fact::CommandFinished { command_id, status: CommandStatus::Completed, result: "stopped".into() },
        ])
        .await;
    stop.ended().await.exits(0);
    let listed = story.desk.run(&format!("{list} --json")).await.exits(0).json();
    assert_eq!(listed["agents"][0]["status"], "stopped", "{listed}");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_exits_1() {
    let mut story = Story::begin().await;
    let start = story.desk.start(&story.line("start", "--tool=claude --working-dir=/srv/app"));
    let command_id = story.daemon.command(1).await.command_id;
    let why = "agents may not work in /srv/app; to permit it, run on that machine: chatroom machine allow /srv/app";
    story
        .daemon
        .report([
            Fact::CommandReceived { command_id },
            Fact::CommandFinished { command_id, status: CommandStatus::Failed, result: why.into() },
        ])
        .await;
    let ended = start.ended().await.exits(1);
    assert_eq!(ended.out, format!("failed: {why}\n"));
}

#[tokio::test]
async fn what_is_missing_for_a_start_is_named() {
    let story = Story::begin().await;
    let nothing = story.desk.run(&story.line("start", "")).await.exits(1);
    assert!(nothing.err.contains("not_configured"), "{}", nothing.all());
    let half = story.desk.run(&story.line("start", "--tool=claude")).await.exits(2);
    assert!(half.err.contains("--working-dir=DIR"), "{}", half.all());
    let relative = story.desk.run(&story.line("start", "--tool=claude --working-dir=app")).await.exits(1);
    assert!(relative.err.contains("must be absolute"), "{}", relative.all());
    let missing = story.desk.run(&story.line("start", "--tool=opencode --working-dir=/srv/app")).await.exits(1);
    assert!(missing.err.contains("tool_missing"), "{}", missing.all());
    let role = story.desk.run(&format!("agent start --chatroom-id={} --role=painter", story.room)).await.exits(1);
    assert!(role.err.contains("builder, reviewer"), "{}", role.all());
}

#[tokio::test]
async fn with_several_machines_one_must_be_named() {
    let story = Story::begin().await;
    let tower = Computer::register(&story.ada, TOWER, "tower", &[Tool::Claude]).await;
    let _daemon = tower.come_online(&story.ada, 1).await;
    let line = story.line("start", "--tool=claude --working-dir=/srv/app");
    let several = story.desk.run(&line).await.exits(1);
    for part in ["--machine", "laptop", "tower", "online", LAPTOP] {
        assert!(several.err.contains(part), "{part}\n{}", several.all());
    }
    let unknown = story.desk.run(&format!("{line} --machine=desktop")).await.exits(1);
    assert!(unknown.err.contains("tower"), "{}", unknown.all());
    let mut daemon = story.daemon;
    let start = story.desk.start(&format!("{line} --machine=laptop"));
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    start.ended().await.exits(0);
    drop(story.laptop);
    story.world.stop().await;
}

#[tokio::test]
async fn a_permission_is_shown_and_answered() {
    let mut story = Story::begin().await;
    let run_id = story.started(1).await;
    let none = story.desk.run(&story.line("allow", "")).await.exits(1);
    assert!(none.err.contains("asks for nothing"), "{}", none.all());

    let ids = [1, 2].map(|n| PermissionId::from_parts(Timestamp(1_700_000_000_000), n));
    let asked = |permission_id, title: &str| Fact::PermissionAsked {
        run_id,
        permission_id,
        title: title.into(),
        input: "{\"command\":\"git push\\u001b[2J\"}".into(),
        always: Some("exactly this command".into()),
        digest: format!("digest of {title}"),
    };
    let waiting = Fact::RunActivity { run_id, activity: RunActivity::WaitingPermission };
    story.daemon.report([asked(ids[0], "Bash: git push"), asked(ids[1], "Edit: a.txt"), waiting]).await;
    let list = story.desk.run(&format!("agent list --chatroom-id={}", story.room)).await.exits(0);
    assert!(
        list.out.contains("Needs you") && list.out.contains("chatroom agent allow --chatroom-id="),
        "{}",
        list.all()
    );
    let several = story.desk.run(&story.line("allow", "")).await.exits(1);
    for (id, title) in ids.iter().zip(["Bash: git push", "Edit: a.txt"]) {
        assert!(several.out.contains(title) && several.out.contains(&id.to_string()), "{}", several.all());
        assert!(several.err.contains(&story.line("allow", &id.to_string())), "{}", several.all());
    }

    let denied = story.desk.run(&story.line("deny", &ids[0].to_string())).await.exits(0);
    assert!(
        denied.err.contains("\"command\":\"git push") && denied.out.contains("Denied: Bash: git push"),
        "{}",
        denied.all()
    );
    let heard = story.daemon.until("the answer", |heard| !heard.decisions.is_empty()).await;
    let (run, permission, decision) = &heard.decisions[0];
    assert_eq!((*run, *permission, decision.decision), (run_id, ids[0], Decision::Deny));
    assert_eq!((decision.digest.as_str(), decision.scope), ("digest of Bash: git push", PermissionScope::Once));
    let always = story.desk.run(&story.line("allow", &format!("{} --always", ids[1]))).await.exits(0);
    assert!(always.err.contains("with --always: exactly this command"), "{}", always.all());
    assert!(always.out.contains("Allowed for this run: Edit: a.txt"), "{}", always.all());
    assert_eq!(story.daemon.heard().decisions[1].2.scope, PermissionScope::Run);
}

#[tokio::test]
async fn a_turn_is_interrupted() {
    let mut story = Story::begin().await;
    let run_id = story.started(1).await;
    story.daemon.report([Fact::RunActivity { run_id, activity: RunActivity::Working }]).await;
    story.desk.run(&story.line("interrupt", "")).await.exits(0);
    story.daemon.until("the interrupt", |heard| heard.interrupts.iter().map(|(run, _)| *run).eq([run_id])).await;
    story.desk.run(&story.line("share", "")).await.exits(0);
}

/// A line of a transcript in which the agent says something.
fn says(seq: u64, text: &str) -> Value {
    json!({ "seq": seq, "at": 1_800_000_000_000_u64, "event": { "type": "message", "text": text } })
}

fn printed(lines: &[Value]) -> String {
    lines.iter().flat_map(|line| [line.to_string(), "\n".into()]).collect()
}

#[tokio::test]
async fn a_transcript_is_read_from_its_end_and_searched() {
    let mut story = Story::begin().await;
    let run = story.started(1).await;
    let empty = story.desk.run(&story.line("logs", "--json")).await.exits(0);
    assert_eq!(empty.out, "");
    let lines = [says(1, "first words"), says(2, "second thoughts"), says(3, "and a Third")];
    story.daemon.write(run, &lines, false).await;

    let all = story.desk.run(&story.line("logs", "--json")).await.exits(0);
    assert_eq!(all.out, printed(&lines));
    let tail = story.desk.run(&story.line("logs", "--tail 2")).await.exits(0);
    let said: Vec<_> = tail.out.lines().map(|line| line.split("says").nth(1).expect("words").trim()).collect();
    assert_eq!(said, ["second thoughts", "and a Third"]);
    let more = story.desk.run(&story.line("logs", "--tail 99 --json")).await.exits(0);
    assert_eq!(more.out, all.out);

    let found = story.desk.run(&story.line("logs", "--search third")).await.exits(0);
    assert!(found.out.contains("#3") && found.out.contains("and a Third"), "{}", found.all());
    let nothing = story.desk.run(&story.line("logs", "--search fourth")).await.exits(1);
    assert!(nothing.out.is_empty() && nothing.err.contains("nothing in this transcript"), "{}", nothing.all());
    let both = story.desk.run(&story.line("logs", "--search x --follow")).await.exits(2);
    assert!(both.err.contains("cannot be used with"), "{}", both.all());
    let never = story.desk.run(&format!("agent logs --chatroom-id={} --role=reviewer", story.room)).await.exits(1);
    assert!(never.err.contains("has not run yet"), "{}", never.all());
}

#[tokio::test]
async fn who_follows_a_transcript_sees_every_line_once_though_the_server_restarts() {
    let mut story = Story::begin().await;
    let run = story.started(1).await;
    story.daemon.write(run, &[says(1, "before")], false).await;
    let follower = story.desk.start(&story.line("logs", "--follow --json"));
    follower.until("the first line", |out, _| out.contains("before")).await;
    story.world.restart().await;
    story.daemon.write(run, &[says(2, "between")], false).await;
    follower.until("the second line", |out, _| out.contains("between")).await;
    story.world.restart().await;
    story.daemon.write(run, &[says(3, "after")], true).await;
    let ended = follower.ended().await.exits(0);
    let lines = [says(1, "before"), says(2, "between"), says(3, "after")];
    assert_eq!(ended.out, printed(&lines), "{}", ended.all());
}

#[tokio::test]
async fn a_wait_from_outside_is_refused_while_a_run_lives() {
    let mut story = Story::begin().await;
    story.started(1).await;
    let line = format!("wait-for-task --chatroom-id={} --role=builder --duration=20s", story.room);
    let refused = story.desk.run(&line).await.exits(1);
    assert!(refused.err.contains("role_taken") && refused.err.contains("--take-over"), "{}", refused.all());
}

#[tokio::test]
async fn what_waits_for_an_agent_is_listed_changed_and_taken_back() {
    let mut story = Story::begin().await;
    story.started(1).await;
    let none = story.desk.run(&story.line("queue list", "")).await.exits(0);
    assert!(none.out.contains("Nothing waits"), "{}", none.all());
    let said = story.desk.run(&story.line("tell", "--content=mind-the-gap --json")).await.exits(0).json();
    let id = said["promptId"].as_str().expect("an id").to_owned();
    assert_eq!(story.daemon.prompt(1).await.prompt_id.to_string(), id);
    story.desk.run(&story.line("queue edit", &format!("{id} --content=mind-the-step"))).await.exits(0);
    let listed = story.desk.run(&story.line("queue list", "")).await.exits(0);
    assert!(listed.out.contains(&id) && listed.out.contains("waiting"), "{}", listed.all());
    assert!(listed.out.contains("mind-the-step") && !listed.out.contains("mind-the-gap"), "{}", listed.all());
    story.desk.run(&story.line("queue remove", &id)).await.exits(0);
    let late = story.desk.run(&story.line("queue remove", &id)).await.exits(1);
    assert!(late.err.contains("prompt_settled"), "{}", late.all());
    assert_eq!(story.daemon.heard().changes.len(), 2);
}

#[tokio::test]
async fn a_start_goes_on_with_a_conversation_and_says_when_it_cannot() {
    let mut story = Story::begin().await;
    let run_id = story.started(1).await;
    let conversation = "ses_1".parse().expect("an id");
    story.daemon.report([Fact::ConversationBegun { run_id, conversation }]).await;
    let restart = story.desk.start(&story.line("restart", "--resume"));
    let push = story.daemon.command(2).await;
    let resumed = push.start.as_ref().and_then(|start| start.conversation.clone());
    assert_eq!(resumed.map(|id| id.to_string()).as_deref(), Some("ses_1"));
    story.daemon.report([Fact::RunExited { run_id, requested: true, reason: "stopped".into() }]).await;
    story.daemon.started(&push).await;
    restart.ended().await.exits(0);

    let other = story.desk.run(&story.line("start", "--model=other-1")).await.exits(0);
    assert!(other.err.contains("chatroom agent restart"), "{}", other.all());
    let listed = story.desk.run(&format!("agent list --chatroom-id={}", story.room)).await.exits(0);
    assert!(listed.out.contains("`builder` runs with what was saved when it was started"), "{}", listed.all());
    let none = format!(
        "agent start --chatroom-id={} --role=reviewer --tool=claude --working-dir=/srv/app --resume",
        story.room
    );
    let none = story.desk.run(&none).await.exits(1);
    assert!(none.err.contains("cannot_resume"), "{}", none.all());
}
