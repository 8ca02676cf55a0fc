//! Sends streams of this machine to the server: every line once, in order, whenever the server can be reached.
//!
//! A stream is a file of lines, or several one after the other; on the server the same lines are the messages of a
//! stream. The server says how far it has come, and from there the lines are sent on, as an idempotent producer of the
//! Durable Streams protocol. This machine keeps nothing for that but a mark on what has arrived.
//!
//! A newcomer would get wrong: lines are made durable here before they are sent, so that no reader has seen what a power
//! cut takes away; the epoch of the producer is that of the daemon, so that what an older one still has under way is
//! refused; and a batch names the place it begins at (`Stream-Seq`), so that it is never appended behind itself.

pub mod journal;
pub mod transcripts;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::Problem;
use http::{HeaderMap, StatusCode};
use reqwest::{Method, Response};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::link::LinkStatus;
use crate::platform::{NotRegistered, Platform};

/// How many bytes go together, if they are more than one line.
const BATCH: usize = 512 * 1024;
/// The longest line that is sent.
const LONGEST: usize = 4 * 1024 * 1024 - 16;
/// How long lines gather while the batch before them is fresh.
const PAUSE: Duration = Duration::from_millis(50);
/// How many streams of a kind are sent at the same time.
const AT_ONCE: usize = 8;

/// A stream that is sent on. Its positions are bytes of its lines.
trait Source: Send + Sync + 'static {
    /// What it is, for the log.
    fn name(&self) -> String;
    /// Its path below this machine's address.
    fn path(&self) -> String;
    /// What its appends are made as.
    fn producer(&self) -> String;
    /// Whether nothing more will be written to it.
    fn is_over(&self) -> bool;
    /// Returns where to go on, by what the server says it has. Files may be read for it.
    fn resume(&self, said: &HeaderMap) -> Result<u64, SendError>;
    /// Returns the lines from a position on. Files are read for it, and made durable.
    fn batch(&self, position: u64) -> Result<Batch, SendError>;
    /// Returns what stands for the place a batch begins at: as text, it grows along the stream.
    fn place(&self, position: u64, batch: &Batch) -> String;
    /// Hears that everything before a position has arrived.
    fn arrived(&self, position: u64);
    /// Waits until there is more than what has arrived.
    fn more(&self, arrived: u64) -> impl Future<Output = ()> + Send;
    /// Hears that nothing more of it is sent, now or ever.
    fn done(&self);
}

/// What streams are sent with.
struct Ground {
    epoch: u64,
    platform: Platform,
    places: Semaphore,
}

