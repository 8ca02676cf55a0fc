//! Every route of the API description, called by everybody who should not.
//!
//! The description's `security` is the rule, this walk its proof. A route that
//! names nobody must be in [`PUBLIC`]; a parameter or body the walk does not know
//! must be added to the tables here, or the walk fails and says which.

use chatroom_domain::agents::Run;
use chatroom_domain::secrets::TokenKind;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::{CommandId, RoomId, RunId, Timestamp, Tool, UserId};
use chatroom_server::accounts;
use chatroom_testkit::world::{Answer, Client, User, World};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Routes that are open to everyone.
const PUBLIC: &[&str] = &[
    "POST /api/auth/device",
    "POST /api/auth/device/token",
    "POST /api/auth/sign-in",
    "POST /api/auth/sign-up",
    "POST /api/enrolments/claim",
    "GET /join.sh",
    "GET /download/{platform}/chatroom",
];

/// Routes a stranger may use although their path names something, and why.
const OPEN_TO_STRANGERS: &[(&str, &str)] =
    &[("/api/auth/device/{userCode}", "whoever knows the code of a device decides")];

/// One route of the description.
pub struct Route {
    pub method: Method,
    pub path: String,
    pub callers: Vec<String>,
    body: Option<String>,
    /// The statuses it is described with, each with the content types of its answers.
    pub answers: Vec<(String, Vec<String>)>,
}

impl Route {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether only the user of a machine may use it: what it names is on that machine.
    fn is_of_a_machine(&self) -> bool {
        // Every member of a room sees how its runs fare.
        if self.path == "/api/runs/{runId}" || self.path.ends_with("/agents/{role}/runs") {
            return false;
        }
        self.path.contains("{machineId}") || self.path.contains("{runId}") || self.path.contains("/agents/{role}/")
    }
}

pub fn routes() -> Vec<Route> {
    let description = serde_json::to_value(chatroom_server::http::description()).expect("a description");
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, route) in item.as_object().expect("methods") {
            let callers: Vec<String> = route["security"]
                .as_array()
                .into_iter()
                .flatten()
                .flat_map(|one| one.as_object().expect("a rule").keys().cloned())
                .collect();
            let reference = &route["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let body = reference.as_str().and_then(|name| name.rsplit('/').next()).map(str::to_owned);
            let method = method.to_uppercase().parse().expect("a method");
            let answers = route["responses"].as_object().expect("answers").iter();
            let answers = answers.map(|(status, answer)| (status.clone(), kinds(answer))).collect();
            routes.push(Route { method, path: path.clone(), callers, body, answers });
        }
    }
    routes
}

/// Returns the content types of a described answer.
fn kinds(answer: &Value) -> Vec<String> {
    answer["content"].as_object().into_iter().flatten().map(|(kind, _)| kind.clone()).collect()
}

/// What the parameters of a path stand for.
#[derive(Clone)]
pub struct Things {
    room: String,
    message: String,
    task: String,
    machine: String,
    command: String,
    run: String,
    session: String,
    instance: String,
    user: String,
    code: String,
    attachment: String,
}

impl Things {
    /// Things that do not exist.
    pub fn unknown() -> Self {
        let ulid = "01HF7YAT000000000000000007";
        Self {
            room: format!("room_{ulid}"),
            message: format!("msg_{ulid}"),
            task: format!("task_{ulid}"),
            machine: Uuid::new_v4().to_string(),
            command: format!("cmd_{ulid}"),
            run: format!("run_{ulid}"),
            session: format!("ses_{ulid}"),
            instance: format!("inst_{ulid}"),
            user: format!("usr_{ulid}"),
            code: "BBBB-BBBB".into(),
            attachment: format!("att_{ulid}"),
        }
    }

    /// Fills in a path.
    pub fn path(&self, route: &Route) -> String {
        let mut path = route.path.clone();
        for (parameter, value) in [
            ("chatroomId", self.room.as_str()),
            ("messageId", &self.message),
            ("taskId", &self.task),
            ("machineId", &self.machine),
            ("commandId", &self.command),
            ("runId", &self.run),
            ("sessionId", &self.session),
            ("instanceId", &self.instance),
            ("userId", &self.user),
            ("userCode", &self.code),
            ("attachmentId", &self.attachment),
            ("permissionId", "perm_01HF7YAT000000000000000007"),
            ("promptId", "prm_01HF7YAT000000000000000007"),
            ("role", "builder"),
            ("platform", "plan9-sparc"),
        ] {
            path = path.replace(&format!("{{{parameter}}}"), value);
        }
        if path.ends_with("/search") {
            path.push_str(if path == "/api/search" { "?q=x" } else { "?text=x" });
        }
        if path.ends_with("/attachments") {
            path.push_str("?name=x");
        }
        assert!(!path.contains('{'), "{}: add its parameter to Things::path in walk.rs", route.name());
        path
    }
}

