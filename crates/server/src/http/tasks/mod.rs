//! Tasks of a room: waiting, starting, progress, completing, handing on.

use axum::extract::{Path, State};
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{Task, TaskError};
use chatroom_protocol::api::rooms::MessageView;
use chatroom_protocol::api::tasks::{
    CompleteTask, Context, Handoff, HandoffDone, Join, Joined, ReportProgress, StartTask, TaskState, TaskView,
    TaskWithPrompt, Tasks, Wait, WaitOutcome,
};
use chatroom_protocol::{Problem, Role, RoomId, TaskId};
use chatroom_store::Access;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::http::Json;
use crate::http::caller::{AnyCaller, Person};
use crate::limits::Kind;
use crate::rooms::prompts::Loop;
use crate::rooms::{self, messages, prompts};
use crate::tasks::{self, handoff, wait};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(join))
        .routes(routes!(wait_for_task))
        .routes(routes!(start))
        .routes(routes!(complete))
        .routes(routes!(release))
        .routes(routes!(approve))
        .routes(routes!(progress))
        .routes(routes!(hand_off))
        .routes(routes!(context))
}

/// Lists a room's tasks: active ones by position, then the latest completed ones.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/tasks", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path)), responses((status = 200, body = Tasks), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn list(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path(id): Path<RoomId>,
) -> Result<Json<Tasks>, Error> {
    let reader = app.reader();
    let room = rooms::for_caller(&reader, &caller, id).await?;
    Ok(Json(Tasks { tasks: tasks::views(&reader, &app, &room).await? }))
}

/// Makes the caller's shell, or the terminal of its run, the one waiter of a role. An older waiter learns that it was superseded.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/roles/{role}/join", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = Join,
    responses((status = 200, body = Joined), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn join(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<Join>,
) -> Result<Json<Joined>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let joined = wait::join(&mut work, &caller, &room, &role, body).await?;
    work.commit().await?;
    Ok(Json(joined))
}

/// Waits for a task: answers with one, or that the wait is over, or after 25 s with nothing.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/roles/{role}/wait", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = Wait,
    responses((status = 200, body = WaitOutcome), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn wait_for_task(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<Wait>,
) -> Result<Json<WaitOutcome>, Error> {
    let room = Box::pin(rooms::for_caller(&app.reader(), &caller, id)).await?;
    let _held = app.limits.open(caller.user(), Kind::Wait)?;
    Ok(Json(wait::wait(&app, &caller, &room, &role, &body.connection_id).await?))
}

/// Marks a claimed task as begun and shows it again.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/tasks/{taskId}/start", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("taskId" = TaskId, Path)), request_body = StartTask,
    responses((status = 200, body = TaskWithPrompt), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn start(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, task)): Path<(RoomId, TaskId)>,
    Json(body): Json<StartTask>,
) -> Result<Json<TaskWithPrompt>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let task = tasks::start(&mut work, &caller, &room, &body.role, task).await?;
    tasks::classify(&mut work, &caller, &room, &task, body.classification, body.feature).await?;
    let prompt = shown(&work.tx, &room, &body.role, &task).await?;
    work.commit().await?;
    Ok(Json(TaskWithPrompt { task: tasks::view(&task), prompt }))
}

/// Completes a task without handing it on: its holder's own, or any, forced by a person who names no role.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/tasks/{taskId}/complete", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("taskId" = TaskId, Path)), request_body = CompleteTask,
    responses((status = 200, body = TaskView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn complete(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, task)): Path<(RoomId, TaskId)>,
    Json(body): Json<CompleteTask>,
) -> Result<Json<TaskView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let task = tasks::complete(&mut work, &caller, &room, body.role.as_ref(), task).await?;
    work.commit().await?;
    Ok(Json(tasks::view(&task)))
}

/// Gives back a claimed task that could not be delivered.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/tasks/{taskId}/release", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("taskId" = TaskId, Path)), responses((status = 200, body = TaskView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn release(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, task)): Path<(RoomId, TaskId)>,
) -> Result<Json<TaskView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let task = tasks::release(&mut work, &caller, &room, task).await?;
    work.commit().await?;
    Ok(Json(tasks::view(&task)))
}

/// Lets another member's words through to the caller's own agent.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/tasks/{taskId}/approve", tag = "tasks", security(("session" = [])),
    params(("chatroomId" = RoomId, Path), ("taskId" = TaskId, Path)), responses((status = 200, body = TaskView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn approve(
    person: Person,
    State(app): State<App>,
    Path((id, task)): Path<(RoomId, TaskId)>,
) -> Result<Json<TaskView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::find(&work.tx, id, person.user).await?;
    let task = tasks::approve(&mut work, person.user, &room, task).await?;
    work.commit().await?;
    Ok(Json(tasks::view(&task)))
}

/// Writes a note on work under way.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/roles/{role}/progress", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = ReportProgress,
    responses((status = 200, body = MessageView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn progress(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<ReportProgress>,
) -> Result<Json<MessageView>, Error> {
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    let message = tasks::progress(&mut work, &caller, &room, &role, &body.content).await?;
    work.commit().await?;
    Ok(Json(messages::view(message)))
}

/// Hands a task on to another role, or to the people of the room. Repeated, it answers as the first time did.
#[utoipa::path(post, path = "/api/chatrooms/{chatroomId}/roles/{role}/handoff", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), request_body = Handoff,
    responses((status = 200, body = HandoffDone), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn hand_off(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
    Json(body): Json<Handoff>,
) -> Result<Json<HandoffDone>, Error> {
    let named = body.task_id;
    let mut work = app.begin().await?;
    let room = rooms::for_caller(&work.tx, &caller, id).await?;
    match handoff::hand_off(&mut work, &caller, &room, &role, body).await {
        Ok(done) => {
            work.commit().await?;
            Ok(Json(done))
        }
        Err(Error::Task(error @ TaskError::HandoffLimit(_))) => {
            drop(work);
            handoff::ask_a_person(&app, &caller, &room, &role, named).await?;
            Err(error.into())
        }
        Err(error) => Err(error),
    }
}

/// Prints role, rules, room and current task again.
#[utoipa::path(get, path = "/api/chatrooms/{chatroomId}/roles/{role}/prompt", tag = "tasks", security(("session" = []), ("run" = [])),
    params(("chatroomId" = RoomId, Path), ("role" = Role, Path)), responses((status = 200, body = Context), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn context(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    Path((id, role)): Path<(RoomId, Role)>,
) -> Result<Json<Context>, Error> {
    let reader = app.reader();
    let room = rooms::for_caller(&reader, &caller, id).await?;
    rooms::check_role(&caller, &room, &role)?;
    let present = wait::present(&reader, &room, app.clock.now()).await?;
    let how = Loop::of(&caller);
    let instructions = rooms::instructions(&reader, &room, &role, caller.user()).await?;
    let mut prompt = prompts::role_prompt(&room, &role, &present, how, instructions);
    let mut any = false;
    for task in chatroom_store::tasks::active(&reader, room.id).await? {
        if task.role == role && task.state != TaskState::Pending {
            prompt.push('\n');
            prompt.push_str(&shown(&reader, &room, &role, &task).await?);
            any = true;
        }
    }
    if !any {
        prompt.push('\n');
        prompt.push_str(&prompts::no_task(&room, &role, how));
    }
    Ok(Json(Context { prompt }))
}

async fn shown(db: &impl Access, room: &Room, role: &Role, task: &Task) -> Result<String, Error> {
    let message = chatroom_store::messages::find(db, room.id, task.message).await?.ok_or(TaskError::NotFound)?;
    Ok(prompts::started(room, role, task, &message))
}
