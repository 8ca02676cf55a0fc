//! A daemon that does what a test tells it: a computer that registers, dials, and
//! writes down what it is asked.
//!
//! It speaks the real tunnel, so what a test sees is what a daemon would see.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{
    ChangePrompt, CommandOutcome, CommandReceipt, DecidePermission, Interrupt, LiveRun, OpenLink, Ping, Pong,
    PromptReceipt, PushCommand, PushPrompt, Renewal,
};
use chatroom_protocol::api::machines::{MachineCredential, ToolFacts};
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::transcript::{RunEvent, Sequenced};
use chatroom_protocol::{
    ErrorCode, MachineId, PROTOCOL_VERSION, PermissionId, Problem, PromptId, RunId, Timestamp, Tool,
};
use chatroom_tunnel::{Conn, Dial, DialError, dial};
use futures_util::stream::{self, StreamExt as _};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::world::{Answer, Client};

/// What every wait is bounded by.
const SOON: Duration = Duration::from_secs(20);

/// A registered computer with its credential.
#[derive(Clone)]
pub struct Computer {
    /// The id its home made.
    pub id: MachineId,
    /// `crp_…`, by which it knows the platform.
    pub platform_token: String,
    /// Requests with its own credential, `crm_…`.
    pub client: Client,
    /// What it says its tools are.
    pub tools: Vec<Tool>,
    /// Which journal it keeps.
    pub journal: String,
    /// The renewal counter on its disk.
    pub renewal: Arc<AtomicU64>,
}

impl Computer {
    /// Registers a computer of `owner` that has these tools, and takes its credential.
    pub async fn register(owner: &Client, id: &str, hostname: &str, tools: &[Tool]) -> Self {
        let body = registration(hostname, tools);
        let registered = owner.put(&format!("/api/machines/{id}"), body).await;
        assert_eq!(registered.status, 200, "{}", registered.raw);
        let issued = owner.post(&format!("/api/machines/{id}/credential"), json!({})).await;
        Self::issued(owner, &issued, tools)
    }

    /// Returns the computer a credential was issued to.
    pub fn issued(client: &Client, issued: &Answer, tools: &[Tool]) -> Self {
        assert_eq!(issued.status, 200, "{}", issued.raw);
        let token = |name: &str| issued.body["credential"][name].as_str().expect("a token");
        let id = issued.body["machine"]["machineId"].as_str().expect("an id");
        Self {
            id: id.parse().expect("a machine id"),
            platform_token: token("platformToken").to_owned(),
            client: client.with_token(token("machineToken")),
            tools: tools.to_vec(),
            journal: "journal-1".to_owned(),
            renewal: Arc::default(),
        }
    }

    /// Returns the same computer with another credential.
    #[must_use]
    pub fn with_credential(&self, credential: &MachineCredential) -> Self {
        Self {
            platform_token: credential.platform_token.clone(),
            client: self.client.with_token(&credential.machine_token),
            ..self.clone()
        }
    }

