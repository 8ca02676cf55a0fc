//! `chatroom agent allow|deny`: shows what is answered, then answers exactly that.

use std::process::ExitCode;

use anyhow::{Result, bail};
use chatroom_protocol::PermissionId;
use chatroom_protocol::api::agents::{AnswerPermission, PermissionView};
use chatroom_protocol::api::auth::Decision;
use serde_json::json;

use super::{Answer, find};
use crate::client::Client;
use crate::commands::DONE;
use crate::shell::Shell;
use crate::{output, times};

/// Answers a question.
pub async fn answer(verb: &Answer, decision: Decision, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let id = match verb.permission_id.as_deref().map(str::parse::<PermissionId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => bail!("{error}"),
    };
    let client = Client::person(shell)?;
    let open = find(&client, room, &role).await?.permissions;
    let asked = match (id, &open[..]) {
        (None, []) => bail!("`{role}` asks for nothing right now (permission_closed)"),
        (None, [asked]) => asked,
        (None, several) => bail!("`{role}` asks {} things; name one:\n\n{}", several.len(), list(several)),
        (Some(id), _) => match open.iter().find(|asked| asked.permission_id == id) {
            Some(asked) => asked,
            None => bail!("{id} is answered already, or gone with its turn (permission_closed)"),
        },
    };
    output::talk(show(asked));
    let body = AnswerPermission { decision, digest: asked.digest.clone() };
    client.answer_permission(room, &role, asked.permission_id, &body).await?;
    let word = match decision {
        Decision::Allow => "Allowed",
        Decision::Deny => "Denied",
    };
    let view = json!({ "permissionId": asked.permission_id, "decision": decision });
    output::either(verb.format.json, &view, || format!("{word}: {}", output::one_line(&asked.title)))?;
    Ok(DONE)
}

fn show(asked: &PermissionView) -> String {
    format!("{}\n{}", output::one_line(&asked.title), output::indent(&output::clean(&asked.input)))
}

fn list(open: &[PermissionView]) -> String {
    let now = times::now();
    let rows: Vec<_> = open
        .iter()
        .map(|asked| vec![asked.permission_id.to_string(), times::ago(asked.asked_at, now), asked.title.clone()])
        .collect();
    output::table(&["PERMISSION ID", "ASKED", "WHAT"], &rows)
}
