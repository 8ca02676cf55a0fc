//! What of a run's events the server is told.

use chatroom_protocol::api::agents::RunActivity;
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{ConversationId, RunId};

use crate::journal::{Entry, PromptStage, RunRecord};
use crate::supervisor::event::{RunEvent, Sequenced};

/// Why a run is over whose supervisor did not live to say it.
pub(super) const SUPERVISOR_GONE: &str = "the supervisor is gone";

/// Returns what to write for an event: nothing, where it only tells the story.
pub(super) fn entries(run_id: RunId, event: Sequenced<RunEvent>) -> Vec<Entry> {
    let fact = match event.event {
        RunEvent::Activity { activity: RunActivity::Exited } => return Vec::new(),
        RunEvent::Activity { activity } => Fact::RunActivity { run_id, activity },
        RunEvent::PromptSent { prompt_id, .. } => Fact::PromptSent { run_id, prompt_id },
        RunEvent::Session { id } => match ConversationId::parse(&id) {
            Ok(conversation) => Fact::ConversationBegun { run_id, conversation },
            // What could be taken for an option is never given back to the tool.
            Err(_) => return Vec::new(),
        },
        RunEvent::PromptStarted { prompt_id } => Fact::PromptStarted { run_id, prompt_id },
        RunEvent::TurnEnded { prompt_id, outcome, detail } => Fact::TurnEnded { run_id, prompt_id, outcome, detail },
        RunEvent::PermissionAsked { permission_id, title, input, always, digest } => {
            Fact::PermissionAsked { run_id, permission_id, title, input, always, digest }
        }
        RunEvent::PermissionClosed { permission_id, outcome, .. } => {
            Fact::PermissionClosed { run_id, permission_id, outcome }
        }
        RunEvent::Exited { reason, requested, .. } => return ended(run_id, requested, reason),
        _ => return Vec::new(),
    };
    vec![Entry::RunEventSeen { run_id, seq: event.seq }, Entry::Fact { fact }]
}

/// Returns what to write when no process of a run is left.
pub(super) fn ended(run_id: RunId, requested: bool, reason: String) -> Vec<Entry> {
    vec![Entry::Fact { fact: Fact::RunExited { run_id, requested, reason } }, Entry::RunEnded { run_id }]
}

/// Returns what to write for a run whose supervisor can no longer say what became of its prompts.
pub(super) fn lost(run_id: RunId, run: &RunRecord, requested: bool) -> Vec<Entry> {
    let uncertain = run
        .prompts
        .iter()
        .filter(|prompt| prompt.stage == PromptStage::Sent)
        .map(|prompt| Entry::Fact { fact: Fact::PromptUncertain { run_id, prompt_id: prompt.prompt_id } });
    uncertain.chain(ended(run_id, requested, SUPERVISOR_GONE.to_owned())).collect()
}