    /// Returns a copy of this computer's disk as it is now: from here on each counts for itself.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { renewal: Arc::new(AtomicU64::new(self.renewal.load(Ordering::SeqCst))), ..self.clone() }
    }

    /// Returns its path.
    pub fn path(&self) -> String {
        format!("/api/machines/{}", self.id)
    }

    /// Dials as its daemon of this epoch, without waiting for anything.
    pub async fn dial(&self, epoch: u64, protocol: u32) -> Result<Conn, DialError> {
        dial(&self.target(epoch, protocol)).await
    }

    /// Returns where and how its daemon dials.
    pub fn target(&self, epoch: u64, protocol: u32) -> Dial {
        let url = Url::parse(&format!("{}/api/tunnel", self.client.base())).expect("an address");
        let mut target = Dial::new(url);
        target.headers = self.headers(epoch, protocol);
        target
    }

    fn headers(&self, epoch: u64, protocol: u32) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", format!("Bearer {}", self.client.token())),
            ("chatroom-machine", self.id.to_string()),
            ("chatroom-epoch", epoch.to_string()),
            ("chatroom-protocol", protocol.to_string()),
            ("chatroom-version", "0.1.0".to_owned()),
            ("chatroom-journal", self.journal.clone()),
            ("chatroom-renewal", self.renewal.load(Ordering::SeqCst).to_string()),
        ] {
            headers.insert(name, HeaderValue::try_from(value).expect("a header"));
        }
        headers
    }

    /// Connects as the daemon of an epoch and returns once the server has asked it who it is.
    pub async fn connect(&self, epoch: u64) -> FakeDaemon {
        self.connect_with(epoch, Manner::default()).await
    }

    /// As [`Computer::connect`], and returns once `owner` sees it online: that is written down a moment later.
    pub async fn come_online(&self, owner: &Client, epoch: u64) -> FakeDaemon {
        let daemon = self.connect(epoch).await;
        let online = async {
            while owner.get(&self.path()).await.body["daemonConnected"] != true {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, online).await.expect("it is online soon");
        daemon
    }

    /// As [`Computer::connect`], behaving as told.
    pub async fn connect_with(&self, epoch: u64, manner: Manner) -> FakeDaemon {
        let daemon = self.serve(epoch, manner).await;
        daemon.until("the first ping", |heard| heard.pings > 0).await;
        daemon
    }

    async fn serve(&self, epoch: u64, manner: Manner) -> FakeDaemon {
        let conn = self.dial(epoch, PROTOCOL_VERSION).await.expect("a tunnel");
        let shutdown = CancellationToken::new();
        let said = Said {
            heard: Arc::default(),
            manner: Arc::new(Mutex::new(manner)),
            computer: self.clone(),
            epoch,
            shutdown: shutdown.clone(),
        };
        let serving = conn.serve(router(said.clone()), shutdown.clone().cancelled_owned());
        FakeDaemon {
            said,
            served: tokio::spawn(async move { serving.await.map(drop).map_err(|error| error.to_string()) }),
            seq: 0,
            _shutdown: shutdown.drop_guard(),
        }
    }
}

/// Returns what a computer registers with.
pub fn registration(hostname: &str, tools: &[Tool]) -> Value {
    let tools: Vec<_> =
        tools.iter().map(|tool| json!({ "tool": tool, "presence": "installed", "version": "1.2.3" })).collect();
    json!({ "hostname": hostname, "os": "linux", "availableTools": tools })
}

/// How a daemon behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// Takes this long over a command of a type, such as `start-agent`.
    pub slow: Option<(&'static str, Duration)>,
    /// The outcome it answers a push with at once.
    pub outcome: Option<(CommandStatus, &'static str)>,
    /// What lives on it already.
    pub runs: Vec<LiveRun>,
    /// Writes transcripts that never end, as fast as they are read.
    pub endless_logs: bool,
    /// Knows nothing of a second connection, as the version before.
    pub one_connection: bool,
    /// The code it refuses a permission's answer, or another text of a prompt, with.
    pub refuses_answers: Option<ErrorCode>,
    /// Whether a transcript that is followed goes on.
    pub log_stays: bool,
    /// Fails when it is to write a credential or a count down.
    pub disk_is_full: bool,
}

/// What a daemon was asked.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// How often it was pinged.
    pub pings: usize,
    /// The commands pushed, each as often as it came.
    pub commands: Vec<PushCommand>,
    /// The prompts pushed.
    pub prompts: Vec<(RunId, PushPrompt)>,
    /// How many further connections it opened.
    pub links: usize,
    /// How many pieces of endless logs were taken from it.
    pub log_pieces: usize,
    /// How often it was told that the server leaves.
    pub farewells: usize,
    /// The turns it should end.
    pub interrupts: Vec<(RunId, Interrupt)>,
    /// What should become of prompts.
    pub changes: Vec<(PromptId, ChangePrompt)>,
    /// The answers to its questions.
    pub decisions: Vec<(RunId, PermissionId, DecidePermission)>,
    /// The credentials it was to take.
    pub credentials: Vec<MachineCredential>,
}

