//! `chatroom auth`: sign-in of this computer, by a code a signed-in person approves.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::api::auth::{IssuedSession, PollDevice, StartDevice};
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{DONE, Format};
use crate::client::{self, ApiError, Client};
use crate::failure::REFUSED;
use crate::shell::Shell;
use crate::{output, this_home, times};

/// The server people run on their own computer.
const LOCAL: &str = "http://localhost:8787";

/// Sign in and out.
#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Sign this computer in.
    Login(Login),
    /// Sign this computer out.
    Logout,
    /// Tell who is signed in.
    Status(Format),
}

/// How.
#[derive(Debug, Args)]
pub struct Login {
    /// Sign in again, whoever is signed in.
    #[arg(short, long)]
    force: bool,
}

/// Signs in or out.
pub async fn run(verb: Auth, shell: &Shell) -> Result<ExitCode> {
    match verb {
        Auth::Login(verb) => login(&verb, shell).await,
        Auth::Logout => logout(shell).await,
        Auth::Status(format) => status(format, shell).await,
    }
}

async fn login(verb: &Login, shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("auth login")?;
    let url = this_home::server_url(shell)?.unwrap_or_else(|| LOCAL.to_owned());
    this_home::refuse_other_server(shell, &url)?;
    let saved = this_home::auth(shell)?.filter(|auth| client::same_server(auth.server_url.as_str(), &url));
    if let Some(auth) = saved.filter(|_| !verb.force) {
        match Client::with_session(&url, auth.token)?.me().await {
            Ok(me) => {
                output::talk(format!("Already signed in to {url} as {}.", output::one_line(&me.name)));
                return Ok(DONE);
            }
            Err(ApiError::NotSignedIn(_)) => output::talk("The saved sign-in is no longer good; this makes a new one."),
            Err(error @ ApiError::Unreachable { .. }) => {
                output::talk(format!("{error}.\nThe saved sign-in as {} is kept.", output::one_line(&auth.user_name)));
                return Ok(DONE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let client = Client::anonymous(&url)?;
    let session = by_device(&client, &this_home::hostname()).await?;
    this_home::save_auth(shell, &url, &session)?;
    output::talk(format!("Signed in to {url} as {}.", output::one_line(&session.name)));
    Ok(DONE)
}

/// Shows link and code, and asks until the person has decided.
async fn by_device(client: &Client, device: &str) -> Result<IssuedSession> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let codes = client.start_device(&StartDevice { device: device.to_owned(), version }).await?;
    output::data(&format!(
        "Open this link and allow the sign-in:\n\n    {}\n\nThe code there must be {}.\n",
        codes.verification_uri_complete, codes.user_code
    ))?;
    output::talk(format!("Waiting for your answer, at most {} min.", codes.expires_in.div_ceil(60)));
    let until = Instant::now() + Duration::from_secs(codes.expires_in.into());
    let mut every = Duration::from_secs(codes.interval.max(1).into());
    let poll = PollDevice { device_code: codes.device_code };
    while Instant::now() < until {
        sleep(every).await;
        match client.poll_device(&poll).await {
            Ok(session) => return Ok(session),
            Err(error) => match error.code() {
                Some(ErrorCode::AuthorizationPending) => {}
                Some(ErrorCode::SlowDown) => every += Duration::from_secs(2),
                Some(ErrorCode::AccessDenied) => bail!("the sign-in was refused (access_denied)"),
                Some(ErrorCode::CodeExpired) => break,
                _ if error.is_transient() => {}
                _ => return Err(error.into()),
            },
        }
    }
    bail!("nobody allowed the sign-in in time: run `chatroom auth login` again (code_expired)")
}

async fn logout(shell: &Shell) -> Result<ExitCode> {
    shell.owner_only("auth logout")?;
    let Some(auth) = this_home::auth(shell)? else {
        output::talk("Nobody was signed in.");
        return Ok(DONE);
    };
    let server = this_home::plain(&auth.server_url);
    let ended = Client::with_session(auth.server_url.as_str(), auth.token)?.sign_out().await;
    this_home::remove_auth(shell)?;
    match ended {
        Ok(()) | Err(ApiError::NotSignedIn(_)) => output::talk(format!("Signed out of {server}.")),
        Err(error) => output::talk(format!(
            "Signed out here, but the server does not know: {error}. The session ends by itself, or in the list of \
             your sessions."
        )),
    }
    Ok(DONE)
}

async fn status(format: Format, shell: &Shell) -> Result<ExitCode> {
    if let Some(run) = &shell.run {
        let view = json!({ "signedIn": true, "runId": run.id, "chatroomId": run.room, "role": run.role, "serverUrl": run.url });
        output::either(format.json, &view, || {
            format!("Inside {}: you speak as `{}` in {} at {}.", run.id, run.role, run.room, run.url)
        })?;
        return Ok(DONE);
    }
    let Some(auth) = this_home::auth(shell)? else {
        let url = this_home::server_url(shell)?;
        let view = json!({ "signedIn": false, "serverUrl": url });
        output::either(format.json, &view, || "Not signed in: run `chatroom auth login`.".to_owned())?;
        return Ok(ExitCode::from(REFUSED));
    };
    let server = this_home::plain(&auth.server_url);
    match Client::person(shell)?.me().await {
        Ok(me) => {
            let view = json!({
                "signedIn": true, "checked": true, "serverUrl": server,
                "userId": me.user_id, "name": me.name, "expiresAt": auth.expires_at,
            });
            output::either(format.json, &view, || {
                let (name, email) = (output::one_line(&me.name), output::one_line(&me.email));
                format!("Signed in to {server} as {name} ({email}), until {}.", times::utc(auth.expires_at))
            })?;
            Ok(DONE)
        }
        Err(ApiError::Unreachable { why, .. }) => {
            let view = json!({
                "signedIn": true, "checked": false, "serverUrl": server,
                "name": auth.user_name, "expiresAt": auth.expires_at,
            });
            output::either(format.json, &view, || {
                let name = output::one_line(&auth.user_name);
                format!("Signed in to {server} as {name}, but the server cannot be asked: {why}.")
            })?;
            Ok(DONE)
        }
        Err(ApiError::NotSignedIn(_)) => {
            let view = json!({ "signedIn": false, "serverUrl": server });
            output::either(format.json, &view, || {
                format!("The sign-in to {server} is no longer good: run `chatroom auth login`.")
            })?;
            Ok(ExitCode::from(REFUSED))
        }
        Err(error) => Err(error.into()),
    }
}
