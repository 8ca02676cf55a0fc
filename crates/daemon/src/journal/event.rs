//! What others may read of an entry: everything but what people and tools said.

use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::journal::{JournalEvent, JournalFact};

use super::Entry;
use crate::supervisor::log::cap;

/// How long a reason may be, in bytes.
const WORDS: usize = 4096;

/// Returns what others may read of an entry; nothing of what only begins a file.
pub(super) fn event(entry: &Entry) -> Option<JournalEvent> {
    Some(match entry.clone() {
        Entry::Begun { .. } | Entry::Fact { .. } => return None,
        Entry::CommandReceived { command_id, kind, deadline_at, slot, run_id } => {
            JournalEvent::CommandReceived { command_id, kind: cap(&kind, WORDS), deadline_at, slot, run_id }
        }
        Entry::CommandFinished { command_id, outcome } => {
            JournalEvent::CommandFinished { command_id, status: outcome.status, result: cap(&outcome.result, WORDS) }
        }
        Entry::RunSpawned { run_id, slot, tool, supervisor } => {
            JournalEvent::RunSpawned { run_id, slot, tool, pid: supervisor.pid, start_time: supervisor.start_time }
        }
        Entry::RunStarted { run_id } => JournalEvent::RunStarted { run_id },
        Entry::RunEventSeen { run_id, seq } => JournalEvent::RunEventSeen { run_id, event: seq },
        Entry::RunEnded { run_id } => JournalEvent::RunEnded { run_id },
        Entry::PromptAccepted { run_id, prompt_id, text: _, from } => {
            JournalEvent::PromptAccepted { run_id, prompt_id, from }
        }
        Entry::Report { report } => JournalEvent::Reported { report: report.seq, fact: fact(report.fact) },
        Entry::Applied { through } => JournalEvent::ReportsApplied { through },
    })
}

fn fact(fact: Fact) -> JournalFact {
    match fact {
        Fact::CommandReceived { command_id } => JournalFact::CommandReceived { command_id },
        Fact::CommandFinished { command_id, status, result: _ } => JournalFact::CommandFinished { command_id, status },
        Fact::RunStarted { run_id, pid, start_time: _ } => JournalFact::RunStarted { run_id, pid },
        Fact::RunActivity { run_id, activity } => JournalFact::RunActivity { run_id, activity },
        Fact::ConversationBegun { run_id, conversation } => JournalFact::ConversationBegun { run_id, conversation },
        Fact::PromptSent { run_id, prompt_id } => JournalFact::PromptSent { run_id, prompt_id },
        Fact::PromptStarted { run_id, prompt_id } => JournalFact::PromptStarted { run_id, prompt_id },
        Fact::TurnEnded { run_id, prompt_id, outcome, detail: _ } => {
            JournalFact::TurnEnded { run_id, prompt_id, outcome }
        }
        Fact::PromptEdited { run_id, prompt_id, text: _ } => JournalFact::PromptEdited { run_id, prompt_id },
        Fact::PromptWithdrawn { run_id, prompt_id } => JournalFact::PromptWithdrawn { run_id, prompt_id },
        Fact::PromptUncertain { run_id, prompt_id } => JournalFact::PromptUncertain { run_id, prompt_id },
        Fact::PermissionAsked { run_id, permission_id, title: _, input: _, always: _, digest: _ } => {
            JournalFact::PermissionAsked { run_id, permission_id }
        }
        Fact::PermissionClosed { run_id, permission_id, outcome } => {
            JournalFact::PermissionClosed { run_id, permission_id, outcome }
        }
        Fact::RunExited { run_id, requested, reason } => {
            JournalFact::RunExited { run_id, requested, reason: cap(&reason, WORDS) }
        }
        Fact::ToolsDetected { tools } => JournalFact::ToolsDetected { tools },
        Fact::Unknown => JournalFact::Unknown,
    }
}
