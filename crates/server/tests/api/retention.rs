//! What is past its time goes, and nothing else, on both databases.

use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::reports::Fact;
use chatroom_server::config::Flags;
use chatroom_server::retention;
use chatroom_testkit::postgres;
use chatroom_testkit::world::{PASSWORD, World};
use serde_json::json;

use crate::stage::{computer, configure};

const DAY_MS: i64 = 24 * 3600 * 1000;

async fn on(database: Option<String>) -> World {
    World::start_with(Flags { open_sign_up: Some(true), database, ..Flags::default() }).await
}

#[tokio::test]
async fn every_table_is_bounded_on_sqlite() {
    forgets(on(None).await).await;
}

#[tokio::test]
async fn every_table_is_bounded_on_postgres() {
    let url = postgres::fresh_database().await.unwrap();
    forgets(on(Some(url.to_string())).await).await;
}

async fn forgets(world: World) {
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder"]).await;
    let laptop = computer(&alice, "laptop").await;
    configure(&alice, &laptop, &room, "builder").await;
    let mut daemon = laptop.connect(1).await;
    let id = room.rsplit('/').next().unwrap();
    let about = |kind: &str| json!({ "type": kind, "chatroomId": id, "role": "builder" });
    let commands = format!("{}/commands", laptop.path());
    for n in [1, 3] {
        assert_eq!(alice.post(&commands, about("start-agent")).await.status, 201);
        let start = daemon.command(n).await;
        let run = daemon.started(&start).await;
        assert_eq!(alice.post(&commands, about("stop-agent")).await.status, 201);
        let stop = daemon.command(n + 1).await.command_id;
        daemon
            .report([
                Fact::CommandReceived { command_id: stop },
                Fact::RunExited { run_id: run, reason: "stopped".into(), requested: true },
                Fact::CommandFinished { command_id: stop, status: CommandStatus::Completed, result: "stopped".into() },
            ])
            .await;
    }
    let listed = async || alice.get(&commands).await.body["commands"].as_array().map_or(0, Vec::len);
    assert_eq!(listed().await, 4);

    // Nothing is old yet.
    retention::history(world.app().clone()).await.unwrap();
    retention::sign_ins(world.app().clone()).await.unwrap();
    assert_eq!(world.app().health.forgotten().values().sum::<u64>(), 0);

    world.clock().advance(29 * DAY_MS);
    retention::history(world.app().clone()).await.unwrap();
    assert_eq!(listed().await, 4, "29 days are kept");
    daemon.cut();
    world.clock().advance(2 * DAY_MS);
    retention::history(world.app().clone()).await.unwrap();
    retention::sign_ins(world.app().clone()).await.unwrap();
    let counts = world.app().health.forgotten();
    assert!(counts["commands"] >= 4 && counts["events"] > 10 && counts["sessions"] > 0, "{counts:?}");
    assert!(!counts.contains_key("runs"), "{counts:?}");
    let body = json!({ "email": alice.email, "password": PASSWORD });
    let signed_in = world.anonymous().post("/api/auth/sign-in", body).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let get = async |path: &str| {
        let client = world.anonymous();
        client.send(client.request(reqwest::Method::GET, path).header("cookie", &cookie)).await
    };
    let late = get("/api/events?after=0").await;
    assert_eq!((late.status, late.text("code")), (410, "feed_truncated"));
    let floor = late.text("state").to_owned();
    assert_eq!(get(&format!("/api/events?after={floor}")).await.status, 200);

    world.clock().advance(60 * DAY_MS);
    retention::history(world.app().clone()).await.unwrap();
    // Of two runs the agent's last one is kept.
    assert_eq!(world.app().health.forgotten()["runs"], 1);
    let metrics = world.anonymous().get("/metrics").await.raw;
    assert!(metrics.contains("chatroom_rows_forgotten_total{table=\"runs\"} 1\n"), "{metrics}");
    world.stop().await;
}
