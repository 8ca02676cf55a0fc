//! What comes from the peer.

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::super::error::{Http2Error, Reason};
use super::super::frame::{self, Head, MAX, SMALLEST_MOST, flag, kind, setting};
use super::super::hpack::{self, Unreadable};
use super::super::message::{self, Answer, Malformed};
use super::one::Heard;
use super::{Block, Streams};
use crate::settings::{FRAME, HEADERS, STREAMS};

/// A payload up to this is copied where it is kept, so that it does not hold on to all that was read with it.
const COPIED: usize = 16 * 1024;

/// What follows from a frame that breaks a rule.
pub(super) enum Broken {
    Connection(Http2Error),
    Stream(Reason, &'static str),
}

impl From<Http2Error> for Broken {
    fn from(error: Http2Error) -> Self {
        Self::Connection(error)
    }
}

impl From<Malformed> for Broken {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Stream(Reason::PROTOCOL_ERROR, what)
    }
}

impl Streams {
    /// Takes a frame that is here whole, its payload first in `input`.
    pub(in super::super) fn take(&mut self, head: Head, input: &mut BytesMut) -> Result<(), Http2Error> {
        if self.block.as_ref().is_some_and(|block| head.kind != kind::CONTINUATION || head.stream != block.stream) {
            return Err(Http2Error::protocol("a frame in the middle of headers"));
        }
        if !self.is_greeted && head.kind != kind::SETTINGS {
            return Err(Http2Error::protocol("a connection that does not begin with settings"));
        }
        let taken = if head.kind == kind::DATA {
            self.on_data(head, input)
        } else {
            let payload = &input[..head.length];
            let taken = match head.kind {
                kind::HEADERS => self.on_headers(head, payload),
                kind::CONTINUATION => self.on_continuation(head, payload),
                kind::RST_STREAM => self.on_reset(head, payload),
                kind::SETTINGS => self.on_settings(head, payload),
                kind::PUSH_PROMISE => Err(Http2Error::protocol("a push nobody allowed").into()),
                kind::PING => self.on_ping(head, payload),
                kind::GOAWAY => self.on_goodbye(head, payload),
                kind::WINDOW_UPDATE => self.on_window(head, payload),
                // Priorities, and what is not known: neither changes anything.
                _ => Ok(()),
            };
            input.advance(head.length);
            taken
        };
        match taken {
            Ok(()) => Ok(()),
            Err(Broken::Connection(error)) => Err(error),
            Err(Broken::Stream(reason, what)) => {
                if let Some(stream) = self.by_id.get_mut(&head.stream).filter(|stream| !stream.is_closed()) {
                    self.outbox.put(|out| frame::reset(out, head.stream, reason));
                    stream.back.progress = Heard::Nothing;
                    stream.fail(Http2Error::broken(reason, what), &mut self.woken);
                    self.settle(head.stream);
                }
                Ok(())
            }
        }
    }

    /// Refuses the number of a stream this end never began. One it has forgotten is fine: the peer may not know yet.
    fn known(&self, id: u32) -> Result<(), Http2Error> {
        if id % 2 == 1 && id < self.next { Ok(()) } else { Err(Http2Error::protocol("a frame of no stream")) }
    }

    fn on_data(&mut self, head: Head, input: &mut BytesMut) -> Result<(), Broken> {
        self.known(head.stream)?;
        let padding = if head.has(flag::PADDED) {
            let padding = usize::from(*input.first().ok_or(UNSOUND)?) + 1;
            if padding > head.length {
                return Err(Http2Error::protocol("more padding than frame").into());
            }
            padding
        } else {
            0
        };
        if !self.window.take(head.length) {
            return Err(Http2Error::broken(Reason::FLOW_CONTROL_ERROR, "more than the connection's window").into());
        }
        let length = head.length - padding;
        let is_last = head.has(flag::END_STREAM);
        let checked = match self.by_id.get_mut(&head.stream).filter(|stream| stream.is_listened_to()) {
            Some(stream) => stream.check(head.length, length, is_last).map(|()| true),
            None => Ok(false),
        };
        let Some(stream) = self.by_id.get_mut(&head.stream).filter(|_| matches!(checked, Ok(true))) else {
            input.advance(head.length);
            self.give_back(head.length);
            return checked.map(|_| ());
        };
        let start = usize::from(padding > 0);
        if length > COPIED {
            let bytes = input.split_to(head.length).freeze().slice(start..start + length);
            if !stream.back.crumbs.is_empty() {
                stream.back.chunks.push_back(stream.back.crumbs.split().freeze());
            }
            stream.back.chunks.push_back(bytes);
        } else {
            stream.back.crumbs.extend_from_slice(&input[start..start + length]);
            input.advance(head.length);
        }
        stream.back.unread += length;
        if is_last {
            stream.back.progress = Heard::All;
        }
        let more = if is_last { None } else { stream.back.window.give_back(padding) };
        self.woken.extend(stream.back.reader.take());
        if let Some(more) = more {
            self.outbox.put(|out| frame::window_update(out, head.stream, more));
        }
        self.give_back(padding);
        self.settle(head.stream);
        Ok(())
    }

