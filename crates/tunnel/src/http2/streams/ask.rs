//! What those do who ask for something.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, request, response};

use super::super::error::{Http2Error, Reason};
use super::super::frame::{self, MAX};
use super::super::message;
use super::super::shared::Unopened;
use super::Streams;
use super::one::{Progress, Stream};
use crate::settings::SEND_BUFFER;

impl Streams {
    /// Begins a stream with this request, and returns its number. If it has a body, nothing is sent yet, so that both
    /// leave together.
    pub(in super::super) fn open(&mut self, head: &request::Parts, ended: bool) -> Result<u32, Unopened> {
        let id = self.next;
        if self.is_closing() {
            return Err(Unopened::Closed);
        }
        if id > MAX {
            return Err(Unopened::Exhausted);
        }
        self.next += 2;
        let mut block = Vec::with_capacity(256);
        message::request(&mut block, head);
        let most = self.out.frame;
        self.outbox.put(|out| frame::headers(out, id, ended, &block, most));
        let is_head = head.method == Method::HEAD;
        let stream = Stream::new(self.out.stream_window, self.settings.stream_window, ended, is_head);
        self.by_id.insert(id, stream);
        self.open += 1;
        if ended {
            self.stir();
        }
        Ok(id)
    }

    /// Has what is written down sent.
    pub(in super::super) fn begin(&mut self) {
        if !self.outbox.is_empty() {
            self.stir();
        }
    }

    /// Returns whether the peer takes some of the body now. If not, `waker` is woken once that may be different.
    pub(in super::super) fn has_room(&mut self, id: u32, waker: &Waker) -> Result<bool, Http2Error> {
        let Some(stream) = self.by_id.get_mut(&id) else { return Err(Http2Error::Lost) };
        if let Some(error) = stream.failed {
            return Err(error);
        }
        let queued = i64::try_from(stream.out.queued).unwrap_or(i64::MAX);
        if stream.out.is_sent() || (stream.out.queued < SEND_BUFFER && queued < stream.out.window) {
            return Ok(true);
        }
        keep(&mut stream.out.sender, waker);
        // The head need not wait for the body.
        self.begin();
        Ok(false)
    }

    /// Returns why the body is not wanted any more. If it is, `waker` is woken when that changes.
    pub(in super::super) fn refusal(&mut self, id: u32, waker: &Waker) -> Option<Http2Error> {
        let Some(stream) = self.by_id.get_mut(&id) else { return Some(Http2Error::Lost) };
        if stream.failed.is_none() {
            keep(&mut stream.out.sender, waker);
        }
        stream.failed
    }

    pub(in super::super) fn send(&mut self, id: u32, bytes: Bytes, is_last: bool) {
        self.say(id, |stream| {
            if !bytes.is_empty() {
                stream.out.queued += bytes.len();
                stream.out.queue.push_back(bytes);
            }
            if is_last {
                stream.out.progress = Progress::Said;
            }
        });
    }

    pub(in super::super) fn send_trailers(&mut self, id: u32, trailers: HeaderMap) {
        self.say(id, |stream| {
            stream.out.trailers = Some(trailers);
            stream.out.progress = Progress::Said;
        });
    }

    fn say(&mut self, id: u32, say: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.by_id.get_mut(&id).filter(|stream| !stream.out.is_said() && stream.failed.is_none())
        {
            say(stream);
            self.take_turns(id);
            self.stir();
        }
    }

    /// Ends a stream from here.
    pub(in super::super) fn reset(&mut self, id: u32, reason: Reason) {
        if let Some(stream) = self.by_id.get_mut(&id).filter(|stream| !stream.is_closed()) {
            self.outbox.put(|out| frame::reset(out, id, reason));
            stream.fail(Http2Error::Reset(reason), &mut self.woken);
            self.settle(id);
            self.stir();
        }
    }

