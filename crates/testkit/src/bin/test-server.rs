//! A server with somebody signed in and something to look at: prints where it is and a credential, and stops when
//! stdin closes.

use std::io::{self, Read, Write};

use chatroom_testkit::world::World;
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice, &["builder", "reviewer"]).await;
    alice.post(&format!("{room}/messages"), json!({ "content": "do it" })).await;
    let mut out = io::stdout();
    writeln!(out, "{} {}", world.url(), alice.token())?;
    out.flush()?;
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;
    world.stop().await;
    Ok(())
}
