//! `/api/events`: the feed, in pages or as a stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chatroom_protocol::api::events::{EventView, Events};
use chatroom_protocol::{InstanceId, MachineId, Problem, RoomId, Timestamp, UserId};
use chatroom_store::Reader;
use chatroom_store::events::{self, Page, Past};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Json;
use super::caller::Person;
use crate::accounts::{self, instances};
use crate::app::{App, Topic};
use crate::error::Error;
use crate::limits::{self, Held, Kind};

/// How long a stream is silent before it says that it lives, and looks whether it may.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events are read at once.
const PAGE: u64 = 100;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Which part of which feed is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FeedQuery {
    /// Whose feed; the caller's own instance if omitted.
    instance: Option<InstanceId>,
    /// Only events after this position, or `now` for those to come; from the oldest that is kept if omitted.
    #[param(value_type = Option<String>)]
    after: Option<After>,
    /// Backwards, the newest first: only events before this position; one past the last begins with the newest. The
    /// filters below are for reading backwards.
    before: Option<i64>,
    /// Only what is about this room.
    chatroom: Option<RoomId>,
    /// Only what is about this machine.
    machine: Option<MachineId>,
    /// Only what this person did.
    user: Option<UserId>,
    /// Only this kind, such as `task.completed`, or this noun, such as `task`.
    kind: Option<String>,
    /// Only from this time on, in Unix milliseconds.
    since: Option<Timestamp>,
    /// Only up to this time, in Unix milliseconds.
    until: Option<Timestamp>,
    /// At most so many, 1 to 500; 100 if omitted. A stream has no limit.
    limit: Option<u64>,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
enum After {
    /// After the last event there is.
    Now,
    Position(i64),
}

impl TryFrom<String> for After {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text == "now" {
            return Ok(Self::Now);
        }
        text.parse().map(Self::Position).map_err(|_| "`after` must be a position of the feed, or `now`")
    }
}