    /// Tells that who sends the body sends no more. One that is not whole is worth nothing.
    pub(in super::super) fn stop_sending(&mut self, id: u32) {
        if let Some(stream) = self.by_id.get_mut(&id) {
            stream.holders -= 1;
            if !stream.out.is_said() {
                self.reset(id, Reason::CANCEL);
            }
            self.forsake(id);
        }
    }

    /// Tells that nobody reads the answer any more.
    pub(in super::super) fn stop_reading(&mut self, id: u32) {
        if let Some(stream) = self.by_id.get_mut(&id) {
            stream.holders -= 1;
            stream.back.is_deaf = true;
            stream.back.chunks = VecDeque::new();
            stream.back.crumbs = BytesMut::new();
            let unread = std::mem::take(&mut stream.back.unread);
            self.give_back(unread);
            self.forsake(id);
        }
    }

    /// Ends a stream nobody holds on to, unless all it has to say is said and the peer's part is heard.
    fn forsake(&mut self, id: u32) {
        let Some(stream) = self.by_id.get(&id).filter(|stream| stream.holders == 0) else { return };
        if !(stream.out.is_said() && stream.back.is_heard()) {
            self.reset(id, Reason::CANCEL);
        }
        self.settle(id);
    }

    /// Returns the head of the answer once it is here.
    pub(in super::super) fn answer(
        &mut self,
        id: u32,
        waker: &Waker,
    ) -> Option<Result<Box<response::Parts>, Http2Error>> {
        let Some(stream) = self.by_id.get_mut(&id) else { return Some(Err(Http2Error::Lost)) };
        if let Some(answer) = stream.back.answer.take() {
            return Some(Ok(answer));
        }
        if stream.failed.is_none() {
            keep(&mut stream.back.reader, waker);
        }
        stream.failed.map(Err)
    }

    /// Returns the next piece of the answer's body, or nothing more at its end.
    pub(in super::super) fn read(&mut self, id: u32, waker: &Waker) -> Option<Result<Option<Bytes>, Http2Error>> {
        let Some(stream) = self.by_id.get_mut(&id) else { return Some(Err(Http2Error::Lost)) };
        let bytes = stream.back.chunks.pop_front().or_else(|| {
            let crumbs = std::mem::take(&mut stream.back.crumbs);
            (!crumbs.is_empty()).then(|| crumbs.freeze())
        });
        let Some(bytes) = bytes else {
            return match stream.failed {
                _ if stream.back.is_heard() => Some(Ok(None)),
                Some(error) => Some(Err(error)),
                None => {
                    keep(&mut stream.back.reader, waker);
                    None
                }
            };
        };
        stream.back.unread -= bytes.len();
        if !stream.back.is_heard()
            && stream.failed.is_none()
            && let Some(more) = stream.back.window.give_back(bytes.len())
        {
            self.outbox.put(|out| frame::window_update(out, id, more));
            self.stir();
        }
        self.give_back(bytes.len());
        Some(Ok(Some(bytes)))
    }

    pub(in super::super) fn take_trailers(&mut self, id: u32) -> Option<HeaderMap> {
        self.by_id.get_mut(&id)?.back.tail.take()
    }

    /// Returns whether the answer has been read to its end.
    pub(in super::super) fn is_at_end(&self, id: u32) -> bool {
        self.by_id
            .get(&id)
            .is_none_or(|stream| stream.back.is_heard() && stream.back.unread == 0 && stream.back.tail.is_none())
    }

    /// Asks the peer to say anything at all.
    pub(in super::super) fn ping(&mut self) {
        self.outbox.put(|out| frame::ping(out, 0, [0; 8]));
        self.stir();
    }
}

/// Keeps a waker, which is mostly the one that is kept already.
pub(super) fn keep(kept: &mut Option<Waker>, waker: &Waker) {
    match kept {
        Some(kept) => kept.clone_from(waker),
        None => *kept = Some(waker.clone()),
    }
}
