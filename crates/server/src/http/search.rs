//! `/api/search`: a text in everything the caller may see.

use axum::extract::{Query, State};
use chatroom_protocol::Problem;
use chatroom_protocol::api::search::Found;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Json;
use super::caller::Person;
use crate::app::App;
use crate::error::Error;

/// How many bytes can be looked for.
const MAX_TEXT: usize = 200;
/// How many of a kind are shown.
const MAX_HITS: u64 = 100;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search))
}

/// What is looked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SearchQuery {
    /// The text, 1 to 200 bytes, in either case of ASCII letters.
    q: String,
    /// At most so many rooms and so many messages, 1 to 100; 20 if omitted.
    limit: Option<u64>,
}

/// Finds rooms of the caller by name and messages in them by text, the newest first; archived rooms as well.
#[utoipa::path(get, path = "/api/search", tag = "rooms", security(("session" = [])), params(SearchQuery),
    responses((status = 200, body = Found), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
async fn search(
    person: Person,
    State(app): State<App>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Found>, Error> {
    let text = query.q.trim();
    if !(1..=MAX_TEXT).contains(&text.len()) {
        return Err(Error::Beyond("search_text", format!("q must have 1 to {MAX_TEXT} bytes")));
    }
    if text.contains('\0') {
        return Err(Error::Invalid("q holds a NUL character".into()));
    }
    let limit = query.limit.unwrap_or(20);
    if !(1..=MAX_HITS).contains(&limit) {
        return Err(Error::Beyond("page", format!("limit must be 1 to {MAX_HITS}")));
    }
    let reader = app.reader();
    let chatrooms = chatroom_store::search::rooms(&reader, person.user, text, limit).await?;
    let messages = chatroom_store::search::messages(&reader, person.user, text, limit).await?;
    Ok(Json(Found { chatrooms, messages }))
}