/// A daemon that is connected.
pub struct FakeDaemon {
    said: Said,
    served: JoinHandle<Result<(), String>>,
    seq: u64,
    _shutdown: DropGuard,
}

#[derive(Clone)]
struct Said {
    heard: Arc<Mutex<Heard>>,
    manner: Arc<Mutex<Manner>>,
    computer: Computer,
    epoch: u64,
    shutdown: CancellationToken,
}

impl Said {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn manner(&self) -> Manner {
        self.manner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl FakeDaemon {
    /// Returns what it was asked so far.
    pub fn heard(&self) -> Heard {
        self.said.heard().clone()
    }

    /// Behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        *self.said.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// Polls until what it was asked satisfies a test.
    pub async fn until(&self, what: &str, enough: impl Fn(&Heard) -> bool) -> Heard {
        let asked = async {
            loop {
                let heard = self.heard();
                if enough(&heard) {
                    return heard;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let heard = tokio::time::timeout(SOON, asked).await.ok();
        heard.unwrap_or_else(|| panic!("{what} never came: {:?}", self.heard()))
    }

    /// Waits for the `count`-th command and returns it.
    pub async fn command(&self, count: usize) -> PushCommand {
        let heard = self.until("a command", |heard| heard.commands.len() >= count).await;
        heard.commands[count - 1].clone()
    }

    /// Waits for the `count`-th prompt and returns it.
    pub async fn prompt(&self, count: usize) -> PushPrompt {
        let heard = self.until("a prompt", |heard| heard.prompts.len() >= count).await;
        heard.prompts[count - 1].1.clone()
    }

    /// Reports facts in the order of its journal.
    pub async fn report(&mut self, facts: impl IntoIterator<Item = Fact>) -> Answer {
        let reports: Vec<_> = facts
            .into_iter()
            .map(|fact| {
                self.seq += 1;
                json!({ "seq": self.seq, "at": 0, "fact": fact })
            })
            .collect();
        let answer = self.report_raw(self.said.epoch, &reports).await;
        assert_eq!(answer.status, 200, "{}", answer.raw);
        assert_eq!(answer.body["appliedThrough"], self.seq);
        answer
    }

    /// Sends lines of a run's transcript, each a document of JSON; `last` says that nothing more comes.
    pub async fn write(&self, run: RunId, lines: &[impl Serialize], last: bool) {
        let computer = &self.said.computer;
        let path = format!("{}/runs/{run}/transcript", computer.path());
        let mut request = computer.client.request(reqwest::Method::POST, &path).json(lines);
        if last {
            request = request.header("stream-closed", "true");
        }
        let answer = computer.client.send(request).await;
        assert_eq!(answer.status, 204, "{}", answer.raw);
    }

    /// Sends a transcript of more than so many million bytes, events of 10 kB each; returns the number of the last.
    ///
    /// The output of event number N ends with `-N`.
    pub async fn write_much(&self, run: RunId, megabytes: u64) -> u64 {
        const SIZE: usize = 10_000;
        const TOGETHER: u64 = 350;
        let computer = &self.said.computer;
        let path = format!("{}/runs/{run}/transcript", computer.path());
        let mut last = 0;
        while last * (SIZE as u64) < megabytes * 1_000_000 {
            let lines = (last + 1..=last + TOGETHER).map(|seq| {
                let output = format!("{seq:->SIZE$}");
                let event = RunEvent::ToolResult { id: seq.to_string(), output, is_error: false };
                serde_json::to_string(&Sequenced { seq, at: Timestamp(1), event }).expect("JSON")
            });
            let body = format!("[{}]", lines.collect::<Vec<_>>().join(","));
            let request =
                computer.client.request(reqwest::Method::POST, &path).header("content-type", "application/json");
            let answer = computer.client.send(request.body(body)).await;
            assert_eq!(answer.status, 204, "{}", answer.raw);
            last += TOGETHER;
        }
        last
    }

    /// Reports as told.
    pub async fn report_raw(&self, epoch: u64, reports: &[Value]) -> Answer {
        let computer = &self.said.computer;
        let body = json!({ "epoch": epoch, "journalId": computer.journal, "reports": reports });
        let path = format!("{}/reports", computer.path());
        computer.client.post(&path, body).await
    }

    /// Reports that a start was taken and that its process is there and idle.
    pub async fn started(&mut self, command: &PushCommand) -> RunId {
        let run_id = command.start.as_ref().expect("a start").run_id;
        let command_id = command.command_id;
        self.report([
            Fact::CommandReceived { command_id },
            Fact::RunStarted { run_id, pid: 4242, start_time: 77 },
            Fact::CommandFinished { command_id, status: CommandStatus::Completed, result: format!("started {run_id}") },
            Fact::RunActivity { run_id, activity: RunActivity::Idle },
        ])
        .await;
        run_id
    }

    /// Returns whether its tunnel is still up.
    pub fn is_connected(&self) -> bool {
        !self.served.is_finished()
    }

    /// Waits until its tunnel has ended, and returns after how long.
    pub async fn ended(&mut self) -> Duration {
        let begun = std::time::Instant::now();
        let served = tokio::time::timeout(SOON, &mut self.served).await;
        assert!(served.is_ok(), "the tunnel is still up");
        begun.elapsed()
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {
        self.served.abort();
    }
}

fn router(said: Said) -> Router {
    Router::new()
        .route("/platform/ping", post(ping))
        .route("/platform/credential", post(credential))
        .route("/platform/renewal", post(renewal))
        .route("/platform/links", post(open_link))
        .route("/platform/reconnect", post(reconnect))
        .route("/commands", post(command))
        .route("/agents/{run}/prompts", post(prompt))
        .route("/agents/{run}/prompts/{id}", post(change_prompt))
        .route("/agents/{run}/interrupt", post(interrupt))
        .route("/agents/{run}/permissions/{id}", post(decide))
        .route("/agents/{run}/transcript", get(transcript))
        .layer(middleware::from_fn_with_state(said.clone(), authorize))
        .with_state(said)
}

async fn authorize(State(said): State<Said>, request: Request, next: Next) -> Response {
    let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let taken = said.heard().credentials.iter().any(|credential| credential.platform_token == shown);
    if shown == said.computer.platform_token || taken {
        next.run(request).await
    } else {
        refusal(401, ErrorCode::NotSignedIn)
    }
}

async fn credential(State(said): State<Said>, Json(credential): Json<MachineCredential>) -> Response {
    if said.manner().disk_is_full {
        return refusal(500, ErrorCode::Internal);
    }
    said.heard().credentials.push(credential);
    axum::http::StatusCode::NO_CONTENT.into_response()
}

async fn renewal(State(said): State<Said>, Json(Renewal { renewal }): Json<Renewal>) -> Response {
    if said.manner().disk_is_full {
        return refusal(500, ErrorCode::Internal);
    }
    said.computer.renewal.store(renewal, Ordering::SeqCst);
    axum::http::StatusCode::NO_CONTENT.into_response()
}

fn refusal(status: u16, code: ErrorCode) -> Response {
    let problem = Problem {
        kind: "about:blank".into(),
        title: "Refused".into(),
        status,
        code,
        detail: format!("the daemon refused: {}", code.as_str()),
        request_id: None,
        allowed: Vec::new(),
        state: None,
    };
    let status = axum::http::StatusCode::from_u16(status).expect("a status");
    (status, Json(problem)).into_response()
}

async fn ping(State(said): State<Said>, Json(_): Json<Ping>) -> Json<Pong> {
    let tools = said.computer.tools.iter().map(|tool| ToolFacts {
        tool: *tool,
        presence: chatroom_protocol::api::machines::ToolPresence::Installed,
        version: Some("1.2.3".into()),
    });
    let pong = Pong {
        protocol_version: PROTOCOL_VERSION,
        daemon_version: "0.1.0".into(),
        epoch: said.epoch,
        tools: tools.collect(),
        runs: said.manner().runs,
    };
    said.heard().pings += 1;
    Json(pong)
}

async fn command(State(said): State<Said>, Json(push): Json<PushCommand>) -> Json<CommandReceipt> {
    let manner = said.manner();
    let slow = manner.slow.filter(|(kind, _)| *kind == push.kind);
    let duplicate = {
        let mut heard = said.heard();
        let before = heard.commands.iter().any(|seen| seen.command_id == push.command_id);
        heard.commands.push(push);
        before
    };
    if let Some((_, time)) = slow {
        tokio::time::sleep(time).await;
    }
    let outcome = manner.outcome.map(|(status, result)| CommandOutcome { status, result: result.into() });
    Json(CommandReceipt { duplicate, outcome })
}

async fn prompt(State(said): State<Said>, Path(run): Path<RunId>, Json(push): Json<PushPrompt>) -> Json<PromptReceipt> {
    let mut heard = said.heard();
    let duplicate = heard.prompts.iter().any(|(_, seen)| seen.prompt_id == push.prompt_id);
    heard.prompts.push((run, push));
    Json(PromptReceipt { duplicate })
}

async fn change_prompt(
    State(said): State<Said>,
    Path((_, id)): Path<(RunId, PromptId)>,
    Json(change): Json<ChangePrompt>,
) -> Response {
    if let Some(code) = said.manner().refuses_answers {
        return refusal(409, code);
    }
    said.heard().changes.push((id, change));
    Json(json!({ "changed": true })).into_response()
}

async fn interrupt(State(said): State<Said>, Path(run): Path<RunId>, Json(body): Json<Interrupt>) -> Json<Value> {
    said.heard().interrupts.push((run, body));
    Json(json!({ "changed": true }))
}

async fn decide(
    State(said): State<Said>,
    Path((run, id)): Path<(RunId, PermissionId)>,
    Json(decision): Json<DecidePermission>,
) -> Response {
    if let Some(code) = said.manner().refuses_answers {
        return refusal(409, code);
    }
    said.heard().decisions.push((run, id, decision));
    Json(json!({})).into_response()
}

#[derive(serde::Deserialize)]
struct Live {
    live: Option<String>,
}

async fn transcript(State(said): State<Said>, Path(run): Path<RunId>, Query(Live { live }): Query<Live>) -> Body {
    let follow = live.is_some();
    let lines = format!("[{{\"run\":\"{run}\"}},{{\"follow\":{follow}}}]\n");
    if said.manner().endless_logs {
        let lines = bytes::Bytes::from(lines.repeat(500));
        return Body::from_stream(stream::repeat_with(move || {
            said.heard().log_pieces += 1;
            Ok::<_, std::convert::Infallible>(lines.clone())
        }));
    }
    if follow && said.manner().log_stays {
        let lines = stream::iter([Ok::<_, std::convert::Infallible>(lines)]);
        return Body::from_stream(lines.chain(stream::pending()));
    }
    Body::from(lines)
}

async fn open_link(State(said): State<Said>, Json(open): Json<OpenLink>) -> Response {
    if said.manner().one_connection {
        return refusal(404, ErrorCode::NotFound);
    }
    said.heard().links += 1;
    let mut target = said.computer.target(said.epoch, PROTOCOL_VERSION);
    target.headers.insert("chatroom-ticket", HeaderValue::try_from(open.ticket).expect("a header"));
    tokio::spawn(async move {
        if let Ok(conn) = dial(&target).await {
            let shutdown = said.shutdown.clone().cancelled_owned();
            let _ = conn.serve(router(said), shutdown).await;
        }
    });
    axum::http::StatusCode::ACCEPTED.into_response()
}

async fn reconnect(State(said): State<Said>) -> Json<Value> {
    said.heard().farewells += 1;
    Json(json!({}))
}
