//! A room, people in it, and a computer: what stories about machines begin with.

use std::time::Duration;

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::daemon::LiveRun;
use chatroom_protocol::{RunId, Tool};
use chatroom_testkit::fake_daemon::{Computer, FakeDaemon, Manner};
use chatroom_testkit::world::{Answer, User, World};
use serde_json::{Value, json};
use uuid::Uuid;

/// Alice owns the room and the laptop; bob is a member; carol a stranger.
pub struct Stage {
    pub world: World,
    pub alice: User,
    pub bob: User,
    pub carol: User,
    pub room: String,
    pub laptop: Computer,
}

impl Stage {
    pub async fn set() -> Self {
        let world = World::start().await;
        let alice = world.user("alice").await;
        let bob = world.user("bob").await;
        let carol = world.user("carol").await;
        world.befriend(&alice, &bob).await;
        let room = world.room(&alice, &["builder", "reviewer"]).await;
        let laptop = computer(&alice, "laptop").await;
        configure(&alice, &laptop, &room, "builder").await;
        Self { world, alice, bob, carol, room, laptop }
    }

    /// Returns the id of the room.
    pub fn room_id(&self) -> &str {
        self.room.rsplit('/').next().unwrap()
    }

    pub async fn send(&self, who: &User, body: Value) -> Answer {
        who.post(&format!("{}/commands", self.laptop.path()), body).await
    }

    /// Sends a command about the builder.
    pub async fn command(&self, kind: &str) -> Answer {
        let body = json!({ "type": kind, "chatroomId": self.room_id(), "role": "builder" });
        let sent = self.send(&self.alice, body).await;
        assert_eq!(sent.status, 201, "{}", sent.raw);
        sent
    }

    /// Returns how a command is now.
    pub async fn look(&self, command: &Answer) -> Answer {
        let path = format!("{}/commands/{}", self.laptop.path(), command.text("commandId"));
        self.alice.get(&path).await
    }

    /// Polls until a command has this status.
    pub async fn settled(&self, command: &Answer, status: &str) -> Answer {
        let seen = async {
            loop {
                let seen = self.look(command).await;
                if seen.text("status") == status {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let Ok(seen) = tokio::time::timeout(Duration::from_secs(10), seen).await else {
            panic!("never {status}: {}", self.look(command).await.raw)
        };
        seen
    }

    /// Connects the laptop's daemon and waits until it counts as online.
    pub async fn connect(&self) -> FakeDaemon {
        self.connect_with(1, Manner::default()).await
    }

    pub async fn connect_with(&self, epoch: u64, manner: Manner) -> FakeDaemon {
        let daemon = self.laptop.connect_with(epoch, manner).await;
        self.online(true).await;
        self.seen("epoch", json!(epoch)).await;
        daemon
    }

    /// Polls until the laptop is online, or is not.
    pub async fn online(&self, wanted: bool) {
        self.seen("daemonConnected", json!(wanted)).await;
    }

    /// Polls until the laptop shows this.
    async fn seen(&self, field: &str, wanted: Value) {
        let shown = async {
            while self.alice.get(&self.laptop.path()).await.body[field] != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(10), shown).await;
        assert!(shown.is_ok(), "the laptop never showed {field} = {wanted}");
    }

    /// Returns an agent as somebody sees it.
    pub async fn agent(&self, who: &User, role: &str) -> Value {
        let agents = who.get(&format!("{}/agents", self.room)).await;
        assert_eq!(agents.status, 200, "{}", agents.raw);
        let all = agents.body["agents"].as_array().unwrap();
        all.iter().find(|agent| agent["role"] == role).unwrap().clone()
    }

    pub async fn status(&self) -> String {
        self.agent(&self.alice, "builder").await["status"].as_str().unwrap().to_owned()
    }

    pub async fn say(&self, who: &User, text: &str) {
        let sent = who.post(&format!("{}/messages", self.room), json!({ "content": text })).await;
        assert_eq!(sent.status, 201, "{}", sent.raw);
    }

    /// Returns the state of every task of the room.
    pub async fn tasks(&self) -> Vec<String> {
        let tasks = self.alice.get(&format!("{}/tasks", self.room)).await.body;
        let tasks = tasks["tasks"].as_array().unwrap();
        tasks.iter().map(|task| task["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the instance of the room.
    pub async fn instance(&self) -> String {
        self.alice.get(&self.room).await.text("instanceId").to_owned()
    }

    /// Returns how a daemon tells that it runs the builder.
    pub fn live(&self, run_id: RunId) -> LiveRun {
        LiveRun {
            run_id,
            chatroom_id: self.room_id().parse().unwrap(),
            role: "builder".parse().unwrap(),
            tool: Tool::Claude,
            activity: RunActivity::Idle,
        }
    }

    /// Returns what the platform said in the room.
    pub async fn notices(&self) -> Vec<String> {
        let read = self.alice.get(&format!("{}/messages?limit=500&senderRole=system", self.room)).await.body;
        let said = read["messages"].as_array().unwrap();
        said.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    }
}

/// Registers a computer that has claude and pi.
pub async fn computer(owner: &User, hostname: &str) -> Computer {
    let id = Uuid::new_v4().to_string();
    Computer::register(owner, &id, hostname, &[Tool::Claude, Tool::Pi]).await
}

/// Lets claude work in a role on a computer.
pub async fn configure(owner: &User, computer: &Computer, room: &str, role: &str) {
    let saved = save(owner, computer, room, role, json!({ "agentType": "claude", "workingDir": "/srv/app" })).await;
    assert_eq!(saved.status, 200, "{}", saved.raw);
}

pub async fn save(owner: &User, computer: &Computer, room: &str, role: &str, body: Value) -> Answer {
    let room = room.rsplit('/').next().unwrap();
    owner.put(&format!("{}/agents/{room}/{role}", computer.path()), body).await
}
