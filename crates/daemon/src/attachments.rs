//! Files that come with a prompt: brought into the folder of their run before the agent is told of them.

use std::fs;

use chatroom_protocol::RunId;
use chatroom_protocol::api::daemon::PromptFile;
use reqwest::{Method, StatusCode};

use crate::home::{Home, HomeError};
use crate::platform::{NotRegistered, Platform};

/// The most a file may have.
const LARGEST: u64 = 8 * 1024 * 1024;
/// How many characters of a name are kept.
const NAME: usize = 120;

/// Why a file could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// Nobody to ask.
    #[error(transparent)]
    NotRegistered(#[from] NotRegistered),
    /// No answer came.
    #[error("an attachment could not be fetched: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The server did not give it.
    #[error("an attachment could not be fetched: the server answered {0}")]
    Refused(StatusCode),
    /// What came is not what was told of.
    #[error("an attachment did not arrive whole")]
    NotWhole,
    /// It cannot be kept.
    #[error(transparent)]
    Home(#[from] HomeError),
}

/// Fetches the files of a prompt, and returns its text with the path of each in place of its id.
///
/// What is there already is not fetched again, so an attempt that was cut off is gone on with. One the server does not
/// have any more keeps its id in the text.
pub async fn bring(
    home: &Home,
    platform: &Platform,
    run: RunId,
    mut text: String,
    files: &[PromptFile],
) -> Result<String, BringError> {
    for file in files {
        let folder = format!("runs/{run}/attachments");
        let name = format!("{folder}/{}-{}", file.attachment_id, plain(&file.name));
        let path = home.join(&name);
        let is_there = fs::metadata(&path).is_ok_and(|meta| meta.len() == file.size);
        if !is_there {
            let Some(bytes) = fetch(platform, run, file).await? else { continue };
            home.folder(&folder)?;
            home.write(&name, &bytes)?;
        }
        text = text.replace(&file.attachment_id.to_string(), &path.display().to_string());
    }
    Ok(text)
}

async fn fetch(platform: &Platform, run: RunId, file: &PromptFile) -> Result<Option<Vec<u8>>, BringError> {
    if file.size > LARGEST {
        return Err(BringError::NotWhole);
    }
    let path = format!("runs/{run}/attachments/{}", file.attachment_id);
    let mut response = platform.request(Method::GET, &path)?.send().await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        status => return Err(BringError::Refused(status)),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > file.size {
            return Err(BringError::NotWhole);
        }
    }
    if bytes.len() as u64 == file.size { Ok(Some(bytes)) } else { Err(BringError::NotWhole) }
}

/// Returns a name with nothing in it that leads elsewhere, whatever the server calls the file.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().take(NAME).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere() {
        for (name, expected) in [("shot.png", "shot.png"), ("../../x", "..-..-x"), ("a\0b c", "a-b-c"), ("", "")] {
            assert_eq!(plain(name), expected);
        }
        assert_eq!(plain(&"a".repeat(500)).len(), NAME);
    }
}
