//! `chatroom agent allow|deny`: shows what is answered, then answers exactly that.

use std::process::ExitCode;

use anyhow::{Result, bail};
use chatroom_protocol::api::agents::{AnswerPermission, PermissionScope, PermissionView};
use chatroom_protocol::api::auth::Decision;
use chatroom_protocol::{PermissionId, Role, RoomId};
use serde_json::json;

use super::{Answer, find};
use crate::client::Client;
use crate::commands::DONE;
use crate::output;
use crate::shell::Shell;

/// Answers a question.
pub async fn answer(verb: &Answer, decision: Decision, scope: PermissionScope, shell: &Shell) -> Result<ExitCode> {
    let (room, role) = verb.place.parse()?;
    let id = match verb.permission_id.as_deref().map(str::parse::<PermissionId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => bail!("{error}"),
    };
    let client = Client::person(shell)?;
    let open = find(&client, room, &role).await?.permissions;
    let Some(id) = id else {
        return list(&open, decision, verb, room, &role);
    };
    let Some(asked) = open.iter().find(|asked| asked.permission_id == id) else {
        bail!("{id} is answered already, or gone with its turn (permission_closed)");
    };
    output::talk(show(asked));
    let body = AnswerPermission { decision, digest: asked.digest.clone(), scope };
    client.answer_permission(room, &role, asked.permission_id, &body).await?;
    let word = match (decision, scope) {
        (Decision::Allow, PermissionScope::Once) => "Allowed",
        (Decision::Allow, PermissionScope::Run) => "Allowed for this run",
        (Decision::Deny, _) => "Denied",
    };
    let view = json!({ "permissionId": asked.permission_id, "decision": decision, "scope": scope });
    output::either(verb.format.json, &view, || format!("{word}: {}", output::one_line(&asked.title)))?;
    Ok(DONE)
}

fn show(asked: &PermissionView) -> String {
    let always = asked.always.as_deref().map(|always| format!("    with --always: {}\n", output::one_line(always)));
    let input = output::indent(&output::clean(&asked.input));
    format!("{}\n{input}{}", output::one_line(&asked.title), always.unwrap_or_default())
}

/// Shows what is asked, and how to answer each: nothing unseen is answered.
fn list(open: &[PermissionView], decision: Decision, verb: &Answer, room: RoomId, role: &Role) -> Result<ExitCode> {
    if open.is_empty() {
        bail!("`{role}` asks for nothing right now (permission_closed)");
    }
    output::either(verb.format.json, &open, || {
        let each: Vec<_> = open.iter().map(|asked| format!("{}  {}", asked.permission_id, show(asked))).collect();
        each.join("\n\n")
    })?;
    let word = match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    };
    output::talk("\nNothing is answered yet; answer with:\n");
    for asked in open {
        let id = asked.permission_id;
        output::talk(format!("    chatroom agent {word} --chatroom-id={room} --role={role} {id}"));
    }
    Ok(ExitCode::FAILURE)
}
