//! A home with a registered machine, a server that takes its tunnel and its reports, and daemons.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path as Parameters, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chatroom_daemon::credentials::Credentials;
use chatroom_daemon::env::Ambient;
use chatroom_daemon::home::Home;
use chatroom_daemon::identity::Identity;
use chatroom_daemon::policy::Policy;
use chatroom_daemon::{DaemonError, Exit, Options, Shutdown};
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::commands::CommandStatus;
use chatroom_protocol::api::daemon::{CommandReceipt, LiveRun, PushCommand, Slot, StartRun};
use chatroom_protocol::api::reports::{Applied, Fact, Report, Reports};
use chatroom_protocol::journal::{JournalEntry, LAST};
use chatroom_protocol::{CommandId, ErrorCode, Problem, Role, RoomId, RunId, Timestamp, Tool};
use chatroom_streams::router::RouterOptions;
use chatroom_streams::{ContentType, Create, Engine, Start};
use chatroom_tunnel::{Link, Listener, Settings, upgrade};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;
use url::Url;

pub const CRM: &str = "crm_machinemachinemachinemachinemachinemachin";
pub const CRP: &str = "crp_platformplatformplatformplatformplatform1";
pub const CRR: &str = "crr_5ecretSecretSecretSecretSecretSecretSecret00";
/// The stream of the journal.
const JOURNAL: &str = "journal";
/// What every wait is bounded by.
pub const SOON: Duration = Duration::from_mins(1);

/// Polls until there is something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < SOON, "it never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

pub fn unique() -> u128 {
    uuid::Uuid::new_v4().as_u128() >> 50
}

/// What the server saw, and how it answers.
#[derive(Default)]
struct Seen {
    link: Option<Link>,
    links: usize,
    epochs: Vec<u64>,
    counts: Vec<u64>,
    shown: Vec<String>,
    reports: Vec<Report>,
    deliveries: usize,
    refuse: Option<(StatusCode, ErrorCode)>,
    lose_answers: usize,
    appends: usize,
    lose_appends: usize,
    lose_entries: usize,
    forgotten: Vec<String>,
}

/// A server with one machine.
pub struct Server {
    pub url: Url,
    seen: Arc<Mutex<Seen>>,
    engine: Engine,
    _stop: DropGuard,
    _streams: TempDir,
}

type Shared = Arc<Mutex<Seen>>;

fn refusal(seen: &Shared) -> Option<Response> {
    let (status, code) = seen.lock().unwrap().refuse?;
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: String::new(),
        status: status.as_u16(),
        code,
        detail: "refused on purpose".to_owned(),
        request_id: None,
        allowed: Vec::new(),
        state: None,
    };
    Some((status, Json(problem)).into_response())
}

/// Returns what a machine showed to prove itself.
fn shown(request: &Request) -> String {
    let shown = request.headers()["authorization"].to_str().unwrap();
    let token = shown.strip_prefix("Bearer ").unwrap();
    assert!(token.starts_with("crm_"), "{token}");
    token.to_owned()
}

async fn tunnel(State(seen): State<Shared>, request: Request) -> Response {
    if let Some(refusal) = refusal(&seen) {
        return refusal;
    }
    seen.lock().unwrap().shown.push(shown(&request));
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    let epoch = header("chatroom-epoch").parse().unwrap();
    let count = header("chatroom-renewal").parse().unwrap();
    assert!(header("chatroom-journal").len() == 26 && header("chatroom-protocol") == "1");
    assert!(header("chatroom-machine").parse::<uuid::Uuid>().is_ok() && !header("chatroom-version").is_empty());
    let (response, pending) = upgrade(request).unwrap();
    tokio::spawn(async move {
        let (link, driver) = pending.connect(Settings::default()).await.unwrap();
        {
            let mut seen = seen.lock().unwrap();
            seen.link = Some(link);
            seen.links += 1;
            seen.epochs.push(epoch);
            seen.counts.push(count);
        }
        driver.await;
    });
    response
}