impl Ground {
    fn new(epoch: u64, platform: Platform) -> Arc<Self> {
        Arc::new(Self { epoch, platform, places: Semaphore::new(AT_ONCE) })
    }
}

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    NotRegistered(#[from] NotRegistered),
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("the server answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("what the server has of it does not end where a line of it ends")]
    Elsewhere,
    #[error("a line of it is longer than {LONGEST} bytes")]
    TooLong,
}

impl SendError {
    /// Whether trying again is of no use.
    fn is_final(&self) -> bool {
        matches!(self, Self::Elsewhere | Self::TooLong)
            || matches!(self, Self::Refused { status, .. } if *status == StatusCode::PAYLOAD_TOO_LARGE)
    }
}

/// How far a stream is.
enum Progress {
    /// All there is has arrived, up to this position.
    Caught(u64),
    /// All there will ever be has arrived, or nobody wants it any more.
    Whole,
    /// A newer daemon sends it.
    Superseded,
}

/// One stream that is being sent.
struct Sending<S> {
    ground: Arc<Ground>,
    source: Arc<S>,
    producer: String,
    /// The number of the next append of this producer.
    next: u64,
}

impl<S: Source> Sending<S> {
    fn new(ground: Arc<Ground>, source: S) -> Self {
        Self { ground, producer: source.producer(), source: Arc::new(source), next: 0 }
    }

    async fn stay(mut self, mut link: watch::Receiver<LinkStatus>) {
        let mut backoff = Backoff::default();
        let mut told = None;
        loop {
            // While the tunnel is down the server is away for streams too.
            if link.wait_for(|link| link.connected).await.is_err() {
                return;
            }
            match self.send().await {
                Ok(Progress::Caught(position)) => {
                    backoff.reset();
                    told = None;
                    self.source.more(position).await;
                }
                Ok(Progress::Whole) => return self.source.done(),
                Ok(Progress::Superseded) => return,
                Err(error) if error.is_final() => {
                    tracing::error!(stream = self.source.name(), %error, "the rest of a stream stays on this machine");
                    return self.source.done();
                }
                Err(error) => {
                    let words = error.to_string();
                    if told.as_ref() != Some(&words) {
                        let stream = self.source.name();
                        tracing::warn!(stream, %error, "a stream is kept until the server takes it");
                        told = Some(words);
                    }
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Sends all there is.
    async fn send(&mut self) -> Result<Progress, SendError> {
        let producer = self.source.producer();
        if self.producer != producer {
            (self.producer, self.next) = (producer, 0);
        }
        let Some(mut position) = self.resume().await? else {
            return Ok(Progress::Whole);
        };
        loop {
            self.source.arrived(position);
            // For one batch at a time: a stream that never pauses leaves room for the others.
            let place = self.ground.places.acquire().await;
            // Before it is read: what was written when it ended is all there then.
            let is_over = self.source.is_over();
            let batch = self.read(move |source| source.batch(position)).await?;
            if batch.body.is_empty() && !is_over {
                return Ok(Progress::Caught(position));
            }
            let closes = is_over && batch.is_last;
            // Without lines there is nothing to be doubled.
            let end = position + batch.bytes;
            let is_close_alone = batch.body.is_empty();
            let response = self.append(position, batch, closes).await?;
            match response.status() {
                StatusCode::FORBIDDEN => return Ok(Progress::Superseded),
                StatusCode::CONFLICT | StatusCode::BAD_REQUEST => {
                    if response.headers().contains_key("stream-closed") {
                        return Ok(Progress::Whole);
                    }
                    // The server knows less of us than we thought, or something of ours arrived late.
                    let expected = response.headers().get("producer-expected-seq");
                    let expected = expected.and_then(|seq| seq.to_str().ok()).and_then(|seq| seq.parse().ok());
                    self.next = expected.unwrap_or(0);
                    return Err(refused(response).await);
                }
                _ => {}
            }
            let is_new = response.status() == StatusCode::OK || is_close_alone;
            if said(response).await?.is_none() {
                return Ok(Progress::Whole);
            }
            self.next += 1;
            position = if is_new {
                end
            } else {
                // An append of ours had this number whose answer got lost, maybe with fewer lines.
                match self.resume().await? {
                    Some(position) => position,
                    None => return Ok(Progress::Whole),
                }
            };
            if closes && is_new {
                return Ok(Progress::Whole);
            }
            drop(place);
            sleep(PAUSE).await;
        }
    }

    /// Asks the server how far it is; `None` if it wants no more of it.
    async fn resume(&self) -> Result<Option<u64>, SendError> {
        let response = self.request(Method::HEAD)?.send().await?;
        let Some(headers) = said(response).await? else { return Ok(None) };
        self.read(move |source| source.resume(&headers)).await.map(Some)
    }

    /// Does something with its files, where that holds up nobody.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&S) -> Result<T, SendError> + Send + 'static,
    ) -> Result<T, SendError> {
        let source = Arc::clone(&self.source);
        spawn_blocking(move || look(&source)).await.map_err(io::Error::other)?
    }

    fn request(&self, method: Method) -> Result<reqwest::RequestBuilder, NotRegistered> {
        self.ground.platform.request(method, &self.source.path())
    }

    async fn append(&self, position: u64, batch: Batch, closes: bool) -> Result<Response, SendError> {
        let mut request = self
            .request(Method::POST)?
            .header("producer-id", &self.producer)
            .header("producer-epoch", self.ground.epoch)
            .header("producer-seq", self.next);
        if closes {
            request = request.header("stream-closed", "true");
        }
        if !batch.body.is_empty() {
            request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .header("stream-seq", self.source.place(position, &batch))
                .body(batch.body);
        }
        Ok(request.send().await?)
    }
}

/// Returns what the server says of a stream; `None` if it does not know it.
async fn said(response: Response) -> Result<Option<HeaderMap>, SendError> {
    let status = response.status();
    if status.is_success() {
        return Ok(Some(response.headers().clone()));
    }
    // The answer to a HEAD has no words: that it is the server's own is told by its kind.
    let kind = response.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
    if status == StatusCode::NOT_FOUND && is_problem {
        return Ok(None);
    }
    Err(refused(response).await)
}

async fn refused(response: Response) -> SendError {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let problem = serde_json::from_str::<Problem>(&text).ok();
    let detail = problem.map_or_else(|| "no reason given".to_owned(), |problem| problem.detail);
    SendError::Refused { status, detail }
}

/// Lines that go together.
#[derive(Default)]
struct Batch {
    /// As an array of JSON; nothing if there are none.
    body: Vec<u8>,
    /// How many bytes of the file they are.
    bytes: u64,
    /// Whether no whole line follows.
    is_last: bool,
}

/// Reads the lines of a file from `position` on, and makes them durable.
fn batch(file: &File, position: u64) -> Result<Batch, SendError> {
    let mut bytes = Vec::new();
    let mut most = BATCH;
    let (end, is_all) = loop {
        fill(file, position, &mut bytes, most)?;
        let is_all = bytes.len() < most;
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => break (last + 1, is_all),
            None if is_all => return Ok(Batch { is_last: true, ..Batch::default() }),
            None if most >= LONGEST => return Err(SendError::TooLong),
            None => most = LONGEST,
        }
    };
    file.sync_data()?;
    // What follows the last line end is not whole: its writer was killed, or is at it.
    bytes.truncate(end);
    let mut body = Vec::with_capacity(end + 1);
    body.push(b'[');
    body.extend(bytes.iter().map(|byte| if *byte == b'\n' { b',' } else { *byte }));
    if let Some(last) = body.last_mut() {
        *last = b']';
    }
    Ok(Batch { body, bytes: end as u64, is_last: is_all })
}

/// Reads until there are `most` bytes, or the file ends.
fn fill(file: &File, position: u64, bytes: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let mut filled = bytes.len();
    // Nearly always there is little, and room that was touched stays with the process.
    let there = file.metadata()?.len().saturating_sub(position);
    let most = usize::try_from(there).map_or(most, |there| there.min(most));
    bytes.resize(most, 0);
    while filled < most {
        match file.read_at(&mut bytes[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn whole_lines_go_as_an_array_and_a_broken_one_stays() {
        let file = file(b"{\"a\":1}\n{}\n{\"bro");
        for (position, body, bytes) in [(0, "[{\"a\":1},{}]", 11), (8, "[{}]", 3), (11, "", 0), (50, "", 0)] {
            let batch = batch(&file, position).unwrap();
            assert_eq!(String::from_utf8(batch.body).unwrap(), body, "{position}");
            assert_eq!((batch.bytes, batch.is_last), (bytes, true), "{position}");
        }
    }

    #[test]
    fn a_long_line_goes_alone_and_one_that_is_too_long_not_at_all() {
        let long = [vec![b'1'; BATCH + 10], b"\n22\n".to_vec()].concat();
        let first = batch(&file(&long), 0).unwrap();
        assert_eq!((first.bytes, first.is_last), (long.len() as u64, true));
        let many = b"12345678\n".repeat(BATCH / 9 + 10);
        let first = batch(&file(&many), 0).unwrap();
        assert!(first.bytes <= BATCH as u64 && !first.is_last, "{}", first.bytes);
        let endless = vec![b'1'; LONGEST + 1];
        assert!(matches!(batch(&file(&endless), 0), Err(SendError::TooLong)));
    }
}
