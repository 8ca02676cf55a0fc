//! What a client sees of an error: the one place that picks a status and a code.
//!
//! Internal causes are logged here, once, under the request's id, and never sent.

use axum::response::{IntoResponse, Response};
use chatroom_domain::accounts::AccountError;
use chatroom_domain::attachments::AttachmentError;
use chatroom_domain::machines::MachineError;
use chatroom_domain::messages::MessageError;
use chatroom_domain::rooms::RoomError;
use chatroom_domain::tasks::TaskError;
use chatroom_protocol::api::rooms::Target;
use chatroom_protocol::{ErrorCode, Problem};
use chatroom_store::Trouble;
use chatroom_streams::Refusal;
use http::{HeaderValue, StatusCode, header};

use super::edge;
use crate::error::{AgentError, DeviceError, Error};

/// On a response: the limit that was met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub(super) &'static str);

/// The content type of a problem document.
pub(crate) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

impl Error {
    /// Returns the status and the stable code a client sees.
    pub fn parts(&self) -> (StatusCode, ErrorCode) {
        use StatusCode as S;
        if let Some(trouble) = self.trouble() {
            return unwell(trouble);
        }
        match self {
            Self::Account(error) => account(error),
            Self::Room(error) => room(error),
            Self::Message(error) => message(error),
            Self::Attachment(error) => attachment(error),
            Self::Task(error) => task(error),
            Self::Machine(error) => machine(error),
            Self::Agent(error) => agent(error),
            Self::Name(_) | Self::Invalid(_) | Self::Beyond(..) => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
            Self::NotSignedIn => (S::UNAUTHORIZED, ErrorCode::NotSignedIn),
            Self::Forbidden(_) => (S::FORBIDDEN, ErrorCode::Forbidden),
            Self::NotFound => (S::NOT_FOUND, ErrorCode::NotFound),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
            Self::HeadersTooLarge(_) => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::TooLarge),
            Self::AddressTooLong(_) => (S::URI_TOO_LONG, ErrorCode::TooLarge),
            Self::TooFast(_) | Self::TooManyOpen(_) => (S::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
            Self::Device(DeviceError::Pending) => (S::BAD_REQUEST, ErrorCode::AuthorizationPending),
            Self::Device(DeviceError::SlowDown) => (S::BAD_REQUEST, ErrorCode::SlowDown),
            Self::Device(DeviceError::Denied) => (S::BAD_REQUEST, ErrorCode::AccessDenied),
            Self::UnknownHost => (S::MISDIRECTED_REQUEST, ErrorCode::UnknownHost),
            Self::ForeignOrigin => (S::FORBIDDEN, ErrorCode::ForeignOrigin),
            Self::FeedTruncated(_) => (S::GONE, ErrorCode::FeedTruncated),
            Self::VersionGap(_) => (S::UPGRADE_REQUIRED, ErrorCode::VersionGap),
            Self::ShuttingDown => (S::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown),
            Self::Transcript(refusal) => transcript(refusal),
            Self::Store(_) | Self::Unwell(_) | Self::Secret(_) | Self::NoRandomness | Self::Internal(_) => {
                (S::INTERNAL_SERVER_ERROR, ErrorCode::Internal)
            }
        }
    }

    /// Returns the name of the limit that was met, if it was one.
    fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Beyond(limit, _) => Some(limit),
            Self::TooLarge => Some("body"),
            Self::HeadersTooLarge(_) => Some("header_bytes"),
            Self::AddressTooLong(_) => Some("address_length"),
            Self::TooFast(_) => Some("requests"),
            Self::TooManyOpen(kind) => Some(kind.limit()),
            Self::Account(AccountError::TooManyTries(_)) => Some("tries"),
            Self::Message(MessageError::TooLong) => Some("message_length"),
            Self::Message(MessageError::QueueFull) => Some("queued_messages"),
            Self::Attachment(AttachmentError::TooLarge(..)) => Some("attachment_bytes"),
            Self::Attachment(AttachmentError::TooMany) => Some("attachments"),
            Self::Attachment(AttachmentError::TooManyWaiting) => Some("waiting_attachments"),
            Self::Task(TaskError::TooMany) => Some("active_tasks"),
            Self::Task(TaskError::HandoffLimit(_)) => Some("handoffs"),
            Self::Machine(MachineError::TooManyCommands) => Some("waiting_commands"),
            Self::Device(DeviceError::SlowDown) => Some("device_polls"),
            _ => None,
        }
    }

    /// Returns what a client gets to read.
    pub fn problem(&self) -> Problem {
        let (status, code) = self.parts();
        let detail = if code == ErrorCode::Internal {
            tracing::error!(error = %self, cause = ?self, "request failed");
            "the server met a fault; its log has the cause under this request id".to_owned()
        } else if let Some(trouble) = self.trouble() {
            Self::Unwell(trouble).to_string()
        } else {
            self.to_string()
        };
        let mut problem = plain(status, code, detail);
        match self {
            Self::FeedTruncated(floor) => problem.state = Some(floor.to_string()),
            Self::Task(error) => about_task(&mut problem, error),
            Self::Room(error) => about_room(&mut problem, error),
            Self::Agent(AgentError::Refused(inner)) => {
                problem.allowed.clone_from(&inner.allowed);
                problem.state.clone_from(&inner.state);
            }
            _ => {}
        }
        problem
    }
}

