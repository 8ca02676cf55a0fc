//! Sends what runs write to the server: every line once, in order, whenever the server can be reached.
//!
//! A supervisor writes the events of its run as lines of a file. On the server the same events are the messages of a
//! stream, stored one behind the other with one byte after each: so a position in the file is a position in the stream.
//! The server says how far it has come, and from there the file is sent on, as an idempotent producer of the Durable
//! Streams protocol. This machine keeps nothing for that but a mark on what has arrived whole.
//!
//! A newcomer would get wrong: lines are made durable here before they are sent, so that no reader has seen what a power
//! cut takes away; and the epoch of the producer is that of the daemon, so that what an older one still has under way
//! is refused.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::{Problem, RunId};
use http::StatusCode;
use reqwest::{Method, Response};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::home::Home;
use crate::journal::Journal;
use crate::link::LinkStatus;
use crate::platform::{NotRegistered, Platform};
use crate::runs::folders;
use crate::supervisor::EVENTS;

/// The file in a run's folder that says that its transcript has arrived whole.
const SENT: &str = "sent";
/// How many bytes go together, if they are more than one line.
const BATCH: usize = 512 * 1024;
/// The longest line that is sent.
const LONGEST: usize = 4 * 1024 * 1024 - 16;
/// How long lines gather while the batch before them is fresh.
const PAUSE: Duration = Duration::from_millis(50);
/// How many transcripts are sent at the same time.
const AT_ONCE: usize = 8;

