//! The streams of a connection and the rules they keep (RFC 9113, 5 and 6). Nothing here waits.

mod ask;
mod one;
mod take;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::Semaphore;

use self::one::{Progress, Stream};
use self::window::{Outgoing, Window};
use super::error::{Http2Error, Reason};
use super::frame::{self, Head, SMALLEST_MOST, WINDOW, flag, kind, setting};
use super::message;
use super::outbox::Outbox;
use crate::settings::{FRAME, HEADER_TABLE, HEADERS, STREAMS, Settings};

/// What one batch of frames carries before control gets its turn again.
const BATCH: usize = 256 * 1024;

/// All that the two sides of a connection, who asks and what moves the bytes, know together.
pub(super) struct Streams {
    settings: Settings,
    /// What leaves before any body.
    pub(super) outbox: Outbox,
    by_id: HashMap<u32, Stream>,
    /// Whose turn it is to send, one frame at a time.
    sending: VecDeque<u32>,
    next: u32,
    /// How many streams are open, as the peer sees it.
    open: usize,
    /// What lets a request become a stream; there are as many as the peer allows.
    slots: Arc<Semaphore>,
    allowed: usize,
    /// Slots that the peer took back while they were in use.
    owed: usize,
    out: Outgoing,
    window: Window,
    /// The headers that are coming in, with the stream they belong to.
    block: Option<Block>,
    is_greeted: bool,
    /// The peer's goodbye: the last stream it acts on, and why.
    goodbye: Option<(u32, Reason)>,
    over: Option<Http2Error>,
    /// Nobody is left who could ask for anything.
    is_abandoned: bool,
    /// Wakes what moves the bytes, while it sleeps.
    driver: Option<Waker>,
    /// Whom to wake once the lock is free.
    pub(super) woken: Vec<Waker>,
}

struct Block {
    stream: u32,
    end: bool,
    bytes: Vec<u8>,
}

impl Streams {
    pub(super) fn new(settings: Settings, slots: Arc<Semaphore>) -> Self {
        let mut outbox = Outbox::default();
        outbox.put(|out| {
            out.extend_from_slice(frame::PREFACE);
            frame::settings(
                out,
                &[
                    (setting::HEADER_TABLE_SIZE, HEADER_TABLE),
                    (setting::ENABLE_PUSH, 0),
                    (setting::INITIAL_WINDOW_SIZE, settings.stream_window),
                    (setting::MAX_FRAME_SIZE, FRAME),
                    (setting::MAX_HEADER_LIST_SIZE, HEADERS),
                ],
            );
            if let Some(more) = settings.connection_window.checked_sub(WINDOW).filter(|more| *more > 0) {
                frame::window_update(out, 0, more);
            }
        });
        Self {
            settings,
            outbox,
            by_id: HashMap::new(),
            sending: VecDeque::new(),
            next: 1,
            open: 0,
            slots,
            allowed: STREAMS as usize,
            owed: 0,
            out: Outgoing { window: WINDOW.into(), stream_window: WINDOW.into(), frame: SMALLEST_MOST },
            window: Window::new(settings.connection_window.max(WINDOW)),
            block: None,
            is_greeted: false,
            goodbye: None,
            over: None,
            is_abandoned: false,
            driver: None,
            woken: Vec::new(),
        }
    }

    /// Returns whether nothing more can be asked for.
    pub(super) fn is_closing(&self) -> bool {
        self.over.is_some() || self.goodbye.is_some()
    }

    /// Returns how the connection ended, once nothing is left to do: with the peer's goodbye, or because nobody wants
    /// it any more.
    pub(super) fn is_done(&self) -> Option<Done> {
        match self.goodbye {
            _ if self.open > 0 => None,
            Some((_, reason)) => Some(Done::Goodbye(reason)),
            None => self.is_abandoned.then_some(Done::Abandoned),
        }
    }

