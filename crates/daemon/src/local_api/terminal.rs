//! A run's terminal, for one viewer: frames both ways, in the bodies of one request and its answer.
//!
//! What is in them is nothing to the daemon: the supervisor owns the terminal.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::api::terminal::{JoinTerminal, TerminalSize, Typing};
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::task::AbortOnDropHandle;

use super::Api;
use super::body::id;
use super::problem::Refusal;
use crate::supervisor::client::Viewer;

/// How much is passed on at once.
const PIECE: usize = 16 * 1024;

/// How a viewer joins.
#[derive(Debug, Deserialize)]
pub(super) struct Join {
    #[serde(default)]
    typing: Typing,
    columns: Option<u16>,
    rows: Option<u16>,
    from: Option<u64>,
    replaces: Option<u64>,
}

pub(super) async fn join(
    State(api): State<Api>,
    Path(run): Path<String>,
    Query(how): Query<Join>,
    request: Request,
) -> Result<Response, Refusal> {
    let size = how.columns.zip(how.rows).map(|(columns, rows)| TerminalSize { columns, rows });
    let join = JoinTerminal { typing: how.typing, size, from: how.from, replaces: how.replaces };
    let Viewer { read, write } = api.runs.view(id(&run)?, join).await?;
    let typed = AbortOnDropHandle::new(tokio::spawn(type_in(request.into_body(), write)));
    let shown = Shown { read, _typed: typed };
    let body = Body::from_stream(stream::unfold(shown, Shown::next));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Passes on what the viewer says, until it ends; then the run knows that it is gone.
async fn type_in(body: Body, mut write: OwnedWriteHalf) {
    let mut body = body.into_data_stream();
    while let Some(Ok(piece)) = body.next().await {
        if write.write_all(&piece).await.is_err() {
            return;
        }
    }
}

struct Shown {
    read: BufReader<OwnedReadHalf>,
    /// Ends with the answer.
    _typed: AbortOnDropHandle<()>,
}

impl Shown {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let mut piece = vec![0; PIECE];
        match self.read.read(&mut piece).await {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some((Ok(piece.into()), self))
            }
            Err(error) => Some((Err(error), self)),
        }
    }
}