/// Makes a problem document of the present request.
pub(super) fn plain(status: StatusCode, code: ErrorCode, detail: String) -> Problem {
    Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        status: status.as_u16(),
        code,
        detail,
        request_id: edge::request_id(),
        allowed: Vec::new(),
        state: None,
    }
}

/// Answers with a problem document.
pub(super) fn answer(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, PROBLEM)], body).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = answer(&self.problem());
        self.add_headers(&mut response);
        if let Some(limit) = self.limit() {
            response.extensions_mut().insert(Refused(limit));
        }
        if let Some(trouble) = self.trouble() {
            response.extensions_mut().insert(Unwell(trouble));
        }
        response
    }
}

/// Marks an answer that trouble of the database made, for who takes note of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unwell(pub Trouble);

fn unwell(trouble: Trouble) -> (StatusCode, ErrorCode) {
    match trouble {
        Trouble::Full => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::StorageFull),
        Trouble::Away => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::DatabaseAway),
    }
}

impl Error {
    /// Adds the headers that belong to this error.
    pub(super) fn add_headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        match self {
            Self::NotSignedIn => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"chatroom\""));
            }
            Self::Account(AccountError::TooManyTries(seconds)) | Self::TooFast(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Self::Device(DeviceError::SlowDown) => {
                let interval = chatroom_domain::accounts::DEVICE_INTERVAL_S;
                headers.insert(header::RETRY_AFTER, HeaderValue::from(interval));
            }
            Self::ShuttingDown | Self::Unwell(Trouble::Away) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
    }
}