    /// Notes that nobody is left who could ask for anything.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
        self.stir();
    }

    /// Lets the driver sleep until there is something to do, unless there is. While it is blocked, it can do nothing.
    pub(super) fn rest(&mut self, driver: &Waker, is_blocked: bool) -> bool {
        let has_words = !self.outbox.is_empty() || (!self.sending.is_empty() && self.out.window > 0);
        if !is_blocked && (has_words || self.is_done().is_some()) {
            return false;
        }
        ask::keep(&mut self.driver, driver);
        true
    }

    fn stir(&mut self) {
        self.woken.extend(self.driver.take());
    }

    fn give_back(&mut self, bytes: usize) {
        if let Some(more) = self.window.give_back(bytes) {
            self.outbox.put(|out| frame::window_update(out, 0, more));
            self.stir();
        }
    }

    /// Notes what follows from a stream's having ended, if it has.
    fn settle(&mut self, id: u32) {
        let Some(stream) = self.by_id.get_mut(&id).filter(|stream| stream.is_closed()) else { return };
        if std::mem::take(&mut stream.has_slot) {
            self.open -= 1;
            match self.owed.checked_sub(1) {
                Some(owed) => self.owed = owed,
                None => self.slots.add_permits(1),
            }
            if self.open == 0 && (self.is_abandoned || self.goodbye.is_some()) {
                self.stir();
            }
        }
        if self.by_id.get(&id).is_some_and(|stream| stream.holders == 0) {
            self.by_id.remove(&id);
            if self.by_id.is_empty() {
                // At rest, it holds no memory.
                self.by_id = HashMap::new();
                self.sending = VecDeque::new();
            }
        }
    }

    fn take_turns(&mut self, id: u32) {
        if let Some(stream) = self.by_id.get_mut(&id)
            && !stream.out.is_in_turn
            && !stream.out.is_sent()
            && stream.failed.is_none()
            && (stream.out.is_said() || !stream.out.queue.is_empty())
        {
            stream.out.is_in_turn = true;
            self.sending.push_back(id);
        }
    }
}

/// How a connection ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Goodbye(Reason),
    Abandoned,
}

/// What moves the bytes does the rest.
impl Streams {
    /// Moves what is to be said next into an empty outbox.
    pub(super) fn fill(&mut self, out: &mut Outbox, is_vectored: bool) {
        std::mem::swap(out, &mut self.outbox);
        while out.len() < BATCH {
            let Some(id) = self.sending.pop_front() else { return };
            let Some(stream) = self.by_id.get_mut(&id) else { continue };
            stream.out.is_in_turn = false;
            if stream.failed.is_some() {
                continue;
            }
            if let Some(first) = stream.out.queue.front_mut() {
                if self.out.window <= 0 {
                    // Everybody waits; whose turn it is has it first.
                    stream.out.is_in_turn = true;
                    self.sending.push_front(id);
                    return;
                }
                // Without a window its turn comes when the peer opens one.
                let Ok(room) = usize::try_from(stream.out.window.min(self.out.window)) else { continue };
                let length = first.len().min(room).min(self.out.frame);
                if length == 0 {
                    continue;
                }
                let piece = first.split_to(length);
                if first.is_empty() {
                    stream.out.queue.pop_front();
                }
                stream.out.queued -= length;
                let sent = i64::try_from(length).unwrap_or(i64::MAX);
                stream.out.window -= sent;
                self.out.window -= sent;
                let is_last = stream.out.queue.is_empty() && stream.out.is_said() && stream.out.trailers.is_none();
                let flags = if is_last { flag::END_STREAM } else { 0 };
                out.put(|out| Head { length, kind: kind::DATA, flags, stream: id }.put(out));
                out.payload(piece, is_vectored);
                if is_last {
                    stream.out.progress = Progress::Sent;
                }
                self.woken.extend(stream.out.sender.take());
            } else if let Some(trailers) = stream.out.trailers.take() {
                let mut block = Vec::new();
                message::trailers(&mut block, &trailers);
                out.put(|out| frame::headers(out, id, true, &block, self.out.frame));
                stream.out.progress = Progress::Sent;
            } else if stream.out.is_said() {
                out.put(|out| Head { length: 0, kind: kind::DATA, flags: flag::END_STREAM, stream: id }.put(out));
                stream.out.progress = Progress::Sent;
            }
            if stream.out.is_sent() {
                self.settle(id);
            } else {
                self.take_turns(id);
            }
        }
    }

    /// Ends everything that is not whole yet.
    pub(super) fn end(&mut self, error: Http2Error) {
        self.over.get_or_insert(error);
        self.slots.close();
        let ids: Vec<_> = self.by_id.keys().copied().collect();
        for id in ids {
            if let Some(stream) = self.by_id.get_mut(&id).filter(|stream| !stream.is_closed()) {
                stream.fail(error, &mut self.woken);
            }
            self.settle(id);
        }
        self.outbox = Outbox::default();
    }
}
