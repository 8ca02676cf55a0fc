//! Which agent programs are on this machine.
//!
//! A program that is there and does not tell its version is neither installed
//! nor missing: the person is told that the probe failed.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use chatroom_protocol::Tool;
use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use futures_util::future::join_all;
use tokio::process::Command;
use tokio::time::timeout;

use crate::env::SearchPath;
use crate::harness::{self, ToolSpec};

/// How long a program may take to tell its version: long enough for a busy computer.
const PROBE: Duration = Duration::from_secs(10);

/// Looks for every tool; takes as long as the slowest probe, ten seconds at most.
pub async fn detect(path: &SearchPath) -> Vec<ToolFacts> {
    join_all(Tool::ALL.map(|tool| look(harness::spec(tool), path))).await
}

/// Returns where a tool's program is.
pub fn program(tool: Tool, path: &SearchPath) -> Option<PathBuf> {
    harness::spec(tool).programs.iter().find_map(|name| path.find(name))
}

/// What tells cheaply whether the programs are still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<(PathBuf, Option<SystemTime>, u64)>>);

impl Fingerprint {
    /// Takes it: one look at each program's file.
    pub fn take(path: &SearchPath) -> Self {
        Self(
            Tool::ALL
                .map(|tool| {
                    let program = program(tool, path)?;
                    let meta = std::fs::metadata(&program).ok()?;
                    Some((program, meta.modified().ok(), meta.len()))
                })
                .to_vec(),
        )
    }
}

async fn look(tool: &ToolSpec, path: &SearchPath) -> ToolFacts {
    let (presence, version) = match program(tool.tool, path) {
        None => (ToolPresence::Missing, None),
        Some(program) => match probe(tool, program, path).await {
            Some(version) => (ToolPresence::Installed, Some(version)),
            None => (ToolPresence::ProbeFailed, None),
        },
    };
    ToolFacts { tool: tool.tool, presence, version }
}

async fn probe(tool: &ToolSpec, program: PathBuf, path: &SearchPath) -> Option<String> {
    let output = Command::new(program)
        .args(tool.version_args)
        .env("PATH", path.joined(None))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PROBE, output).await.ok()?.ok()?;
    if !output.status.success() {
        return None;
    }
    version(&String::from_utf8_lossy(&output.stdout))
}

/// Finds the first word that is a version.
fn version(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()) && word.len() <= 64)
        .map(|word| word.trim_end_matches([',', ';', ')']).to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_found_among_other_words() {
        for (text, expected) in [
            ("2.1.329 (Claude Code)\n", Some("2.1.329")),
            ("v1.2.3", Some("1.2.3")),
            ("pi 0.87.1,", Some("0.87.1")),
            ("2025.09.18-7ae6800", Some("2025.09.18-7ae6800")),
            ("usage: agent", None),
            ("", None),
        ] {
            assert_eq!(super::version(text).as_deref(), expected, "{text}");
        }
    }
}