/// Whether the transcript of a run has arrived on the server whole.
pub fn is_sent(run_dir: &Path) -> bool {
    run_dir.join(SENT).exists()
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Transcripts(mpsc::UnboundedSender<News>);

#[derive(Debug)]
enum News {
    /// A run has written something, or is over.
    Grew(RunId),
    /// Nothing more will happen; this is told when all has arrived.
    Last(oneshot::Sender<()>),
}

impl Transcripts {
    /// Returns a handle, and the sender, which must be run.
    pub fn new(home: Home, journal: Journal, epoch: u64, platform: Platform) -> (Self, Sender) {
        let (told, news) = mpsc::unbounded_channel();
        let ground = Ground { home, journal, epoch, platform, places: Semaphore::new(AT_ONCE) };
        let sender = Sender {
            ground: Arc::new(ground),
            news,
            sending: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
        };
        (Self(told), sender)
    }

    /// Says that a run has written something, or is over.
    pub fn grew(&self, run: RunId) {
        // Without a sender the daemon ends, and the next one finds it.
        let _ = self.0.send(News::Grew(run));
    }

    /// Waits until all has arrived, `limit` at most. To be called when nothing more will happen.
    pub async fn finish(&self, limit: Duration) {
        let (done, all) = oneshot::channel();
        let _ = self.0.send(News::Last(done));
        if !matches!(timeout(limit, all).await, Ok(Ok(()))) {
            tracing::info!("the rest of what agents said is sent at the next start");
        }
    }
}

/// What every transcript is sent with.
struct Ground {
    home: Home,
    journal: Journal,
    epoch: u64,
    platform: Platform,
    places: Semaphore,
}

/// Sends the transcripts of all runs.
pub struct Sender {
    ground: Arc<Ground>,
    news: mpsc::UnboundedReceiver<News>,
    sending: HashMap<RunId, Arc<Notify>>,
    tasks: JoinSet<()>,
    by_task: HashMap<Id, RunId>,
}

impl Sender {
    /// Sends what there is and what comes, whenever the server can be reached, until nothing more will happen.
    pub async fn run(mut self, link: watch::Receiver<LinkStatus>) {
        for run in folders::all(&self.ground.home) {
            self.look(run, &link);
        }
        let mut last = None;
        while last.is_none() || !self.tasks.is_empty() {
            tokio::select! {
                // In order: what a run wrote last was told before the last word.
                biased;
                news = self.news.recv() => match news {
                    Some(News::Grew(run)) => self.look(run, &link),
                    // A server that is away is not waited for.
                    Some(News::Last(done)) if !self.tasks.is_empty() && !link.borrow().connected => return drop(done),
                    Some(News::Last(done)) => last = Some(done),
                    None => return,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
        if let Some(done) = last {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }
    }

    fn look(&mut self, run: RunId, link: &watch::Receiver<LinkStatus>) {
        if let Some(grown) = self.sending.get(&run) {
            grown.notify_one();
            return;
        }
        if is_sent(&self.ground.home.run_dir(run)) {
            return;
        }
        let grown = Arc::new(Notify::new());
        self.sending.insert(run, Arc::clone(&grown));
        let sending = Sending { ground: Arc::clone(&self.ground), run, grown, next: 0 };
        let id = self.tasks.spawn(sending.stay(link.clone())).id();
        self.by_task.insert(id, run);
    }

    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if !error.is_cancelled() {
                    tracing::error!(%error, "sending a transcript ended badly; it is sent at the next start");
                }
                error.id()
            }
        };
        if let Some(run) = self.by_task.remove(&id) {
            self.sending.remove(&run);
        }
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

/// How far a transcript is.
enum Progress {
    /// All there is has arrived.
    Caught,
    /// All there will ever be has arrived, or nobody wants it any more.
    Whole,
    /// A newer daemon sends it.
    Superseded,
}

/// One transcript that is being sent.
struct Sending {
    ground: Arc<Ground>,
    run: RunId,
    grown: Arc<Notify>,
    /// The number of the next append of this daemon.
    next: u64,
}

impl Sending {
    async fn stay(mut self, mut link: watch::Receiver<LinkStatus>) {
        let mut backoff = Backoff::default();
        let mut told = None;
        loop {
            // While the tunnel is down the server is away for transcripts too.
            if link.wait_for(|link| link.connected).await.is_err() {
                return;
            }
            match self.send().await {
                Ok(Progress::Caught) => {
                    backoff.reset();
                    told = None;
                    self.grown.notified().await;
                }
                Ok(Progress::Whole) => return self.mark(),
                Ok(Progress::Superseded) => return,
                Err(error) if error.is_final() => {
                    tracing::error!(run.id = %self.run, %error, "the rest of a transcript stays on this machine");
                    return self.mark();
                }
                Err(error) => {
                    let words = error.to_string();
                    if told.as_ref() != Some(&words) {
                        tracing::warn!(run.id = %self.run, %error, "a transcript is kept until the server takes it");
                        told = Some(words);
                    }
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Sends all there is.
    async fn send(&mut self) -> Result<Progress, SendError> {
        let file = match File::open(self.ground.home.run_dir(self.run).join(EVENTS)) {
            // It was never started.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_over() => return Ok(Progress::Whole),
            file => Arc::new(file?),
        };
        let head = self.request(Method::HEAD)?.send().await?;
        let Some(mut position) = self.arrived(head).await? else {
            return Ok(Progress::Whole);
        };
        if !ends_a_line(&file, position)? {
            return Err(SendError::Elsewhere);
        }
        loop {
            // For one batch at a time: a run that never pauses leaves room for the others.
            let place = self.ground.places.acquire().await;
            // Before the file is read: what an ended run wrote is all there then.
            let is_over = self.is_over();
            let batch = read(Arc::clone(&file), position).await?;
            if batch.body.is_empty() && !is_over {
                return Ok(Progress::Caught);
            }
            let closes = is_over && batch.is_last;
            let response = self.append(position, batch.body, closes).await?;
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
            let Some(now_at) = self.arrived(response).await? else {
                return Ok(Progress::Whole);
            };
            self.next += 1;
            if now_at != position + batch.bytes && !ends_a_line(&file, now_at)? {
                return Err(SendError::Elsewhere);
            }
            if closes && now_at == position + batch.bytes {
                return Ok(Progress::Whole);
            }
            position = now_at;
            drop(place);
            sleep(PAUSE).await;
        }
    }

    fn request(&self, method: Method) -> Result<reqwest::RequestBuilder, NotRegistered> {
        self.ground.platform.request(method, &format!("runs/{}/transcript", self.run))
    }

    async fn append(&self, position: u64, body: Vec<u8>, closes: bool) -> Result<Response, SendError> {
        let mut request = self
            .request(Method::POST)?
            .header("producer-id", self.run.to_string())
            .header("producer-epoch", self.ground.epoch)
            .header("producer-seq", self.next);
        if closes {
            request = request.header("stream-closed", "true");
        }
        if !body.is_empty() {
            request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .header("stream-seq", format!("{position:020}"))
                .body(body);
        }
        Ok(request.send().await?)
    }

    /// Returns up to where the server has it; `None` if it wants no more of it.
    async fn arrived(&self, response: Response) -> Result<Option<u64>, SendError> {
        let status = response.status();
        if status.is_success() {
            let offset = response.headers().get("stream-next-offset").and_then(|offset| offset.to_str().ok());
            let position = offset.and_then(|offset| offset.rsplit('_').next()?.parse().ok());
            let detail = || "it did not say how far it is".to_owned();
            return position.map(Some).ok_or_else(|| SendError::Refused { status, detail: detail() });
        }
        // The answer to a HEAD has no words: that it is the server's own is told by its kind.
        let kind = response.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
        if status == StatusCode::NOT_FOUND && is_problem {
            // The run is forgotten there.
            return Ok(None);
        }
        Err(refused(response).await)
    }

    fn is_over(&self) -> bool {
        self.ground.journal.read(|state| !state.runs.contains_key(&self.run))
    }

    fn mark(&self) {
        let path = self.ground.home.run_dir(self.run).join(SENT);
        // Without it the next daemon asks the server once more.
        if let Err(error) = File::create(path) {
            tracing::warn!(run.id = %self.run, %error, "that a transcript has arrived could not be noted");
        }
    }
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

/// Reads the lines from `position` on, and makes them durable.
async fn read(file: Arc<File>, position: u64) -> Result<Batch, SendError> {
    spawn_blocking(move || batch(&file, position)).await.map_err(io::Error::other)?
}

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

fn ends_a_line(file: &File, position: u64) -> io::Result<bool> {
    let Some(before) = position.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    Ok(file.read_at(&mut byte, before)? == 1 && byte == *b"\n")
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
        let ends: Vec<bool> = (0..=12).map(|at| ends_a_line(&file, at).unwrap()).collect();
        assert_eq!(ends.iter().filter(|ends| **ends).count(), 3, "{ends:?}");
        assert!(ends[0] && ends[8] && ends[11]);
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
