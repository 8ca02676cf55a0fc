//! A stop in the middle of a tool, over and over: nothing of the tree is ever left.

use chatroom_testkit::model::Model;
use chatroom_testkit::world::World;

use crate::laptop::{Desk, Laptop};

/// A tool that has children, one of them in a session of its own, and waits for them.
const LONG: &str = "[[run: setsid sleep 250 & sleep 200 & touch began; python3 -c \"import time; time.sleep(300)\"]]";

/// How many stops; `cargo xtask soak` asks for more.
fn rounds() -> u32 {
    std::env::var("STOP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

async fn stops_in_mid_tool(tool: &str) {
    let (world, model) = (World::start().await, Model::start().await);
    let alice = world.user("alice").await;
    let laptop = Laptop::start(&alice, &model).await;
    laptop.cli_ok(&["machine", "allow", "--auto"], None).await;
    let desk = Desk::new(&alice, &laptop, tool, "auto", &["builder"]).await;
    // A stop gives the task back, so that each start gets it again.
    desk.say(LONG).await;
    let began = laptop.work_dir().join("began");
    let rounds = rounds();
    for round in 1..=rounds {
        let run = desk.start("builder").await;
        laptop.until("the tool runs", async || began.exists() && Laptop::processes_of(&run).len() > 3).await;
        let stopped = desk.command("stop-agent", "builder").await;
        assert_eq!(stopped["status"], "completed", "round {round}: {stopped}");
        assert_eq!(Laptop::processes_of(&run), Vec::<i32>::new(), "round {round} of {rounds}");
        desk.until_status("builder", "stopped").await;
        std::fs::remove_file(&began).expect("the mark of the tool");
    }
    println!("{tool}: {rounds} of {rounds} stops in mid-tool left no process");
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_stops_in_mid_tool() {
    stops_in_mid_tool("claude").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_stops_in_mid_tool() {
    stops_in_mid_tool("opencode").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pi_stops_in_mid_tool() {
    stops_in_mid_tool("pi").await;
}
