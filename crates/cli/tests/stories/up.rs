//! `chatroom up`: one command, and everything is there.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::desk::{Desk, PATIENCE, Running};

/// Takes a port that is free right now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

async fn up(desk: &Desk, port: u16) -> Running {
    let running = desk.start(&format!("up --port {port}"));
    running.until("it says how to go on", |out, _| out.contains("Ctrl+C stops everything")).await;
    running
}

fn link(out: &str) -> String {
    let link = out.lines().map(str::trim).find(|line| line.contains("/sign-in?code="));
    link.unwrap_or_else(|| panic!("no link in\n{out}")).to_owned()
}

#[tokio::test]
async fn up_prints_a_link_that_signs_in_and_what_to_do_next() {
    let (desk, port) = (Desk::new(), free_port());
    let running = up(&desk, port).await;
    let out = running.out();
    for part in [
        "claude    2.1.0",
        "chatroom room create",
        "chatroom agent start",
        "chatroom message send",
        "chatroom.localhost",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }

    // As a browser follows it: the link sets a cookie, and the cookie is a sign-in.
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve("chatroom.localhost", std::net::SocketAddr::from(([127, 0, 0, 1], port)))
        .timeout(PATIENCE)
        .build()
        .expect("a browser");
    let answer = browser.get(link(&out)).send().await.expect("an answer");
    assert_eq!(answer.status(), 303);
    let cookie =
        answer.headers()["set-cookie"].to_str().expect("a cookie").split(';').next().expect("a pair").to_owned();
    let me = browser.get(format!("http://chatroom.localhost:{port}/api/auth/session")).header("cookie", &cookie);
    let me: Value = me.send().await.expect("an answer").json().await.expect("JSON");
    assert!(me["userId"].is_string(), "{me}");
    let twice = browser.get(link(&out)).send().await.expect("an answer");
    assert!(twice.headers().get("set-cookie").is_none());

    // The verbs of this home work at once, and its machine is there.
    desk.run("room create hello --role builder").await.exits(0);
    let machines = desk.run("machine list --json").await.exits(0).json();
    assert_eq!(machines["machines"][0]["daemonConnected"], true, "{machines}");
    assert_eq!(machines["machines"][0]["availableTools"][0], "claude", "{machines}");
    let allowed = desk.run("machine allow --list").await.exits(0);
    assert!(allowed.out.contains("work"), "{}", allowed.all());
    let machine = desk.file("machine.json")["machineId"].clone();

    let second = desk.run(&format!("up --port {}", free_port())).await.exits(1);
    assert!(second.err.contains("runs already"), "{}", second.all());
    running.signal(Signal::SIGINT);
    running.ended().await.exits(0);
    desk.run("machine daemon status").await.exits(3);

    // Again: the same machine, the same rooms, a new link.
    let running = up(&desk, port).await;
    assert_ne!(link(&running.out()), link(&out));
    assert_eq!(desk.file("machine.json")["machineId"], machine);
    assert!(desk.run("room list").await.exits(0).out.contains("hello"));
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn up_says_which_flag_helps_when_the_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    for verb in ["up", "server"] {
        let desk = Desk::new();
        let ended = desk.run(&format!("{verb} --port {port}")).await.exits(1);
        assert!(ended.err.contains("--port"), "{}", ended.all());
        assert!(!desk.home().join("server").exists(), "`{verb}` left a half-made folder behind");
    }
}

#[tokio::test]
async fn two_servers_on_one_folder_are_one_too_many() {
    let desk = Desk::new();
    let running = desk.start(&format!("server --port {}", free_port()));
    running.until("the first account can be made", |out, _| out.contains("/sign-up?code=")).await;
    let ended = desk.run(&format!("up --port {}", free_port())).await.exits(1);
    assert!(!ended.err.is_empty(), "{}", ended.all());
    running.signal(Signal::SIGTERM);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn the_settings_of_a_server_are_printed_without_secrets() {
    let desk = Desk::new().with("CHATROOM_METRICS_TOKEN", "a-long-secret-nobody-sees");
    let ended = desk.run("server --print-config --port 9999").await.exits(0);
    assert!(ended.out.contains("9999") && ended.out.contains("--port"), "{}", ended.all());
    assert!(!ended.out.contains("nobody-sees"), "{}", ended.all());
    let wrong = desk.run("server --print-config --public-url nonsense").await.exits(1);
    assert!(wrong.err.contains("public_url"), "{}", wrong.all());
}
