//! The tunnel: who gets one, what makes a machine online, and what ends it.

use std::time::Duration;

use chatroom_domain::agents::RUN_TOKEN_MS;
use chatroom_domain::machines::LEASE_MS;
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{Problem, RunId, Timestamp};
use chatroom_server::machines::lease;
use chatroom_testkit::fake_daemon::{FakeDaemon, Manner};
use chatroom_tunnel::DialError;
use futures_util::future::join_all;
use serde_json::json;

use crate::stage::{Stage, computer};

/// Dials and returns the problem it is refused with.
fn refusal(dialled: Result<chatroom_tunnel::Conn, DialError>) -> Problem {
    match dialled {
        Err(DialError::Refused { body, .. }) => serde_json::from_slice(&body).unwrap(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a tunnel was opened"),
    }
}

#[tokio::test]
async fn a_tunnel_is_for_a_machine_with_its_own_credential() {
    let stage = Stage::set().await;
    for token in ["crm_nonsense", stage.alice.token()] {
        let mut other = stage.laptop.clone();
        other.client = other.client.with_token(token);
        let problem = refusal(other.dial(1, 1).await);
        assert!([401, 403].contains(&problem.status), "{problem:?}");
    }
    let mut other = stage.laptop.clone();
    other.id = computer(&stage.bob, "bobs").await.id;
    assert_eq!(refusal(other.dial(1, 1).await).code.as_str(), "not_found");
    let plain = stage.laptop.client.get("/api/tunnel").await;
    assert_eq!(plain.status, 400, "{}", plain.raw);
}

#[tokio::test]
async fn versions_too_far_apart_are_told_the_command_that_fixes_it() {
    let stage = Stage::set().await;
    let problem = refusal(stage.laptop.dial(1, 99).await);
    assert_eq!((problem.status, problem.code.as_str()), (426, "version_gap"));
    assert!(problem.detail.contains("/join.sh | sh"), "{}", problem.detail);
    // Whoever owns the machine sees it as well.
    let upgrade = stage.alice.get(&stage.laptop.path()).await.text("upgrade").to_owned();
    assert_eq!(upgrade, problem.detail);
    assert!(stage.laptop.dial(1, 0).await.is_ok(), "one behind keeps working");
    assert!(stage.alice.get(&stage.laptop.path()).await.body.get("upgrade").is_none());
}

#[tokio::test]
async fn the_newest_daemon_wins() {
    let stage = Stage::set().await;
    let mut older = stage.connect_with(3, Manner::default()).await;
    let mut second = stage.connect_with(4, Manner::default()).await;
    older.ended().await;
    assert!(second.is_connected());
    // The older tunnel is closed first, the new epoch written next.
    let newest = async {
        while stage.alice.get(&stage.laptop.path()).await.body["epoch"] != 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), newest).await.expect("the new epoch is written");
    let problem = refusal(stage.laptop.dial(3, 1).await);
    assert_eq!((problem.status, problem.code.as_str()), (409, "stale_epoch"));
    let late =
        older.report_raw(3, &[json!({ "seq": 1, "at": 0, "fact": { "type": "tools_detected", "tools": [] } })]).await;
    assert_eq!(late.text("code"), "stale_epoch");

    // The same daemon dials again after its network went.
    let third = stage.connect_with(4, Manner::default()).await;
    second.ended().await;
    stage.online(true).await;
    assert!(third.is_connected());
    assert_eq!(stage.alice.get(&stage.laptop.path()).await.body["epoch"], 4);
}

