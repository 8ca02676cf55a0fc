//! A peer that says, frame by frame, whatever a test wants it to.

use chatroom_tunnel::{Closed, Link, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use crate::world::soon;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// `:status: 200`, packed.
pub const OK: &[u8] = &[0x88];

/// A frame, as it was heard.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// Writes a frame down.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// One setting, as the payload of its frame.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub struct Peer {
    socket: DuplexStream,
}

impl Peer {
    /// Takes the far end of a new link, and hears its first words.
    pub async fn meet(settings: Settings) -> (Self, Link, JoinHandle<Closed>) {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let (link, driver) = Link::over(near, settings);
        let driver = tokio::spawn(driver);
        let mut peer = Self { socket: far };
        let mut preface = [0; 24];
        soon(peer.socket.read_exact(&mut preface)).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(peer.hear().await.kind, SETTINGS);
        (peer, link, driver)
    }

    /// The same, greeted.
    pub async fn greet() -> (Self, Link, JoinHandle<Closed>) {
        let (mut peer, link, driver) = Self::meet(Settings::default()).await;
        peer.say(SETTINGS, 0, 0, &[]).await;
        (peer, link, driver)
    }

    pub async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.say_raw(&frame(kind, flags, stream, payload)).await;
    }

    pub async fn say_raw(&mut self, bytes: &[u8]) {
        // It may have hung up.
        let _ = soon(self.socket.write_all(bytes)).await;
    }

    pub async fn hear(&mut self) -> Frame {
        let mut head = [0; 9];
        soon(self.socket.read_exact(&mut head)).await.expect("the link is there");
        let [a, b, c, kind, flags, s @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon(self.socket.read_exact(&mut payload)).await.unwrap();
        Frame { kind, flags, stream: u32::from_be_bytes(s), payload }
    }

    /// Hears the next frame that is not about the connection's own settings.
    pub async fn hear_next(&mut self) -> Frame {
        loop {
            let frame = self.hear().await;
            if !matches!(frame.kind, SETTINGS | WINDOW_UPDATE) {
                return frame;
            }
        }
    }

    /// Listens until a frame of this kind comes.
    pub async fn hear_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.hear().await;
            if frame.kind == kind {
                return frame;
            }
        }
    }
}
