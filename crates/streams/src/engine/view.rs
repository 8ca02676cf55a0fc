//! Reading: a range of a stream, and waiting for more.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Refusal;
use super::files::{self, Patience};
use super::shared::Shared;
use super::stream::{Life, SharedFrame, Stream};
use crate::lines::Lines;
use crate::protocol::content::Kind;
use crate::protocol::{ContentType, Lifetime, Offset, Start, json};

/// The generation of every file of lines.
const LINES: u64 = 1;
/// At which multiples a read of one ends.
const LINES_PAGE: u64 = 1 << 20;

/// A stream that was looked up.
#[derive(Clone)]
pub struct Reader(Source);

/// Where its bytes are.
#[derive(Clone)]
enum Source {
    /// In an engine.
    Engine { shared: Arc<Shared>, stream: Arc<Stream> },
    /// In files of lines.
    Lines(Arc<Lines>),
}

/// What is known of a stream beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What kind of bytes it has.
    pub content_type: ContentType,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Its end.
    pub tail: Offset,
    /// Whether it is complete.
    pub closed: bool,
}

/// A range of a stream that can be read: to the end of a page, or to the tail.
#[derive(Clone)]
pub struct View {
    reader: Reader,
    from: u64,
    to: u64,
    /// Whether it reaches the tail.
    pub is_up_to_date: bool,
    /// Whether it reaches the end of a complete stream.
    pub is_end: bool,
    /// Whether it ends where a page ends, so that it is the same for ever.
    pub is_whole_page: bool,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, stream: Arc<Stream>) -> Self {
        Self(Source::Engine { shared, stream })
    }

    /// Reads a file of lines as a stream of JSON.
    pub fn of_lines(lines: Lines) -> Self {
        Self(Source::Lines(Arc::new(lines)))
    }

    /// Returns what is known of the stream.
    pub fn about(&self) -> Result<About, Refusal> {
        match &self.0 {
            Source::Engine { stream, .. } => {
                let visible = stream.visible();
                Ok(About {
                    content_type: self.content_type(),
                    lifetime: stream.made.lifetime.clone(),
                    tail: stream.offset(visible.tail),
                    closed: visible.closed,
                })
            }
            Source::Lines(lines) => {
                let (tail, closed) = lines.tail().map_err(|_| Refusal::Unreadable)?;
                let (content_type, lifetime) = (self.content_type(), Lifetime::Unbounded);
                Ok(About { content_type, lifetime, tail: self.offset(tail), closed })
            }
        }
    }

    /// Returns how many bytes there are before its end.
    pub(crate) fn tail(&self) -> Result<u64, Refusal> {
        match &self.0 {
            Source::Engine { stream, .. } => Ok(stream.visible().tail),
            Source::Lines(lines) => lines.tail().map(|(tail, _)| tail).map_err(|_| Refusal::Unreadable),
        }
    }

    pub(crate) fn content_type(&self) -> ContentType {
        match &self.0 {
            Source::Engine { stream, .. } => stream.made.content_type.clone(),
            Source::Lines(_) => ContentType::json(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match &self.0 {
            Source::Engine { stream, .. } => stream.kind,
            Source::Lines(_) => Kind::Json,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        match &self.0 {
            Source::Engine { stream, .. } => stream.id(),
            Source::Lines(lines) => lines.id(),
        }
    }

    /// Starts the time of the stream anew.
    pub(crate) fn touch(&self) {
        if let Source::Engine { shared, stream } = &self.0 {
            stream.touch(shared.options.clock.now());
        }
    }

    fn offset(&self, position: u64) -> Offset {
        match &self.0 {
            Source::Engine { stream, .. } => stream.offset(position),
            Source::Lines(_) => Offset::new(LINES, position),
        }
    }

    fn oldest(&self) -> u64 {
        match &self.0 {
            Source::Engine { stream, .. } => stream.oldest(),
            // Where that cannot be told, reading fails as well, and says why.
            Source::Lines(lines) => lines.oldest().unwrap_or_default(),
        }
    }

    /// Returns what there is from `start` on: a page at most.
    pub fn view(&self, start: Start) -> Result<View, Refusal> {
        match &self.0 {
            Source::Engine { stream, .. } => self.view_of_stream(stream, start),
            Source::Lines(lines) => self.view_of_lines(lines, start),
        }
    }

    fn view_of_lines(&self, lines: &Lines, start: Start) -> Result<View, Refusal> {
        let oldest = lines.oldest().map_err(|_| Refusal::Unreadable)?;
        let (tail, closed) = lines.tail().map_err(|_| Refusal::Unreadable)?;
        let from = match start {
            Start::Beginning | Start::At(Offset::BEGINNING) => oldest,
            Start::Now => tail,
            Start::At(offset) if offset.generation == LINES && offset.position < oldest => {
                return Err(Refusal::Trimmed { oldest: self.offset(oldest) });
            }
            Start::At(offset) if offset.generation == LINES && offset.position <= tail => offset.position,
            Start::At(_) => return Err(Refusal::BadOffset),
        };
        let is_between = from == oldest || lines.next_end(from - 1, from).is_ok_and(|end| end.is_some());
        if !is_between {
            return Err(Refusal::BadOffset);
        }
        // As a stream has it: a page ends with the first message that ends behind a multiple.
        let multiple = (from / LINES_PAGE + 1) * LINES_PAGE;
        let cut = lines.next_end(multiple - 1, tail).map_err(|_| Refusal::Unreadable)?;
        let to = cut.unwrap_or(tail);
        let is_up_to_date = to == tail;
        let is_end = is_up_to_date && closed;
        Ok(View { reader: self.clone(), from, to, is_up_to_date, is_end, is_whole_page: cut.is_some() })
    }

    fn view_of_stream(&self, stream: &Stream, start: Start) -> Result<View, Refusal> {
        let oldest = stream.oldest();
        let (tail, closed) = {
            let visible = stream.visible();
            match visible.life {
                Life::Living => (visible.tail, visible.closed),
                Life::Deleted => return Err(Refusal::Deleted),
                Life::Expired | Life::Gone => return Err(Refusal::NotFound),
            }
        };
        let from = match start {
            Start::Beginning | Start::At(Offset::BEGINNING) => oldest,
            Start::Now => tail,
            Start::At(offset) => {
                let is_earlier = offset.generation < stream.made.generation;
                if is_earlier || offset.generation == stream.made.generation && offset.position < oldest {
                    return Err(Refusal::Trimmed { oldest: stream.offset(oldest) });
                }
                if offset.generation != stream.made.generation || offset.position > tail {
                    return Err(Refusal::BadOffset);
                }
                offset.position
            }
        };
        let cut = stream.next_cut(from, tail);
        let to = cut.unwrap_or(tail);
        let is_up_to_date = to == tail;
        let is_end = is_up_to_date && closed;
        Ok(View { reader: self.clone(), from, to, is_up_to_date, is_end, is_whole_page: cut.is_some() })
    }

    /// Returns where its pages begin, the oldest first: there is one at least.
    pub fn pages(&self) -> Result<Vec<Offset>, Refusal> {
        let mut pages = Vec::new();
        let mut start = Start::Beginning;
        loop {
            let page = self.view(start)?;
            if pages.is_empty() || !page.is_empty() {
                pages.push(page.from());
            }
            if page.is_up_to_date {
                return Ok(pages);
            }
            start = Start::At(page.next());
        }
    }

    /// Waits until there is something behind `position`, or nothing more can come.
    pub async fn more(&self, position: u64) {
        let stream = match &self.0 {
            Source::Engine { stream, .. } => stream,
            Source::Lines(lines) => return lines.more(position).await,
        };
        loop {
            let changed = stream.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let visible = stream.visible();
                if visible.tail > position || visible.closed || visible.life != Life::Living {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Returns the event that was last encoded, if it is the one.
    pub(crate) fn shared_frame(&self, is_it: impl Fn(&SharedFrame) -> bool) -> Option<Bytes> {
        let Source::Engine { stream, .. } = &self.0 else { return None };
        let frame = stream.frame.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        frame.as_ref().filter(|frame| is_it(frame)).map(|frame| frame.encoded.clone())
    }

    /// Forgets it: it is kept only while somebody follows.
    pub(crate) fn forget_frame(&self) {
        self.keep_frame(None);
    }

    /// Keeps an event for the other readers of the same range.
    pub(crate) fn share_frame(&self, frame: SharedFrame) {
        self.keep_frame(Some(frame));
    }

    fn keep_frame(&self, frame: Option<SharedFrame>) {
        if let Source::Engine { stream, .. } = &self.0 {
            *stream.frame.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = frame;
        }
    }
}

impl View {
    /// Returns where it begins.
    pub fn from(&self) -> Offset {
        self.reader.offset(self.from)
    }

    /// Returns where it ends.
    pub fn next(&self) -> Offset {
        self.reader.offset(self.to)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Returns how many bytes a client is sent.
    pub(crate) fn size(&self) -> u64 {
        // Messages of JSON are an array: one bracket more than they have commas.
        (self.to - self.from) + u64::from(self.reader.kind() == Kind::Json) * if self.is_empty() { 2 } else { 1 }
    }

    /// Returns its bytes as a client is sent them: messages of JSON as an array, all else as it is.
    ///
    /// Files may be read for it, so this has no place on a thread that must not wait.
    pub fn load(&self) -> Result<Bytes, Refusal> {
        self.load_part(0, u64::MAX)
    }

    /// Returns those of them from `begin` on, so many at most.
    ///
    /// Files may be read for it, as for [`Self::load`].
    pub(crate) fn load_part(&self, begin: u64, most: u64) -> Result<Bytes, Refusal> {
        self.part(begin, most, Patience::Some)?.ok_or(Refusal::Unreadable)
    }

    /// Returns the same if nothing must be waited for.
    pub(crate) fn part_now(&self, begin: u64, most: u64) -> Result<Option<Bytes>, Refusal> {
        self.part(begin, most, Patience::None)
    }

    fn part(&self, begin: u64, most: u64, patience: Patience) -> Result<Option<Bytes>, Refusal> {
        let end = self.size().min(begin.saturating_add(most));
        if self.reader.kind() != Kind::Json {
            return Ok(self.raw(self.from + begin, self.from + end, 0, patience)?.map(Bytes::from));
        }
        if self.is_empty() {
            return Ok(Some(Bytes::from_static(b"[]")));
        }
        // Messages end with a comma: so does what lies before one, where the array begins.
        let is_first = begin == 0 && self.from <= self.reader.oldest();
        let at = |index: u64| (self.from + index).saturating_sub(1);
        let from = if is_first { self.from } else { at(begin) };
        let Some(mut bytes) = self.raw(from, at(end), usize::from(is_first), patience)? else {
            return Ok(None);
        };
        if begin == 0
            && let Some(first) = bytes.first_mut()
        {
            if !is_first && *first != b',' {
                return Err(Refusal::BadOffset);
            }
            *first = b'[';
        }
        if end == self.size()
            && let Some(last) = bytes.last_mut()
        {
            *last = b']';
        }
        Ok(Some(Bytes::from(bytes)))
    }

    /// Returns its first bytes as they are stored, `most` of them at most: messages of JSON with a comma behind each.
    ///
    /// Files may be read for it, as for [`Self::load`].
    pub fn start(&self, most: u64) -> Result<Bytes, Refusal> {
        self.stored(self.to.min(self.from.saturating_add(most)))
    }

    /// Returns the stored bytes up to `to`.
    fn stored(&self, to: u64) -> Result<Bytes, Refusal> {
        self.raw(self.from, to, 0, Patience::Some)?.map(Bytes::from).ok_or(Refusal::Unreadable)
    }

    /// Returns the stored bytes of `from..to` with so many empty ones before them; nothing if that needs more patience.
    fn raw(&self, from: u64, to: u64, before: usize, patience: Patience) -> Result<Option<Vec<u8>>, Refusal> {
        let size = usize::try_from(to - from).map_err(|_| Refusal::Unreadable)?;
        let mut bytes = Vec::with_capacity(before + size);
        bytes.resize(before, 0);
        let done = match &self.reader.0 {
            Source::Engine { shared, stream } => read(shared, stream, from, to, &mut bytes, patience),
            Source::Lines(_) if patience == Patience::None => return Ok(None),
            Source::Lines(lines) => lines.messages(from, to, &mut bytes),
        };
        match done {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if patience == Patience::None && error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Finds out why it cannot be read: it may have been deleted meanwhile.
    fn lost(&self, error: &io::Error) -> Refusal {
        let oldest = self.reader.oldest();
        match &self.reader.0 {
            Source::Engine { stream, .. } if matches!(stream.visible().life, Life::Gone | Life::Expired) => {
                Refusal::NotFound
            }
            _ if self.from < oldest => Refusal::Trimmed { oldest: self.reader.offset(oldest) },
            Source::Engine { .. } | Source::Lines(_) => {
                tracing::error!(%error, stream.id = self.reader.id(), "a stream cannot be read");
                Refusal::Unreadable
            }
        }
    }
}

/// Appends the bytes of `from..to` to `into`, those of sources included.
fn read(
    shared: &Shared,
    stream: &Stream,
    from: u64,
    to: u64,
    into: &mut Vec<u8>,
    patience: Patience,
) -> io::Result<()> {
    let own = stream.own_start();
    if let Some(source) = stream.source.as_ref().filter(|_| from < own) {
        read(shared, source, from, to.min(own), into, patience)?;
    }
    let from = from.max(own);
    if from >= to {
        return Ok(());
    }
    let mut in_memory = Vec::new();
    let in_files = stream.visible().copy_unwritten(from, to, &mut in_memory);
    if in_files > from {
        let begin = into.len();
        into.resize(begin + usize::try_from(in_files - from).map_err(io::Error::other)?, 0);
        files::read(&*shared.disk, stream.id(), from, &mut into[begin..], shared.options.file_bytes, patience)?;
    }
    into.extend_from_slice(&in_memory);
    Ok(())
}

/// Whether a stream can be parted here: between messages of JSON, anywhere in all else.
pub(crate) fn can_part(reader: &Reader, position: u64) -> Result<bool, Refusal> {
    if reader.kind() != Kind::Json || position <= reader.oldest() {
        return Ok(true);
    }
    let before = reader.view(Start::At(reader.offset(position - 1)))?;
    Ok(before.start(1)? == b","[..])
}

/// Finds the position so many messages or bytes behind another.
pub(crate) fn beyond(reader: &Reader, position: u64, count: u64) -> Result<u64, Refusal> {
    let tail = reader.about()?.tail.position;
    if reader.kind() != Kind::Json {
        return Some(position.saturating_add(count)).filter(|at| *at <= tail).ok_or(Refusal::ForkOutside);
    }
    let (mut at, mut left) = (position, count);
    while left > 0 {
        let view = reader.view(Start::At(reader.offset(at)))?;
        if view.is_empty() {
            return Err(Refusal::ForkOutside);
        }
        let bytes = view.stored(view.to)?;
        let mut rest = &bytes[..];
        while left > 0 && !rest.is_empty() {
            let end = json::first_end(rest).map_err(|_| Refusal::BadOffset)?;
            rest = &rest[end..];
            at += end as u64;
            left -= 1;
        }
    }
    Ok(at)
}
