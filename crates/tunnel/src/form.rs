//! How a tunnel is asked for, and what is said to ask for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::{Digest as _, Sha1};

use crate::PROTOCOL;

/// The tunnel's name among the protocols over a WebSocket, where a slash is not allowed.
const SUBPROTOCOL: &str = "chatroom-tunnel.1";
const VERSION: &str = "13";
/// Joined to the key by whoever understood that a WebSocket was asked for (RFC 6455, 1.3).
const UNDERSTOOD: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How the byte stream of a tunnel is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As it is, after an `Upgrade` to the tunnel's own protocol.
    #[default]
    Upgrade,
    /// In WebSocket messages, for what stands between and passes on nothing else.
    WebSocket,
}

impl Form {
    /// Returns the form that is left when this one does not get through.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Upgrade => Self::WebSocket,
            Self::WebSocket => Self::Upgrade,
        }
    }

    /// Says that a tunnel of this form is wanted. Returns what a server that agrees answers.
    pub(crate) fn ask(self, headers: &mut HeaderMap) -> Result<Agreement, getrandom::Error> {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if self == Self::Upgrade {
            headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
            return Ok(Agreement::Upgrade);
        }
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let key = STANDARD.encode(nonce);
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let accept = accept(key.as_bytes());
        headers.extend(HeaderValue::try_from(key).ok().map(|key| (SEC_WEBSOCKET_KEY, key)));
        Ok(Agreement::WebSocket { accept })
    }

    /// Returns the form a caller asks for, and what to answer if it is granted.
    pub(crate) fn asked(headers: &HeaderMap) -> Option<(Self, HeaderMap)> {
        if !lists(headers, &CONNECTION, "upgrade") {
            return None;
        }
        let mut answer = HeaderMap::new();
        answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if lists(headers, &UPGRADE, PROTOCOL) {
            answer.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
            return Some((Self::Upgrade, answer));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY)?.as_bytes();
        let is_key = STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
        let asks = lists(headers, &UPGRADE, "websocket")
            && lists(headers, &SEC_WEBSOCKET_VERSION, VERSION)
            && lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            && is_key;
        if !asks {
            return None;
        }
        answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        answer.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept(key)).ok()?);
        Some((Self::WebSocket, answer))
    }
}

/// What the answer to a request for a tunnel must hold.
pub(crate) enum Agreement {
    Upgrade,
    WebSocket { accept: String },
}

impl Agreement {
    pub(crate) fn is_in(&self, answer: &HeaderMap) -> bool {
        match self {
            Self::Upgrade => lists(answer, &UPGRADE, PROTOCOL),
            Self::WebSocket { accept } => {
                lists(answer, &UPGRADE, "websocket")
                    && lists(answer, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
                    && answer.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|told| told.as_bytes() == accept.as_bytes())
            }
        }
    }
}

fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(UNDERSTOOD).finalize())
}

/// Returns whether a header that is a list has `token` in it.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_the_standards() {
        // The example of RFC 6455, 1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_one_end_asks_the_other_understands() {
        for form in [Form::Upgrade, Form::WebSocket] {
            let mut headers = HeaderMap::new();
            let agreement = form.ask(&mut headers).unwrap();
            let (asked, answer) = Form::asked(&headers).unwrap();
            assert_eq!(asked, form);
            assert!(agreement.is_in(&answer));
            let other = form.other().ask(&mut HeaderMap::new()).unwrap();
            assert!(!other.is_in(&answer), "an answer to something else");
        }
    }

    #[test]
    fn another_programs_websocket_is_no_tunnel() {
        let mut headers = HeaderMap::new();
        Form::WebSocket.ask(&mut headers).unwrap();
        for missing in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION] {
            let mut headers = headers.clone();
            headers.remove(&missing);
            assert!(Form::asked(&headers).is_none(), "{missing}");
        }
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("short"));
        assert!(Form::asked(&headers).is_none());
    }
}