#[tokio::test]
async fn more_machines_than_may_arrive_at_once_all_come() {
    let stage = Stage::set().await;
    let mut computers = Vec::new();
    for number in 0..80 {
        computers.push(computer(&stage.alice, &format!("m{number}")).await);
    }
    let daemons = join_all(computers.iter().map(|computer| computer.connect_with(1, Manner::default()))).await;
    let all_online = async {
        for computer in &computers {
            while stage.alice.get(&computer.path()).await.body["daemonConnected"] != true {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_online).await.expect("all of them are online");
    assert!(daemons.iter().all(FakeDaemon::is_connected));
}

#[tokio::test]
async fn a_daemon_that_does_not_know_the_platform_is_not_online() {
    let stage = Stage::set().await;
    let mut stranger = stage.laptop.clone();
    stranger.platform_token = "crp_another".into();
    let conn = stranger.dial(1, 1).await;
    assert!(conn.is_ok());
    let served = conn.unwrap().serve(no_routes(), std::future::pending::<()>());
    let ended = tokio::time::timeout(Duration::from_secs(10), served).await;
    assert!(ended.is_ok(), "the server kept a tunnel to somebody else's daemon");
    assert_eq!(stage.alice.get(&stage.laptop.path()).await.body["daemonConnected"], false);
}

/// Returns a daemon without any route.
fn no_routes() -> axum::Router {
    axum::Router::new()
}

#[tokio::test]
async fn online_is_a_lease_that_is_renewed_and_ends_with_the_tunnel() {
    let stage = Stage::set().await;
    let daemon = stage.connect().await;
    let feed = format!("/api/events?instance={}&after=0&limit=500", stage.alice.instance);
    let kinds = async |who: &chatroom_testkit::world::User| {
        let page = who.get(&feed).await;
        let events = page.body["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert!(kinds(&stage.alice).await.contains(&"machine.online".to_owned()));
    let before = kinds(&stage.alice).await;

    stage.world.clock().advance(LEASE_MS + 1);
    assert_eq!(
        stage.alice.get(&stage.laptop.path()).await.body["daemonConnected"],
        false,
        "a lease is read by the clock"
    );
    lease::renew(stage.world.app(), stage.world.app().links.keys()).await.unwrap();
    stage.online(true).await;
    assert_eq!(kinds(&stage.alice).await, before, "renewing writes no event");

    daemon.cut();
    stage.online(false).await;
    assert!(kinds(&stage.alice).await.contains(&"machine.offline".to_owned()));
    let seen = kinds(&stage.bob).await;
    assert!(!seen.iter().any(|kind| kind.starts_with("machine.") || kind.starts_with("command.")), "{seen:?}");
}

#[tokio::test]
async fn a_runs_token_lives_on_the_machines_lease() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    let inside = stage.alice.with_token(&push.start.unwrap().run_token);
    stage.world.clock().advance(RUN_TOKEN_MS - 1000);
    lease::renew(stage.world.app(), stage.world.app().links.keys()).await.unwrap();
    stage.world.clock().advance(RUN_TOKEN_MS - 1000);
    assert_eq!(inside.get(&stage.room).await.status, 200);
    daemon.cut();
    stage.world.clock().advance(RUN_TOKEN_MS);
    assert_eq!(inside.get(&stage.room).await.status, 401);
}

#[tokio::test]
async fn a_stop_takes_effect_when_the_machine_comes_back() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(1).await).await;
    daemon.cut();
    stage.online(false).await;
    let stop = stage.command("stop-agent").await;
    stage.world.clock().advance(3600 * 1000);
    stage.settled(&stop, "expired").await;
    assert_eq!(stage.status().await, "offline");

    let manner = Manner { runs: vec![stage.live(run_id)], ..Manner::default() };
    let again = stage.connect_with(2, manner).await;
    let push = again.command(1).await;
    assert_eq!((push.kind.as_str(), push.slot.unwrap().role.as_str()), ("stop-agent", "builder"));
}

#[tokio::test]
async fn a_run_nobody_ordered_is_ended_and_a_wanted_one_is_left() {
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(1).await).await;
    daemon.cut();
    stage.online(false).await;
    let manner = Manner { runs: vec![stage.live(run_id)], ..Manner::default() };
    let wanted = stage.connect_with(2, manner).await;
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    stage.settled(&ping, "processing").await;
    assert_eq!(wanted.heard().commands.len(), 1, "only the ping");
    wanted.cut();
    stage.online(false).await;

    let ghost = RunId::from_parts(Timestamp(1), 1);
    let manner = Manner { runs: vec![stage.live(ghost)], ..Manner::default() };
    let haunted = stage.connect_with(3, manner).await;
    assert_eq!(haunted.command(1).await.kind, "stop-agent");
}

#[tokio::test]
async fn runs_of_a_lost_journal_are_over() {
    let mut stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let lost = daemon.started(&daemon.command(1).await).await;
    daemon.cut();
    stage.online(false).await;
    stage.laptop.journal = "journal-2".into();
    let mut fresh = stage.connect_with(2, Manner::default()).await;
    let lost = stage.alice.get(&format!("/api/runs/{lost}")).await;
    assert!(lost.text("exit").contains("without its journal"), "{}", lost.raw);
    assert_eq!(fresh.command(1).await.kind, "start-agent", "it is started again");

    // The new journal counts from one again.
    fresh.report([Fact::ToolsDetected { tools: vec![] }]).await;
    assert_eq!(stage.alice.get(&stage.laptop.path()).await.body["tools"], json!([]));
}

#[tokio::test]
async fn a_restarted_server_goes_on_where_it_was() {
    let mut stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let run_id = daemon.started(&daemon.command(1).await).await;
    stage.world.restart().await;
    daemon.ended().await;
    assert_eq!(stage.alice.get(&stage.laptop.path()).await.body["daemonConnected"], false);
    let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
    let manner = Manner { runs: vec![stage.live(run_id)], ..Manner::default() };
    let again = stage.connect_with(1, manner).await;
    stage.settled(&ping, "processing").await;
    assert_eq!(again.heard().commands.len(), 1);
    assert_eq!(stage.status().await, "waiting");
}

#[tokio::test]
async fn a_clock_that_jumps_ends_nothing_that_lives() {
    const DAY: i64 = 24 * 3600 * 1000;
    let stage = Stage::set().await;
    let mut daemon = stage.connect().await;
    stage.command("start-agent").await;
    let push = daemon.command(1).await;
    daemon.started(&push).await;
    let inside = stage.alice.with_token(&push.start.unwrap().run_token);
    for (nth, jump) in [DAY, 7 * DAY, -DAY, -7 * DAY, -DAY].into_iter().enumerate() {
        stage.world.clock().advance(jump);
        lease::renew(stage.world.app(), stage.world.app().links.keys()).await.unwrap();
        stage.online(true).await;
        assert_eq!(stage.status().await, "waiting", "after a jump of {jump} ms");
        assert_eq!(inside.get(&stage.room).await.status, 200, "after a jump of {jump} ms");
        let ping = stage.send(&stage.alice, json!({ "type": "ping" })).await;
        let pushed = daemon.command(nth + 2).await;
        assert!((1..=3600 * 1000).contains(&pushed.expires_in_ms), "{}", pushed.expires_in_ms);
        stage.settled(&ping, "processing").await;
    }
    assert!(daemon.is_connected());
}
