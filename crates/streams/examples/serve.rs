//! The smallest server of streams: `cargo run -p chatroom-streams --example serve -- DIR PORT`.

use std::time::Duration;

use chatroom_streams::router::RouterOptions;
use chatroom_streams::{Engine, Options, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let port = arguments.next().ok_or("which port?")?.parse()?;
    let engine = Engine::start(folder, Options::alone())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let options = RouterOptions { cors: true, long_poll: Duration::from_millis(700), ..RouterOptions::default() };
    serve(listener, engine, options, std::future::pending()).await?;
    Ok(())
}
