//! Prompts that wait can be changed until the tool has them. The journal decides.

use std::collections::HashSet;

use chatroom_protocol::api::daemon::ChangePrompt;
use chatroom_protocol::api::reports::Fact;
use chatroom_protocol::{PromptId, RunId};

use super::SteerError;
use crate::journal::{Entry, PromptStage, RunRecord};

/// Returns what to write for a change of a prompt: nothing, where it is so already.
///
/// `offered` are those the supervisor may have though its events do not say so yet. A change may overtake the push of
/// its prompt, which is then known when it comes.
pub(super) fn change(
    run_id: RunId,
    run: &RunRecord,
    offered: &HashSet<PromptId>,
    prompt_id: PromptId,
    change: ChangePrompt,
) -> Result<Vec<Entry>, SteerError> {
    let stage = run.prompts.iter().find(|known| known.prompt_id == prompt_id).map(|known| &known.stage);
    let edited = |text| Entry::Fact { fact: Fact::PromptEdited { run_id, prompt_id, text } };
    let withdrawn = || Entry::Fact { fact: Fact::PromptWithdrawn { run_id, prompt_id } };
    match (stage, change) {
        (Some(PromptStage::Withdrawn), ChangePrompt::Withdraw) => Ok(Vec::new()),
        (Some(PromptStage::Waiting { .. }), _) if offered.contains(&prompt_id) => Err(SteerError::PromptSettled),
        (Some(PromptStage::Waiting { text: same, .. }), ChangePrompt::Edit { text, .. }) if *same == text => {
            Ok(Vec::new())
        }
        (Some(PromptStage::Waiting { .. }), ChangePrompt::Edit { text, .. }) => Ok(vec![edited(text)]),
        (None, ChangePrompt::Edit { text, from }) => {
            let accepted = Entry::PromptAccepted { run_id, prompt_id, text: text.clone(), from };
            Ok(vec![accepted, edited(text)])
        }
        (None | Some(PromptStage::Waiting { .. }), ChangePrompt::Withdraw) => Ok(vec![withdrawn()]),
        (Some(PromptStage::Sent | PromptStage::Begun | PromptStage::Withdrawn), _) => Err(SteerError::PromptSettled),
    }
}
