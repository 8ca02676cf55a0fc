//! One stream, both ways.

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

    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued: usize,
    pub(super) window: i64,
    pub(super) trailers: Option<HeaderMap>,
    /// All that will be sent is in the queue.
    pub(super) is_said: bool,
    /// All of it is on its way.
    pub(super) is_sent: bool,
    pub(super) is_in_turn: bool,
    pub(super) sender: Option<Waker>,

    pub(super) answer: Option<Box<response::Parts>>,
    pub(super) is_answered: bool,
    /// The answer to HEAD has a length and no body.
    pub(super) is_head: bool,
    /// How much is still to come, where the answer says so.
    pub(super) left: Option<u64>,
    pub(super) chunks: VecDeque<Bytes>,
    /// Small pieces, together.
    pub(super) crumbs: BytesMut,
    pub(super) unread: usize,
    pub(super) incoming: Window,
    pub(super) tail: Option<HeaderMap>,
    pub(super) is_heard: bool,
    pub(super) is_deaf: bool,
    pub(super) reader: Option<Waker>,
}

impl Stream {
    pub(super) fn new(window: i64, incoming: u32, ended: bool, is_head: bool) -> Self {
        Self {
            holders: if ended { 1 } else { 2 },
            has_slot: true,
            failed: None,
            queue: VecDeque::new(),
            queued: 0,
            window,
            trailers: None,
            is_said: ended,
            is_sent: ended,
            is_in_turn: false,
            sender: None,
            answer: None,
            is_answered: false,
            is_head,
            left: None,
            chunks: VecDeque::new(),
            crumbs: BytesMut::new(),
            unread: 0,
            incoming: Window::new(incoming),
            tail: None,
            is_heard: false,
            is_deaf: false,
            reader: None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.failed.is_some() || (self.is_sent && self.is_heard)
    }

    pub(super) fn is_listened_to(&self) -> bool {
        !self.is_deaf && self.failed.is_none()
    }

    /// Ends it before its time. What was heard whole stays readable.
    pub(super) fn fail(&mut self, error: Http2Error, woken: &mut Vec<Waker>) {
        self.failed.get_or_insert(error);
        self.silence();
        self.wake(woken);
    }

    pub(super) fn silence(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
        self.trailers = None;
    }

    pub(super) fn wake(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.sender.take());
        woken.extend(self.reader.take());
    }
}

impl Stream {
    /// Checks a piece of the body against the rules: `framed` bytes came, `length` of them are body.
    pub(super) fn check(&mut self, framed: usize, length: usize, end: bool) -> Result<(), Broken> {
        if self.is_heard {
            return Err(Broken::Stream(Reason::STREAM_CLOSED, "a body after its end"));
        }
        if !self.is_answered {
            return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "a body before its answer"));
        }
        if !self.incoming.take(framed) {
            return Err(Broken::Stream(Reason::FLOW_CONTROL_ERROR, "more than the stream's window"));
        }
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(length as u64).filter(|rest| !end || *rest == 0);
            *left = rest.ok_or(Malformed("a body of another length than it says"))?;
        }
        Ok(())
    }
}