/// Returns a body that fits a schema.
pub fn body(route: &Route) -> Option<Value> {
    let name = route.body.as_deref()?;
    let machine = json!({ "hostname": "laptop", "os": "linux", "availableTools": [] });
    Some(match name {
        "StartDevice" => json!({ "device": "laptop", "version": "0.1.0" }),
        "PollDevice" => json!({ "deviceCode": "crd_x" }),
        "DecideDevice" => json!({ "decision": "deny" }),
        "ChangePassword" => json!({ "current": "wrong wrong", "new": "another horse" }),
        "SignIn" => json!({ "email": "nobody@example.org", "password": "wrong wrong" }),
        "SignUp" => json!({ "email": "x", "name": "x", "password": "x" }),
        "Code" => json!({ "code": "cro_x" }),
        "MarkRead" => json!({ "messageId": "msg_01HF7YAT000000000000000007" }),
        "UpdateRoom" => json!({ "name": "x" }),
        "CreateRoom" => json!({ "name": "x", "roles": ["builder"] }),
        "FollowUp" => json!({ "text": "x" }),
        "AnswerPermission" => json!({ "decision": "allow", "digest": "0".repeat(64) }),
        "ShareAgent" => json!({ "shared": true }),
        "SendMessage" | "EditMessage" | "ReportProgress" => json!({ "content": "x" }),
        "Handoff" => json!({ "nextRole": "user", "content": "x" }),
        "Join" => json!({ "connectionId": "a".repeat(32), "machineId": Uuid::new_v4() }),
        "Wait" => json!({ "connectionId": "a".repeat(32) }),
        "CompleteTask" | "StartTask" => json!({ "role": "builder" }),
        "ClaimEnrolment" => json!({ "code": "cro_x", "machineId": Uuid::new_v4(), "machine": machine }),
        "RegisterMachine" => machine,
        "RenameMachine" => json!({ "alias": "x" }),
        "UpdateAgentConfig" => json!({ "agentType": "claude", "workingDir": "/tmp/x" }),
        "SendCommand" => json!({ "type": "ping" }),
        "AckCommand" => json!({ "status": "processing" }),
        "TranscriptPage" | "JournalPage" => json!([]),
        "Reports" => json!({ "epoch": 1, "journalId": "01HF7YAT000000000000000007", "reports": [] }),
        other => panic!("{}: add a body for {other} to walk.rs", route.name()),
    })
}