/// Reads what the caller may see of an instance's feed.
///
/// With `Accept: text/event-stream` it goes on as a stream whose event ids are positions, so that a reader
/// resumes with `Last-Event-ID`. Where the feed no longer reaches back that far, the answer is 410
/// `feed_truncated`, and `state` says after which position to go on.
///
/// With `before` it is an audit page: the newest first, filtered, with the names of those who did it.
#[utoipa::path(get, path = "/api/events", tag = "events", security(("session" = [])), params(FeedQuery),
    responses((status = 200, content((Events = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn read(
    person: Person,
    headers: HeaderMap,
    State(app): State<App>,
    Query(query): Query<FeedQuery>,
) -> Result<Response, Error> {
    let reader = app.reader();
    let instance = match query.instance {
        Some(id) => instances::find(&reader, id, person.user).await?.id,
        None => accounts::home(&reader, person.user).await?,
    };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let streams = accepts.contains("text/event-stream");
    if let Some(before) = query.before {
        if streams || query.after.is_some() {
            return Err(Error::Invalid(
                "a feed is read backwards in pages: `before` goes without `after` or a stream".into(),
            ));
        }
        let (events, next) = events::past(&reader, instance, person.user, &past(query, before)?).await?;
        return Ok(Json(Events { instance_id: instance, events, next }).into_response());
    }
    if query.filters() {
        return Err(Error::Invalid("the feed is filtered where it is read backwards: add `before`".into()));
    }
    let resumed = headers.get("last-event-id").filter(|_| streams).map(|id| {
        let id = id.to_str().ok().and_then(|id| id.parse().ok());
        id.ok_or_else(|| Error::Invalid("Last-Event-ID must be a position of the feed".into()))
    });
    // Subscribed before the first look: what is written in between wakes.
    let feed = app.wake.subscribe(Topic::Feed(instance));
    let mut access = app.wake.subscribe(Topic::User(person.user));
    let limit = if streams { PAGE } else { limits::page(query.limit, PAGE)? };
    let held = streams.then(|| app.limits.open(person.user, Kind::Feed)).transpose()?;
    let after = match (resumed.transpose()?, query.after) {
        (Some(position), _) | (None, Some(After::Position(position))) => Some(position),
        (None, Some(After::Now)) => Some(events::last(&reader, instance).await?),
        (None, None) => None,
    };
    let page = match after {
        Some(after) => events::read(&reader, instance, person.user, after, limit).await?,
        None => match events::read(&reader, instance, person.user, 0, limit).await? {
            Page::Truncated(floor) => events::read(&reader, instance, person.user, floor, limit).await?,
            page @ Page::Events(..) => page,
        },
    };
    match page {
        Page::Truncated(floor) => Err(Error::FeedTruncated(floor)),
        Page::Events(found, next) if streams => {
            // It may have changed since the caller was let in.
            access.mark_changed();
            let looked = Instant::now();
            let follower = Follower { app, person, instance, found, next, feed, access, looked, _held: held };
            Ok(follower.into_response())
        }
        Page::Events(found, next) => Ok(Json(Events { instance_id: instance, events: found, next }).into_response()),
    }
}

impl FeedQuery {
    fn filters(&self) -> bool {
        self.chatroom.is_some()
            || self.machine.is_some()
            || self.user.is_some()
            || self.kind.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }
}

fn past(query: FeedQuery, before: i64) -> Result<Past, Error> {
    let fits = |kind: &String| kind.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '.' | '-' | '_'));
    if query.kind.as_ref().is_some_and(|kind| !fits(kind)) {
        return Err(Error::Invalid("a kind has small letters, dots and dashes, such as task.completed".into()));
    }
    Ok(Past {
        before,
        room: query.chatroom,
        machine: query.machine,
        user: query.user,
        kind: query.kind,
        since: query.since,
        until: query.until,
        limit: limits::page(query.limit, PAGE)?,
    })
}

/// One open stream.
struct Follower {
    app: App,
    person: Person,
    instance: InstanceId,
    found: Vec<EventView>,
    next: i64,
    feed: watch::Receiver<u64>,
    access: watch::Receiver<u64>,
    /// When it was looked last whether it may.
    looked: Instant,
    _held: Option<Held>,
}

impl IntoResponse for Follower {
    fn into_response(self) -> Response {
        let head = Ok::<_, Infallible>("retry: 1000\n\n".to_owned());
        let chunks = stream::unfold(self, async |mut follower| {
            let chunk = follower.next_chunk().await?;
            Some((Ok(chunk), follower))
        });
        let body = Body::from_stream(futures_util::StreamExt::chain(stream::iter([head]), chunks));
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
        (kind, body).into_response()
    }
}

impl Follower {
    /// Returns what to send next; the stream ends when its session, its membership or the server does.
    async fn next_chunk(&mut self) -> Option<String> {
        if !self.found.is_empty() {
            return Some(std::mem::take(&mut self.found).iter().map(written).collect());
        }
        loop {
            let woken = tokio::select! {
                () = self.app.stopping.cancelled() => return None,
                changed = self.access.changed() => {
                    self.access.mark_changed();
                    changed.map(|()| true)
                }
                changed = self.feed.changed() => changed.map(|()| true),
                () = tokio::time::sleep(KEEP_ALIVE) => Ok(false),
            };
            let woken = woken.ok()?;
            match Box::pin(self.look()).await {
                Ok(Some(chunk)) if !chunk.is_empty() => return Some(chunk),
                Ok(Some(_)) if !woken => return Some(": still here\n\n".to_owned()),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    tracing::error!(%error, "a stream of events broke off; its reader will resume");
                    return None;
                }
            }
        }
    }

    /// Returns whether the reader may go on: looked up when it may have changed, and now and then, not with each event.
    async fn may(&mut self, reader: &Reader) -> Result<bool, Error> {
        let changed = self.access.has_changed().unwrap_or(true);
        if !changed && self.looked.elapsed() < KEEP_ALIVE {
            return Ok(true);
        }
        self.access.mark_unchanged();
        self.looked = Instant::now();
        let Person { user, session } = self.person;
        let live = chatroom_store::sessions::find(reader, session, user, self.app.clock.now()).await?.is_some();
        Ok(live && chatroom_store::instances::find(reader, self.instance, user).await?.is_some())
    }

    async fn look(&mut self) -> Result<Option<String>, Error> {
        let reader = self.app.reader();
        if !self.may(&reader).await? {
            return Ok(None);
        }
        match events::read(&reader, self.instance, self.person.user, self.next, PAGE).await? {
            // The reader comes back, and then gets 410 with where to start.
            Page::Truncated(_) => Ok(None),
            Page::Events(found, next) => {
                self.next = next;
                if u64::try_from(found.len()).is_ok_and(|count| count == PAGE) {
                    self.feed.mark_changed();
                }
                Ok(Some(found.iter().map(written).collect()))
            }
        }
    }
}

fn written(event: &EventView) -> String {
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", event.position)
}
