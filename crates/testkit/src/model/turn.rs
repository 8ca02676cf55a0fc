//! A conversation as a rule sees it, the same for both protocols.

/// Whose protocol a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// The Anthropic messages protocol.
    Anthropic,
    /// `OpenAI` chat completions.
    OpenAi,
}

/// How a tool call of the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran. `OpenAI`'s protocol does not say whether the command failed.
    Ran,
    /// It ran or was tried, and failed.
    Failed,
    /// Somebody refused it.
    Denied,
}

/// What the agent sent back for a tool call.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// The output as the agent quoted it.
    pub text: String,
    /// How the call ended.
    pub outcome: Outcome,
}

/// The agent's own shell tool, found in the request's tool list.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The tool's name.
    pub name: String,
    /// Whether its input has a `description`.
    pub described: bool,
}

/// The state of a conversation when the agent asks for the next answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Whose protocol was used.
    pub vendor: Vendor,
    /// The model id that was asked for.
    pub model: String,
    /// All system texts, one after another.
    pub system: String,
    /// The newest text of the user, without what the agent program added to it.
    pub prompt: String,
    /// How many tool calls were made since that text.
    pub calls: usize,
    /// The newest tool result since that text.
    pub result: Option<ToolResult>,
    /// The names of the tools on offer; background calls offer none.
    pub tools: Vec<String>,
    /// The agent's shell tool, if it offers one.
    pub shell: Option<Shell>,
}

/// One piece of a conversation in the order it happened.
#[derive(Debug)]
pub(super) enum Entry {
    System(String),
    User(String),
    Call,
    Result(ToolResult),
}

/// A tool on offer: its name and the names of its inputs.
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
}

impl Turn {
    pub(super) fn read(
        vendor: Vendor,
        model: String,
        tools: &[Tool],
        entries: impl IntoIterator<Item = Entry>,
    ) -> Self {
        let mut turn = Self {
            vendor,
            model,
            system: String::new(),
            prompt: String::new(),
            calls: 0,
            result: None,
            tools: tools.iter().map(|tool| tool.name.clone()).collect(),
            shell: tools.iter().find(|tool| is_shell(tool)).map(|tool| Shell {
                name: tool.name.clone(),
                described: tool.inputs.iter().any(|input| input == "description"),
            }),
        };
        for entry in entries {
            match entry {
                Entry::System(text) => {
                    if let Some(folded) = folded_prompt(&text) {
                        turn.begin(folded.to_owned());
                    }
                    turn.system.push_str(&text);
                    turn.system.push('\n');
                }
                Entry::User(text) => {
                    let text = without_reminders(&text);
                    if !text.is_empty() {
                        turn.begin(text);
                    }
                }
                Entry::Call => turn.calls += 1,
                Entry::Result(result) => turn.result = Some(result),
            }
        }
        turn
    }

    fn begin(&mut self, prompt: String) {
        self.prompt = prompt;
        self.calls = 0;
        self.result = None;
    }
}

fn is_shell(tool: &Tool) -> bool {
    tool.name.eq_ignore_ascii_case("bash") && tool.inputs.iter().any(|input| input == "command")
}

/// Returns the prompt inside a system text: claude hands on in this way what a person says while
/// a turn is running.
fn folded_prompt(system: &str) -> Option<&str> {
    let (_, prompt) = system.rsplit_once("The user sent a new message while you were working:\n")?;
    Some(prompt.split_once("\n\nThis is how Claude Code surfaces").map_or(prompt, |(prompt, _)| prompt))
}

/// Cuts what claude writes beside a prompt: its reminders, and the note that a turn was interrupted.
fn without_reminders(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, reminder)) = rest.split_once("<system-reminder>") {
        kept.push_str(before);
        rest = reminder.split_once("</system-reminder>").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let own = match kept.rsplit_once("[Request interrupted by user") {
        Some((_, after)) => after.split_once(']').map_or("", |(_, after)| after),
        None => &kept,
    };
    own.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{folded_prompt, without_reminders};

    #[test]
    fn only_what_the_person_wrote_is_the_prompt() {
        for (text, expected) in [
            ("hello", "hello"),
            ("<system-reminder>\nx\n</system-reminder>\nhello\n", "hello"),
            ("<system-reminder>x</system-reminder>", ""),
            ("[Request interrupted by user for tool use]\n", ""),
            ("old\n[Request interrupted by user]\nnew", "new"),
            ("a<system-reminder>x</system-reminder>b", "ab"),
        ] {
            assert_eq!(without_reminders(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_message_sent_during_a_turn_is_a_prompt() {
        let system = "The user sent a new message while you were working:\n[[say: nine]]\n\nThis is how Claude Code surfaces messages";
        assert_eq!(folded_prompt(system), Some("[[say: nine]]"));
        assert_eq!(folded_prompt("# Environment"), None);
    }
}