async fn call(client: &Client, route: &Route, things: &Things) -> Answer {
    let request = client.request(route.method.clone(), &things.path(route));
    let request = match body(route) {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = client.send(request).await;
    assert!(answer.status < 500, "{}: {} {}", route.name(), answer.status, answer.raw);
    answer
}

/// Alice, who owns everything; bob, a member of her instance; carol, a stranger.
pub struct Cast {
    pub world: World,
    pub alice: User,
    bob: User,
    carol: User,
    pub things: Things,
    other_room: String,
    pub machine: Client,
    others_machine: Client,
    pub run: Client,
}

impl Cast {
    pub async fn gather() -> Self {
        let world = World::start().await;
        let (alice, bob, carol) = (world.user("alice").await, world.user("bob").await, world.user("carol").await);
        world.befriend(&alice, &bob).await;
        let id = |path: String| path.rsplit('/').next().expect("an id").to_owned();
        let room = id(world.room(&alice, &["builder"]).await);
        let other_room = id(world.room(&alice, &["builder"]).await);
        let file = alice.request(Method::POST, &format!("/api/chatrooms/{room}/attachments?name=x")).body("x");
        let attachment = alice.send(file).await.text("attachmentId").to_owned();
        let body = json!({ "content": "x", "attachments": [attachment] });
        let said = alice.post(&format!("/api/chatrooms/{room}/messages"), body).await;
        let (machine_id, machine) = register(&alice).await;
        let (_, others_machine) = register(&bob).await;
        let command = alice.post(&format!("/api/machines/{machine_id}/commands"), json!({ "type": "ping" })).await;
        let sessions = alice.get("/api/auth/sessions").await.body;
        let config = json!({ "agentType": "claude", "workingDir": "/tmp/x" });
        let saved = alice.put(&format!("/api/machines/{machine_id}/agents/{room}/builder"), config).await;
        assert_eq!(saved.status, 200, "{}", saved.raw);
        let start = json!({ "type": "start-agent", "chatroomId": room, "role": "builder" });
        let start = alice.post(&format!("/api/machines/{machine_id}/commands"), start).await;
        let run = run(&world, &alice, &room, &machine_id).await;
        let things = Things {
            room,
            message: said.text("messageId").to_owned(),
            task: said.text("taskId").to_owned(),
            machine: machine_id,
            command: command.text("commandId").to_owned(),
            run: start.text("runId").to_owned(),
            session: sessions["sessions"][0]["sessionId"].as_str().expect("a session").to_owned(),
            instance: alice.instance.clone(),
            user: bob.id.clone(),
            code: "BCDF-GHJK".into(),
            attachment,
        };
        Self { world, alice, bob, carol, things, other_room, machine, others_machine, run }
    }

    /// Signs somebody in afresh: some routes end the session they are called with.
    pub async fn fresh(&self, user: &User) -> Client {
        let id: UserId = user.id.parse().expect("an id");
        let issued = accounts::cli_session(self.world.app(), id, "walk").await.expect("a session");
        user.with_token(&issued.token)
    }

    /// Begins a device sign-in, so that there is one to decide; time passes, so that nothing here is too many.
    async fn with_device(&self) -> Things {
        self.world.clock().advance(15 * 60 * 1000);
        let body = json!({ "device": "laptop", "version": "0.1.0" });
        let codes = self.world.anonymous().post("/api/auth/device", body).await;
        Things { code: codes.text("userCode").to_owned(), ..self.things.clone() }
    }
}

async fn register(user: &User) -> (String, Client) {
    let id = Uuid::new_v4().to_string();
    let claude = json!({ "tool": "claude", "presence": "installed" });
    let body = json!({ "hostname": "laptop", "os": "linux", "availableTools": [claude] });
    let put = user.put(&format!("/api/machines/{id}"), body).await;
    assert!(put.status < 300, "{}", put.raw);
    let issued = user.post(&format!("/api/machines/{id}/credential"), json!({})).await;
    (id, user.with_token(issued.body["credential"]["machineToken"].as_str().expect("a credential")))
}

/// Makes a run whose token is known here.
async fn run(world: &World, user: &User, room: &str, machine: &str) -> Client {
    let app = world.app();
    let work = app.begin().await.expect("a change");
    let token = app.mint(TokenKind::Run).expect("a token");
    let run = Run {
        id: app.id(RunId::from_parts).expect("an id"),
        room: room.parse::<RoomId>().expect("an id"),
        role: "builder".parse().expect("a role"),
        machine: machine.parse().expect("an id"),
        user: user.id.parse().expect("an id"),
        command: app.id(CommandId::from_parts).expect("an id"),
        tool: Tool::Claude,
        model: None,
        working_dir: "/tmp/x".into(),
        mode: PermissionMode::Ask,
        form: RunForm::Managed,
        activity: RunActivity::Idle,
        pid: None,
        start_time: None,
        conversation: None,
        awaiting_handoff: false,
        created_at: work.now,
        exited_at: None,
        exit: None,
        crashed: false,
        trouble: None,
    };
    chatroom_store::runs::insert(&work.tx, &run, &token.hash(), Timestamp(i64::MAX)).await.expect("a run");
    work.commit().await.expect("a run");
    user.with_token(token.expose())
}

fn seen(answer: &Answer) -> (u16, String, String) {
    (answer.status, answer.text("code").to_owned(), answer.text("detail").to_owned())
}

#[tokio::test]
async fn every_route_says_who_may_call_it() {
    for route in routes() {
        let public = PUBLIC.contains(&route.name().as_str());
        assert_eq!(route.callers.is_empty(), public, "{}: name its callers, or add it to PUBLIC", route.name());
        for caller in &route.callers {
            assert!(["session", "machine", "run"].contains(&caller.as_str()), "{}: {caller}", route.name());
        }
        Things::unknown().path(&route);
        body(&route);
    }
    for name in PUBLIC {
        assert!(routes().iter().any(|route| route.name() == *name), "{name} is gone: take it out of PUBLIC");
    }
}

#[tokio::test]
async fn who_proves_nothing_gets_nowhere() {
    let cast = Cast::gather().await;
    let ended = cast.fresh(&cast.alice).await;
    let id = cast.alice.get("/api/auth/sessions").await.body["sessions"][0]["sessionId"].clone();
    cast.alice.delete(&format!("/api/auth/sessions/{}", id.as_str().expect("an id"))).await;
    let credential = format!("/api/machines/{}/credential", cast.things.machine);
    assert!(cast.alice.post(&credential, json!({})).await.status < 300, "the old credential ends with this");
    let nobody = cast.world.anonymous();
    let callers = [
        ("anonymous", nobody.clone()),
        ("revoked session", ended),
        ("revoked machine", cast.machine.clone()),
        ("made-up session", nobody.with_token(&format!("crs_{}", "A".repeat(43)))),
        ("made-up machine", nobody.with_token(&format!("crm_{}", "A".repeat(43)))),
        ("made-up run", nobody.with_token(&format!("crr_{}", "A".repeat(43)))),
        ("one-time code", nobody.with_token(&format!("cro_{}", "A".repeat(43)))),
        ("nonsense", nobody.with_token("nonsense")),
    ];
    for route in routes().iter().filter(|route| !route.callers.is_empty()) {
        for (name, caller) in &callers {
            let answer = call(caller, route, &cast.things).await;
            assert_eq!(
                (answer.status, answer.text("code")),
                (401, "not_signed_in"),
                "{} by {name}: {}",
                route.name(),
                answer.raw
            );
        }
    }
}

#[tokio::test]
async fn the_wrong_kind_of_caller_is_told_so() {
    let cast = Cast::gather().await;
    for route in routes().iter().filter(|route| !route.callers.is_empty()) {
        let session = cast.fresh(&cast.alice).await;
        for (kind, caller) in [("session", &session), ("machine", &cast.machine), ("run", &cast.run)] {
            if route.callers.iter().any(|allowed| allowed == kind) {
                continue;
            }
            let answer = call(caller, route, &cast.things).await;
            assert_eq!(
                (answer.status, answer.text("code")),
                (403, "forbidden"),
                "{} by a {kind}: {}",
                route.name(),
                answer.raw
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_yours_looks_as_if_it_were_not_there() {
    let cast = Cast::gather().await;
    let names_something = |route: &&Route| {
        route.path.contains('{')
            && route.callers.iter().any(|caller| caller == "session")
            && !OPEN_TO_STRANGERS.iter().any(|(path, _)| *path == route.path)
    };
    for route in routes().iter().filter(names_something) {
        let stranger = call(&cast.fresh(&cast.carol).await, route, &cast.things).await;
        assert_eq!(stranger.status, 404, "{} by a stranger: {}", route.name(), stranger.raw);
        if route.name() != "PUT /api/machines/{machineId}" {
            // Putting an unknown machine registers it.
            let unknown = call(&cast.fresh(&cast.carol).await, route, &Things::unknown()).await;
            assert_eq!(seen(&stranger), seen(&unknown), "{}", route.name());
        }
        if route.is_of_a_machine() {
            let member = call(&cast.fresh(&cast.bob).await, route, &cast.things).await;
            assert_eq!(member.status, 404, "{} by another member: {}", route.name(), member.raw);
        }
    }
    // Nothing of what they tried has happened.
    assert_eq!(cast.alice.get(&format!("/api/machines/{}", cast.things.machine)).await.text("alias"), "laptop");
    let members = cast.alice.get(&format!("/api/instances/{}/members", cast.alice.instance)).await.body;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));
    let history = cast.alice.get(&format!("/api/chatrooms/{}/messages", cast.things.room)).await.body;
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_machine_and_a_run_speak_for_themselves_alone() {
    let cast = Cast::gather().await;
    for route in routes() {
        let allowed = |kind: &str| route.callers.iter().any(|caller| caller == kind);
        if allowed("machine") && route.path.contains("{machineId}") {
            let other = call(&cast.others_machine, &route, &cast.things).await;
            assert!(matches!(other.status, 403 | 404), "{} by another machine: {}", route.name(), other.raw);
            let own = call(&cast.machine, &route, &cast.things).await;
            assert!(!matches!(own.status, 401 | 403 | 404), "{} by the machine: {}", route.name(), own.raw);
        }
        if allowed("run") {
            let elsewhere = Things { room: cast.other_room.clone(), ..cast.things.clone() };
            let other = call(&cast.run, &route, &elsewhere).await;
            let unknown = call(&cast.run, &route, &Things::unknown()).await;
            assert_eq!(other.status, 404, "{} in another room: {}", route.name(), other.raw);
            assert_eq!(seen(&other), seen(&unknown), "{}", route.name());
            let own = call(&cast.run, &route, &cast.things).await;
            assert!(!matches!(own.status, 401 | 403), "{} in its own room: {}", route.name(), own.raw);
            // Where it says "not found" it means something inside the room, not the room.
            assert!(own.status < 400 || seen(&own) != seen(&unknown), "{}: {}", route.name(), own.raw);
        }
    }
}

#[tokio::test]
async fn the_owner_is_let_in_everywhere() {
    let cast = Cast::gather().await;
    for route in routes().iter().filter(|route| route.callers.iter().any(|caller| caller == "session")) {
        if route.method != Method::GET {
            continue;
        }
        let things = cast.with_device().await;
        let answer = call(&cast.fresh(&cast.alice).await, route, &things).await;
        // The run ends once its start is found to be overdue.
        let away =
            answer.status == 409 && ["machine_offline", "not_running", "no_terminal"].contains(&answer.text("code"));
        assert!(answer.status == 200 || away, "{}: {}", route.name(), answer.raw);
    }
}