fn account(error: &AccountError) -> (StatusCode, ErrorCode) {
    use AccountError as E;
    use StatusCode as S;
    match error {
        E::BadEmail | E::BadName | E::BadPassword => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
        E::EmailTaken => (S::CONFLICT, ErrorCode::EmailTaken),
        E::SignUpClosed => (S::FORBIDDEN, ErrorCode::SignUpClosed),
        E::WrongCredentials => (S::UNAUTHORIZED, ErrorCode::WrongCredentials),
        E::CodeExpired => (S::BAD_REQUEST, ErrorCode::CodeExpired),
        E::TooManyTries(_) => (S::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        E::Hash => (S::INTERNAL_SERVER_ERROR, ErrorCode::Internal),
    }
}

fn room(error: &RoomError) -> (StatusCode, ErrorCode) {
    use RoomError as E;
    use StatusCode as S;
    match error {
        E::NotFound => (S::NOT_FOUND, ErrorCode::NotFound),
        E::UnknownRole { .. } | E::UnknownTarget { .. } => (S::NOT_FOUND, ErrorCode::UnknownRole),
        E::Archived(_) => (S::CONFLICT, ErrorCode::RoomArchived),
        E::AgentsWanted(_) => (S::CONFLICT, ErrorCode::Conflict),
        E::BadName | E::BadRoles | E::BadInstructions | E::ReservedRole => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
    }
}

fn about_room(problem: &mut Problem, error: &RoomError) {
    if let RoomError::UnknownRole { roles, .. } | RoomError::UnknownTarget { roles, .. } = error {
        problem.allowed = roles.iter().map(ToString::to_string).collect();
    }
    if matches!(error, RoomError::UnknownTarget { .. }) {
        problem.allowed.push(Target::USER.to_owned());
    }
}

fn message(error: &MessageError) -> (StatusCode, ErrorCode) {
    use MessageError as E;
    match error {
        E::QueueFull => (StatusCode::CONFLICT, ErrorCode::TooManyTasks),
        E::Delivered => (StatusCode::CONFLICT, ErrorCode::MessageDelivered),
        E::Empty | E::TooLong | E::Terminator(_) | E::Nul => (StatusCode::BAD_REQUEST, ErrorCode::InvalidMessage),
    }
}

fn attachment(error: &AttachmentError) -> (StatusCode, ErrorCode) {
    use AttachmentError as E;
    use StatusCode as S;
    match error {
        E::Unknown | E::BadName | E::TooMany => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
        E::TooLarge(..) => (S::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
        E::TooManyWaiting => (S::CONFLICT, ErrorCode::Conflict),
        E::NotWaiting => (S::NOT_FOUND, ErrorCode::NotFound),
    }
}

fn task(error: &TaskError) -> (StatusCode, ErrorCode) {
    use StatusCode as S;
    use TaskError as E;
    match error {
        E::NotFound | E::NoActiveTask(_) => (S::NOT_FOUND, ErrorCode::NotFound),
        E::SeveralTasks(_) => (S::CONFLICT, ErrorCode::Conflict),
        E::State { .. } => (S::CONFLICT, ErrorCode::TaskState),
        E::NotTheHolder => (S::CONFLICT, ErrorCode::NotTheHolder),
        E::TooMany => (S::CONFLICT, ErrorCode::TooManyTasks),
        E::HandoffLimit(_) => (S::CONFLICT, ErrorCode::HandoffLimit),
        E::HeldForOwner => (S::FORBIDDEN, ErrorCode::Forbidden),
    }
}

fn about_task(problem: &mut Problem, error: &TaskError) {
    if let TaskError::State { state, allowed } = error {
        problem.state = Some(state.as_str().to_owned());
        problem.allowed = allowed.iter().map(|state| state.as_str().to_owned()).collect();
    }
}

fn machine(error: &MachineError) -> (StatusCode, ErrorCode) {
    use MachineError as E;
    use StatusCode as S;
    match error {
        E::NotFound | E::Foreign => (S::NOT_FOUND, ErrorCode::NotFound),
        E::ToolMissing(_) => (S::CONFLICT, ErrorCode::ToolMissing),
        E::NotConfigured => (S::CONFLICT, ErrorCode::NotConfigured),
        E::CannotAsk(_) => (S::CONFLICT, ErrorCode::NotPermitted),
        E::CannotResume(_) => (S::CONFLICT, ErrorCode::CannotResume),
        E::RunsElsewhere => (S::CONFLICT, ErrorCode::RunsElsewhere),
        E::TooManyCommands => (S::TOO_MANY_REQUESTS, ErrorCode::TooManyCommands),
        E::BadCommand(_) | E::BadText { .. } => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
        E::OtherJournal => (S::CONFLICT, ErrorCode::Conflict),
        E::StaleEpoch => (S::CONFLICT, ErrorCode::StaleEpoch),
        E::Locked => (S::LOCKED, ErrorCode::MachineLocked),
    }
}

fn transcript(refusal: &Refusal) -> (StatusCode, ErrorCode) {
    use Refusal as R;
    use StatusCode as S;
    match refusal {
        R::BadOffset => (S::BAD_REQUEST, ErrorCode::InvalidRequest),
        R::Busy => (S::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        R::NoRoom => (S::INSUFFICIENT_STORAGE, ErrorCode::StorageFull),
        R::NotFound | R::Trimmed { .. } => (S::NOT_FOUND, ErrorCode::NotFound),
        // The rest is about how streams are made and written, which no route leaves to a caller.
        R::Deleted
        | R::BadPath(_)
        | R::MadeOtherwise
        | R::PathHeld
        | R::SourceNotFound
        | R::SourceDeleted
        | R::ForkOutside
        | R::WrongType
        | R::Closed { .. }
        | R::SeqNotLarger
        | R::StaleEpoch { .. }
        | R::EpochBeginsAtZero
        | R::ProducerGap { .. }
        | R::NotJson(_)
        | R::Empty
        | R::TooLarge(_)
        | R::TooManyStreams(_)
        | R::TooManyProducers(_)
        | R::Unreadable
        | R::Stopped(_) => (S::INTERNAL_SERVER_ERROR, ErrorCode::Internal),
    }
}

fn agent(error: &AgentError) -> (StatusCode, ErrorCode) {
    use AgentError as E;
    use StatusCode as S;
    match error {
        E::NotRunning => (S::CONFLICT, ErrorCode::NotRunning),
        E::Offline => (S::CONFLICT, ErrorCode::MachineOffline),
        E::TooManyStreams => (S::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        E::MachineFailed(_) => (S::BAD_GATEWAY, ErrorCode::MachineFailed),
        E::Refused(problem) => {
            let status = StatusCode::from_u16(problem.status).ok().filter(StatusCode::is_client_error);
            // The machine did not know us or our route: no fault of the caller's.
            let status = status.filter(|status| !matches!(*status, S::UNAUTHORIZED | S::METHOD_NOT_ALLOWED));
            (status.unwrap_or(S::BAD_GATEWAY), problem.code)
        }
        E::InTerminal => (S::CONFLICT, ErrorCode::InTerminal),
        E::NoTerminal => (S::CONFLICT, ErrorCode::NoTerminal),
        E::PromptSettled => (S::CONFLICT, ErrorCode::PromptSettled),
        E::PermissionClosed => (S::CONFLICT, ErrorCode::PermissionClosed),
        E::PermissionChanged => (S::CONFLICT, ErrorCode::PermissionChanged),
        E::RoleTaken => (S::CONFLICT, ErrorCode::RoleTaken),
        E::OnlyOnce => (S::CONFLICT, ErrorCode::NotPermitted),
        E::GivenTasks => (S::CONFLICT, ErrorCode::Conflict),
        E::Superseded => (S::CONFLICT, ErrorCode::Superseded),
    }
}
