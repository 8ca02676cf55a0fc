//! One stream: what goes out, and what comes back.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, response};

use super::super::error::{Http2Error, Reason};
use super::super::message::Malformed;
use super::take::Broken;
use super::window::Window;

pub(super) struct Stream {
    /// Who holds on to it: who sends its body, and who reads its answer.
    pub(super) holders: u8,
    /// It takes one of the slots the peer allows.
    pub(super) has_slot: bool,
    pub(super) failed: Option<Http2Error>,
    pub(super) out: Out,
    pub(super) back: Back,
}

/// The body of the request.
pub(super) struct Out {
    pub(super) queue: VecDeque<Bytes>,
    /// How many bytes that are.
    pub(super) queued: usize,
    pub(super) window: i64,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) progress: Progress,
    pub(super) is_in_turn: bool,
    pub(super) sender: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    Open,
    /// All that will be sent is in the queue.
    Said,
    /// All of it is on its way.
    Sent,
}

/// The answer.
pub(super) struct Back {
    pub(super) answer: Option<Box<response::Parts>>,
    pub(super) progress: Heard,
    /// The answer to HEAD has a length and no body.
    pub(super) is_head: bool,
    /// How much is still to come, where the answer says so.
    pub(super) left: Option<u64>,
    pub(super) chunks: VecDeque<Bytes>,
    /// Small pieces, together. They come after the chunks.
    pub(super) crumbs: BytesMut,
    pub(super) unread: usize,
    pub(super) window: Window,
    pub(super) tail: Option<HeaderMap>,
    /// Nobody reads it.
    pub(super) is_deaf: bool,
    pub(super) reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Answer,
    All,
}

impl Out {
    pub(super) fn is_said(&self) -> bool {
        self.progress != Progress::Open
    }

    pub(super) fn is_sent(&self) -> bool {
        self.progress == Progress::Sent
    }
}

impl Back {
    pub(super) fn is_answered(&self) -> bool {
        self.progress != Heard::Nothing
    }

    pub(super) fn is_heard(&self) -> bool {
        self.progress == Heard::All
    }
}

impl Stream {
    /// Begins one whose request may have `ended` with its head.
    pub(super) fn new(window: i64, back: u32, ended: bool, is_head: bool) -> Self {
        let out = Out {
            queue: VecDeque::new(),
            queued: 0,
            window,
            trailers: None,
            progress: if ended { Progress::Sent } else { Progress::Open },
            is_in_turn: false,
            sender: None,
        };
        let back = Back {
            answer: None,
            progress: Heard::Nothing,
            is_head,
            left: None,
            chunks: VecDeque::new(),
            crumbs: BytesMut::new(),
            unread: 0,
            window: Window::new(back),
            tail: None,
            is_deaf: false,
            reader: None,
        };
        Self { holders: if ended { 1 } else { 2 }, has_slot: true, failed: None, out, back }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.failed.is_some() || (self.out.is_sent() && self.back.is_heard())
    }

    pub(super) fn is_listened_to(&self) -> bool {
        !self.back.is_deaf && self.failed.is_none()
    }

    /// Ends it before its time. What was heard whole stays readable.
    pub(super) fn fail(&mut self, error: Http2Error, woken: &mut Vec<Waker>) {
        self.failed.get_or_insert(error);
        self.out.queue = VecDeque::new();
        self.out.queued = 0;
        self.out.trailers = None;
        woken.extend(self.out.sender.take());
        woken.extend(self.back.reader.take());
    }

    /// Checks a piece of the body against the rules: `framed` bytes came, `length` of them are body.
    pub(super) fn check(&mut self, framed: usize, length: usize, is_last: bool) -> Result<(), Broken> {
        match self.back.progress {
            Heard::Nothing => return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "a body before its answer")),
            Heard::Answer => {}
            Heard::All => return Err(Broken::Stream(Reason::STREAM_CLOSED, "a body after its end")),
        }
        if !self.back.window.take(framed) {
            return Err(Broken::Stream(Reason::FLOW_CONTROL_ERROR, "more than the stream's window"));
        }
        if let Some(left) = &mut self.back.left {
            let rest = left.checked_sub(length as u64).filter(|rest| !is_last || *rest == 0);
            *left = rest.ok_or(Malformed("a body of another length than it says"))?;
        }
        Ok(())
    }
}
