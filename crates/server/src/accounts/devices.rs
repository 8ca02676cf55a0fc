//! Signing a CLI in without typing a password there.
//!
//! The device polls with a secret it never shows; the person compares a short
//! code. The two are different, both are stored as hashes, and what was allowed
//! is picked up once.

use std::net::IpAddr;

use chatroom_domain::accounts::{AccountError, DEVICE_CODE_MS, DEVICE_INTERVAL_S, normalise_user_code, user_code};
use chatroom_domain::secrets::{Token, TokenHash, TokenKind};
use chatroom_protocol::UserId;
use chatroom_protocol::api::auth::{Decision, DeviceCodes, DeviceRequest, IssuedSession, SessionKind, StartDevice};
use chatroom_store::devices::{self, Polled, Request};
use chatroom_store::events::NewEvent;

use super::throttle::Tries;
use super::{home, sessions};
use crate::app::App;
use crate::error::{DeviceError, Error};

/// Begins a device sign-in.
pub async fn start(app: &App, from: IpAddr, body: StartDevice) -> Result<DeviceCodes, Error> {
    let device = text(&body.device, 100)?;
    let version = text(&body.version, 40)?;
    app.throttle.attempt(&Tries::Devices(from.into()), app.clock.now())?;
    let device_code = app.mint(TokenKind::Device)?;
    let user_code = user_code(letters(app)?);
    let work = app.begin().await?;
    let request = Request { device, version, created_at: work.now, expires_at: work.now.plus_millis(DEVICE_CODE_MS) };
    devices::insert(&work.tx, &device_code.hash(), &TokenHash::of(&user_code), &request).await?;
    work.commit().await?;
    let verification_uri = app.config.public_url.join("/cli");
    Ok(DeviceCodes {
        device_code: device_code.expose().to_owned(),
        verification_uri_complete: format!("{verification_uri}?code={user_code}"),
        verification_uri,
        user_code,
        expires_in: u32::try_from(DEVICE_CODE_MS / 1000).unwrap_or(u32::MAX),
        interval: DEVICE_INTERVAL_S,
    })
}

/// Random bytes that lead to each letter equally often: of the 256 values, the last 16 are drawn again.
fn letters(app: &App) -> Result<[u8; 8], Error> {
    let mut letters = [0; 8];
    let mut at = 0;
    while at < letters.len() {
        for byte in app.random::<16>()?.into_iter().filter(|byte| *byte < 240) {
            if let Some(letter) = letters.get_mut(at) {
                *letter = byte;
                at += 1;
            }
        }
    }
    Ok(letters)
}

/// Shows a person what asks to be let in.
pub async fn show(app: &App, user: UserId, typed: &str) -> Result<DeviceRequest, Error> {
    let tries = Tries::UserCodes(user);
    let now = app.clock.now();
    app.throttle.attempt(&tries, now)?;
    let found = devices::find(&app.reader(), &hash(typed), now).await?.ok_or(AccountError::CodeExpired)?;
    app.throttle.forgive(&tries);
    Ok(DeviceRequest { device: found.device, version: found.version, requested_at: found.created_at })
}

/// Lets a device in, or refuses it.
pub async fn decide(app: &App, user: UserId, typed: &str, decision: Decision) -> Result<(), Error> {
    let tries = Tries::UserCodes(user);
    app.throttle.attempt(&tries, app.clock.now())?;
    let mut work = app.begin().await?;
    let request =
        devices::decide(&work.tx, &hash(typed), user, decision, work.now).await?.ok_or(AccountError::CodeExpired)?;
    let decided = NewEvent {
        kind: match decision {
            Decision::Allow => "device.allowed",
            Decision::Deny => "device.denied",
        },
        private_to: Some(user),
        user: Some(user),
        outcome: Some(request.device),
        ..NewEvent::default()
    };
    let instance = home(&work.tx, user).await?;
    work.event(instance, decided).await?;
    work.commit().await?;
    app.throttle.forgive(&tries);
    Ok(())
}

/// Asks for the person's decision; the first poll after "allow" gets the session.
pub async fn poll(app: &App, device_code: &str) -> Result<IssuedSession, Error> {
    let code = Token::read(TokenKind::Device, device_code).ok_or(AccountError::CodeExpired)?;
    let mut work = app.begin().await?;
    let polled = devices::poll(&work.tx, &code.hash(), work.now).await?.ok_or(AccountError::CodeExpired)?;
    let answer = match polled {
        Polled::Pending => Err(DeviceError::Pending.into()),
        Polled::TooSoon => Err(DeviceError::SlowDown.into()),
        Polled::Denied => Err(DeviceError::Denied.into()),
        Polled::Allowed(user, request) => {
            let label = format!("{} (chatroom {})", request.device, request.version);
            let issued = sessions::issue(&mut work, user, SessionKind::Cli, label).await?;
            Ok(sessions::hand_out(&work, issued).await?)
        }
    };
    // Also a refusal has changed something: when it was polled, or that it is answered.
    work.commit().await?;
    answer
}

fn hash(typed: &str) -> TokenHash {
    TokenHash::of(&normalise_user_code(typed))
}

fn text(given: &str, longest: usize) -> Result<String, Error> {
    let given = given.trim();
    let fits = (1..=longest).contains(&given.chars().count()) && !given.chars().any(char::is_control);
    if fits {
        Ok(given.to_owned())
    } else {
        Err(Error::Invalid(format!(
            "device and version must be 1 to {longest} characters, none of them a control character"
        )))
    }
}