    fn on_headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        self.known(head.stream)?;
        let mut block = payload;
        let mut padding = 0;
        if head.has(flag::PADDED) {
            padding = usize::from(*block.split_off_first().ok_or(UNSOUND)?);
        }
        if head.has(flag::PRIORITY) {
            block.split_off(..5).ok_or(UNSOUND)?;
        }
        let length = block.len().checked_sub(padding).ok_or(Http2Error::protocol("more padding than frame"))?;
        let block = &block[..length];
        let end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.on_fields(head.stream, end, block);
        }
        self.block = Some(Block { stream: head.stream, end, bytes: block.to_vec() });
        Ok(())
    }

    fn on_continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        let Some(mut block) = self.block.take() else {
            return Err(Http2Error::protocol("the rest of no headers").into());
        };
        // Packed, headers are shorter than unpacked; and frames with nothing in them must end somewhere as well.
        if payload.is_empty() || block.bytes.len() + payload.len() > HEADERS as usize {
            return Err(Http2Error::broken(Reason::ENHANCE_YOUR_CALM, "headers without end").into());
        }
        block.bytes.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            return self.on_fields(block.stream, block.end, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    fn on_fields(&mut self, id: u32, end: bool, block: &[u8]) -> Result<(), Broken> {
        let Some(stream) = self.by_id.get_mut(&id).filter(|stream| stream.failed.is_none()) else { return Ok(()) };
        let fields = hpack::read(block, HEADERS as usize).map_err(|unreadable| match unreadable {
            Unreadable::Nonsense => {
                Http2Error::broken(Reason::COMPRESSION_ERROR, "headers that cannot be unpacked").into()
            }
            Unreadable::TooLong => Broken::Stream(Reason::ENHANCE_YOUR_CALM, "headers that are too long"),
        })?;
        if stream.back.is_heard() {
            return Err(Broken::Stream(Reason::STREAM_CLOSED, "headers after the end"));
        }
        if stream.back.is_answered() {
            if !end {
                return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "a second answer"));
            }
            stream.back.tail = Some(message::read_trailers(fields)?);
        } else {
            match message::answer(fields)? {
                Answer::Informational if end => {
                    return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "an answer that ends before it begins"));
                }
                Answer::Informational => return Ok(()),
                Answer::Final(answer) => {
                    let length = answer.headers.get(CONTENT_LENGTH);
                    let is_bodiless = stream.back.is_head || answer.status == StatusCode::NOT_MODIFIED;
                    if let Some(length) = length.filter(|_| !is_bodiless) {
                        let length = length.to_str().ok().and_then(|length| length.parse().ok());
                        stream.back.left = Some(length.ok_or(Malformed("a length that is no number"))?);
                    }
                    stream.back.answer = Some(answer);
                    stream.back.progress = Heard::Answer;
                }
            }
        }
        if end && stream.back.left.is_some_and(|left| left > 0) {
            return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "a body shorter than its length"));
        }
        if end {
            stream.back.progress = Heard::All;
        }
        self.woken.extend(stream.back.reader.take());
        self.settle(id);
        Ok(())
    }

    fn on_reset(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        self.known(head.stream)?;
        let reason = Reason(u32::from_be_bytes(payload.try_into().map_err(|_| UNSOUND)?));
        if let Some(stream) = self.by_id.get_mut(&head.stream).filter(|stream| !stream.is_closed()) {
            stream.fail(Http2Error::Reset(reason), &mut self.woken);
            self.settle(head.stream);
        }
        Ok(())
    }

    fn on_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Http2Error::protocol("settings of a stream").into());
        }
        let is_ack = head.has(flag::ACK);
        if !payload.len().is_multiple_of(6) || (is_ack && !payload.is_empty()) {
            return Err(UNSOUND.into());
        }
        if is_ack {
            return Ok(());
        }
        self.is_greeted = true;
        for pair in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([pair[0], pair[1]]);
            let value = u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]);
            match name {
                setting::ENABLE_PUSH if value != 0 => {
                    return Err(Http2Error::protocol("a server that wants to be pushed to").into());
                }
                setting::MAX_CONCURRENT_STREAMS => self.allow(value.min(STREAMS) as usize),
                setting::INITIAL_WINDOW_SIZE => self.on_stream_window(value)?,
                setting::MAX_FRAME_SIZE => {
                    let most = usize::try_from(value).unwrap_or(usize::MAX);
                    if !(SMALLEST_MOST..1 << 24).contains(&most) {
                        return Err(Http2Error::protocol("a size no frame can have").into());
                    }
                    self.out.frame = most.min(FRAME as usize);
                }
                _ => {}
            }
        }
        self.outbox.put(frame::settings_ack);
        Ok(())
    }

    /// Changes how many streams may be open. Slots that are in use are taken back when they are free.
    fn allow(&mut self, allowed: usize) {
        let before = std::mem::replace(&mut self.allowed, allowed);
        if let Some(fewer) = before.checked_sub(allowed) {
            self.owed += fewer - self.slots.forget_permits(fewer);
        } else {
            let more = allowed - before;
            let settled = more.min(self.owed);
            self.owed -= settled;
            self.slots.add_permits(more - settled);
        }
    }

    fn on_stream_window(&mut self, size: u32) -> Result<(), Broken> {
        let beyond = Http2Error::broken(Reason::FLOW_CONTROL_ERROR, "a window beyond all bounds");
        if size > MAX {
            return Err(beyond.into());
        }
        let change = i64::from(size) - self.out.stream_window;
        self.out.stream_window = size.into();
        let mut opened = Vec::new();
        for (&id, stream) in &mut self.by_id {
            stream.out.window += change;
            if stream.out.window > MAX.into() {
                return Err(beyond.into());
            }
            self.woken.extend(stream.out.sender.take());
            opened.push(id);
        }
        for id in opened {
            self.take_turns(id);
        }
        Ok(())
    }

    fn on_ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Http2Error::protocol("a ping of a stream").into());
        }
        let opaque = payload.try_into().map_err(|_| UNSOUND)?;
        if !head.has(flag::ACK) {
            self.outbox.put(|out| frame::ping(out, flag::ACK, opaque));
        }
        Ok(())
    }

    fn on_goodbye(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Http2Error::protocol("a goodbye of a stream").into());
        }
        let (last, rest) = payload.split_first_chunk::<4>().ok_or(UNSOUND)?;
        let reason = Reason(u32::from_be_bytes(*rest.first_chunk::<4>().ok_or(UNSOUND)?));
        let last = u32::from_be_bytes(*last) & MAX;
        if self.goodbye.is_some_and(|(before, _)| last > before) {
            return Err(Http2Error::protocol("a goodbye that takes more than the one before").into());
        }
        self.goodbye = Some((last, reason));
        self.slots.close();
        let dropped: Vec<_> = self.by_id.keys().copied().filter(|id| *id > last).collect();
        for id in dropped {
            if let Some(stream) = self.by_id.get_mut(&id).filter(|stream| !stream.is_closed()) {
                stream.fail(Http2Error::GoAway(reason), &mut self.woken);
            }
            self.settle(id);
        }
        Ok(())
    }

    fn on_window(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        let by = u32::from_be_bytes(payload.try_into().map_err(|_| UNSOUND)?) & MAX;
        if head.stream == 0 {
            if by == 0 {
                return Err(Http2Error::protocol("a window opened by nothing").into());
            }
            self.out.window += i64::from(by);
            if self.out.window > MAX.into() {
                let what = "a window beyond all bounds";
                return Err(Http2Error::broken(Reason::FLOW_CONTROL_ERROR, what).into());
            }
            return Ok(());
        }
        self.known(head.stream)?;
        let Some(stream) = self.by_id.get_mut(&head.stream).filter(|stream| !stream.is_closed()) else {
            return Ok(());
        };
        if by == 0 {
            return Err(Broken::Stream(Reason::PROTOCOL_ERROR, "a window opened by nothing"));
        }
        stream.out.window += i64::from(by);
        if stream.out.window > MAX.into() {
            return Err(Broken::Stream(Reason::FLOW_CONTROL_ERROR, "a window beyond all bounds"));
        }
        self.woken.extend(stream.out.sender.take());
        self.take_turns(head.stream);
        Ok(())
    }
}

/// A frame too short, or too long, for what it is.
const UNSOUND: Http2Error =
    Http2Error::Broken { reason: Reason::FRAME_SIZE_ERROR, what: "a frame of a size it cannot have" };