async fn reports(State(seen): State<Shared>, request: Request) -> Response {
    if let Some(refusal) = refusal(&seen) {
        return refusal;
    }
    let token = shown(&request);
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Reports = serde_json::from_slice(&body).unwrap();
    assert!(body.reports.len() <= 256);
    let mut seen = seen.lock().unwrap();
    seen.deliveries += 1;
    seen.shown.push(token);
    for report in body.reports {
        let last = seen.reports.last().map_or(0, |report| report.seq);
        assert!(report.seq <= last + 1, "a report is missing before {}", report.seq);
        if report.seq == last + 1 {
            seen.reports.push(report);
        }
    }
    if seen.lose_answers > 0 {
        seen.lose_answers -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let applied_through = seen.reports.last().map_or(0, |report| report.seq);
    Json(Applied { applied_through }).into_response()
}

/// The streams of the server: a real engine.
#[derive(Clone)]
struct Streams {
    seen: Shared,
    engine: Engine,
    router: Router,
}

async fn transcript(
    State(streams): State<Streams>,
    Parameters((_, run)): Parameters<(String, String)>,
    request: Request,
) -> Response {
    if let Some(refusal) = refusal(&streams.seen) {
        return refusal;
    }
    shown(&request);
    if streams.seen.lock().unwrap().forgotten.contains(&run) {
        let problem = [("content-type", "application/problem+json")];
        return (StatusCode::NOT_FOUND, problem, r#"{"code":"not_found"}"#).into_response();
    }
    let is_append = request.method() == Method::POST;
    let response = streams.pass_on(&run, request).await;
    let mut seen = streams.seen.lock().unwrap();
    seen.appends += usize::from(is_append);
    if is_append && seen.lose_appends > 0 {
        seen.lose_appends -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    response
}

async fn journal(State(streams): State<Streams>, request: Request) -> Response {
    if let Some(refusal) = refusal(&streams.seen) {
        return refusal;
    }
    shown(&request);
    let method = request.method().clone();
    let mut response = streams.pass_on(JOURNAL, request).await;
    if method == Method::HEAD
        && let Some(last) = entries(&streams.engine).last()
    {
        response.headers_mut().insert(LAST, last.place().to_string().parse().unwrap());
    }
    let mut seen = streams.seen.lock().unwrap();
    if method == Method::POST && seen.lose_entries > 0 {
        seen.lose_entries -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    response
}

/// Returns what has come of the journal.
fn entries(engine: &Engine) -> Vec<JournalEntry> {
    let Ok(reader) = engine.reader(JOURNAL) else { return Vec::new() };
    let view = reader.view(Start::Beginning).unwrap();
    assert!(view.is_up_to_date, "more than a page");
    serde_json::from_slice(&view.load().unwrap()).unwrap()
}

impl Streams {
    async fn pass_on(&self, name: &str, mut request: Request) -> Response {
        let json = Create { content_type: Some(ContentType::json()), ..Create::default() };
        // Made before, and maybe closed since.
        let _ = self.engine.create(name, json).await;
        // The parameters of this route are not those of that one.
        request.extensions_mut().clear();
        *request.uri_mut() = format!("/streams/{name}").parse().unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }
}

impl Server {
    async fn start() -> Self {
        let seen = Shared::default();
        let streams = TempDir::with_prefix("streams-").unwrap();
        let engine = Engine::start(streams.path(), chatroom_streams::Options::default()).unwrap();
        let options = RouterOptions { prefix: "/streams".into(), ..RouterOptions::default() };
        let router = chatroom_streams::router::router(engine.clone(), options);
        let transcripts = Router::new()
            .route("/api/machines/{id}/runs/{run}/transcript", any(transcript))
            .route("/api/machines/{id}/journal", any(journal))
            .with_state(Streams { seen: Arc::clone(&seen), engine: engine.clone(), router });
        let router = Router::new()
            .route("/api/tunnel", get(tunnel))
            .route("/api/machines/{id}/reports", post(reports))
            .with_state(Arc::clone(&seen))
            .merge(transcripts);
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", tcp.local_addr().unwrap()).parse().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(Listener::new(tcp).serve(router, stop.clone().cancelled_owned()));
        Self { url, seen, engine, _stop: stop.drop_guard(), _streams: streams }
    }

    /// From now on everything is refused like this.
    pub fn refuse(&self, how: Option<(StatusCode, ErrorCode)>) {
        self.seen.lock().unwrap().refuse = how;
    }

    /// Takes the next reports, and answers that it failed.
    pub fn lose_answers(&self, count: usize) {
        self.seen.lock().unwrap().lose_answers = count;
    }

    /// Takes the next parts of transcripts, and answers that it failed.
    pub fn lose_appends(&self, count: usize) {
        self.seen.lock().unwrap().lose_appends = count;
    }

    /// Takes the next entries of the journal, and answers that it failed.
    pub fn lose_entries(&self, count: usize) {
        self.seen.lock().unwrap().lose_entries = count;
    }

    /// Returns what has come of the journal.
    pub fn journal(&self) -> Vec<JournalEntry> {
        entries(&self.engine)
    }

    /// Loses what has come of the journal.
    pub async fn lose_journal(&self) {
        self.engine.delete(JOURNAL).await.unwrap();
    }

    /// From now on this run is not known.
    pub fn forget(&self, run: RunId) {
        self.seen.lock().unwrap().forgotten.push(run.to_string());
    }

    /// How often a part of a transcript came.
    pub fn appends(&self) -> usize {
        self.seen.lock().unwrap().appends
    }

    /// Returns what has come of a transcript, as an array, and whether it is complete.
    pub fn transcript(&self, run: RunId) -> (String, bool) {
        let Ok(reader) = self.engine.reader(&run.to_string()) else { return ("[]".into(), false) };
        let view = reader.view(Start::Beginning).unwrap();
        assert!(view.is_up_to_date, "more than a page");
        (String::from_utf8(view.load().unwrap().to_vec()).unwrap(), view.is_end)
    }

    pub fn cut(&self) {
        if let Some(link) = self.seen.lock().unwrap().link.take() {
            link.close();
        }
    }

    pub fn epochs(&self) -> Vec<u64> {
        self.seen.lock().unwrap().epochs.clone()
    }

    /// The counts that were shown, connection by connection.
    pub fn counts(&self) -> Vec<u64> {
        self.seen.lock().unwrap().counts.clone()
    }

    /// What the machine proved itself with, request by request.
    pub fn shown(&self) -> Vec<String> {
        self.seen.lock().unwrap().shown.clone()
    }

    pub fn reports(&self) -> Vec<Report> {
        self.seen.lock().unwrap().reports.clone()
    }

    pub fn facts(&self) -> Vec<Fact> {
        self.reports().into_iter().map(|report| report.fact).collect()
    }

    pub async fn link(&self) -> Link {
        until("a tunnel", async || {
            let link = self.seen.lock().unwrap().link.clone();
            link.filter(|link| !link.is_closed())
        })
        .await
    }

    /// Asks through the tunnel with the platform's credential.
    pub async fn ask(&self, method: &str, path: &str, body: Option<String>) -> (StatusCode, String) {
        self.ask_with(CRP, method, path, body).await
    }

    /// Asks through the tunnel with a credential of the test's own.
    pub async fn ask_with(&self, token: &str, method: &str, path: &str, body: Option<String>) -> (StatusCode, String) {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(body.map_or_else(Body::empty, Body::from))
            .unwrap();
        let answer = self.link().await.request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ErrorCode> {
        let (status, text) = self.ask("POST", path, Some(serde_json::to_string(body).unwrap())).await;
        if status.is_success() {
            Ok(serde_json::from_str(&text).unwrap())
        } else {
            Err(serde_json::from_str::<Problem>(&text).unwrap().code)
        }
    }

    pub async fn push(&self, command: &PushCommand) -> CommandReceipt {
        self.post("/commands", command).await.unwrap()
    }

    /// Waits for the reported outcome.
    pub async fn outcome(&self, command: CommandId) -> (CommandStatus, String) {
        until("an outcome", async || {
            self.facts().into_iter().find_map(|fact| match fact {
                Fact::CommandFinished { command_id, status, result } if command_id == command => Some((status, result)),
                _ => None,
            })
        })
        .await
    }

    /// Pushes a command and waits for its reported outcome.
    pub async fn perform(&self, command: &PushCommand) -> (CommandStatus, String) {
        self.push(command).await;
        self.outcome(command.command_id).await
    }

    pub async fn fact<T>(&self, what: &str, mut pick: impl FnMut(&Fact) -> Option<T>) -> T {
        until(what, async || self.facts().iter().find_map(&mut pick)).await
    }

    pub async fn agents(&self) -> Vec<LiveRun> {
        serde_json::from_str(&self.ask("GET", "/agents", None).await.1).unwrap()
    }
}

/// A machine and its server.
pub struct World {
    pub dir: TempDir,
    pub home: Home,
    pub server: Server,
    pub slot: Slot,
}

/// A daemon in this process.
pub struct Daemon {
    pub shutdown: Shutdown,
    task: JoinHandle<Result<Exit, DaemonError>>,
}

impl World {
    pub async fn new() -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider().install_default().unwrap();
        });
        let dir = TempDir::with_prefix("core-").unwrap();
        let home = Home::open(dir.path().canonicalize().unwrap().join("home")).unwrap();
        let server = Server::start().await;
        Identity::ensure(&home, &[]).unwrap();
        let credentials = Credentials {
            server_url: server.url.clone(),
            machine_token: CRM.to_owned(),
            platform_token: CRP.to_owned(),
            renewal: 0,
        };
        credentials.save(&home).unwrap();
        let slot = Slot { chatroom_id: RoomId::from_parts(now(), unique()), role: Role::parse("builder").unwrap() };
        let world = Self { dir, home, server, slot };
        std::fs::create_dir_all(world.path("person")).unwrap();
        std::fs::create_dir_all(world.path("tools")).unwrap();
        std::fs::create_dir_all(world.path("work")).unwrap();
        std::os::unix::fs::symlink(standin(), world.path("tools/cursor-agent")).unwrap();
        Policy::allow_dir(&world.home, &world.path("work")).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn ambient(&self) -> Ambient {
        let tools = format!("{}:/usr/bin:/bin", self.path("tools").display());
        let vars =
            [("PATH", tools.as_str()), ("HOME", self.path("person").to_str().unwrap()), ("CURSOR_API_KEY", "key")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ambient::new(vars)
    }

    pub fn options(&self) -> Options {
        Options {
            patience: Duration::from_secs(5),
            exe: Some(supervisor()),
            ambient: Some(self.ambient()),
            ..Options::new(self.home.clone(), Shutdown::default())
        }
    }

    pub fn daemon(&self) -> Daemon {
        let options = self.options();
        let shutdown = options.shutdown.clone();
        let task = tokio::spawn(chatroom_daemon::run(options));
        Daemon { shutdown, task }
    }

    pub fn command(kind: &str) -> PushCommand {
        PushCommand {
            command_id: CommandId::from_parts(now(), unique()),
            kind: kind.to_owned(),
            expires_in_ms: 60_000,
            start: None,
            slot: None,
            by: None,
        }
    }

    pub fn start_run(&self) -> StartRun {
        StartRun {
            run_id: RunId::from_parts(now(), unique()),
            slot: self.slot.clone(),
            tool: Tool::Cursor,
            model: None,
            conversation: None,
            working_dir: self.path("work").to_str().unwrap().to_owned(),
            mode: PermissionMode::Ask,
            form: RunForm::Managed,
            run_token: CRR.to_owned(),
            system_prompt: String::new(),
        }
    }

    pub fn start(&self) -> PushCommand {
        PushCommand { start: Some(self.start_run()), ..Self::command("start-agent") }
    }

    pub fn stop(&self) -> PushCommand {
        PushCommand { slot: Some(self.slot.clone()), ..Self::command("stop-agent") }
    }

    /// Starts an agent and returns its run.
    pub async fn started(&self) -> RunId {
        let start = self.start();
        let (status, result) = self.server.perform(&start).await;
        assert_eq!(status, CommandStatus::Completed, "{result}");
        start.start.unwrap().run_id
    }

    /// Returns the files below the home that hold `text`.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    walk(&entry.path(), text, found);
                } else if kind.is_file() {
                    let content = std::fs::read(entry.path()).unwrap();
                    if content.windows(text.len()).any(|part| part == text) {
                        found.push(entry.path());
                    }
                }
            }
        }
        let mut found = Vec::new();
        walk(self.home.path(), text.as_bytes(), &mut found);
        found
    }
}

impl Daemon {
    pub async fn stop(self) -> Exit {
        self.shutdown.stop.cancel();
        self.exit().await.unwrap()
    }

    pub async fn exit(self) -> Result<Exit, DaemonError> {
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap()
    }

    /// Ends it as a crash would: nothing is told to anybody.
    pub async fn crash(self, world: &World) {
        self.shutdown.force.cancel();
        self.exit().await.unwrap();
        world.server.cut();
        // In one process the thread that writes may outlive the daemon by a moment.
        until("the journal is free", async || chatroom_streams::Log::open(world.home.join("journal/journal.log")).ok())
            .await;
    }
}

/// The processes that carry the mark of a run.
pub fn processes(run: RunId) -> usize {
    use chatroom_daemon::process::tree::{Root, find};
    find(Root::Nowhere, run).len()
}

pub fn environment(vars: Vec<(String, String)>) -> BTreeMap<String, String> {
    vars.into_iter().collect()
}

fn standin() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/standins/cursor-agent");
    program.canonicalize().unwrap()
}

fn supervisor() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/supervise");
    assert!(program.exists(), "{} is missing: `cargo build --examples -p chatroom-daemon`", program.display());
    program
}
