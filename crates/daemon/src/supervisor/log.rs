//! What a run leaves on disk: its events, and what its tool printed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chatroom_protocol::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;

use super::event::{RunEvent, Sequenced};
use super::redact::{Redactor, Stream};
use super::socket::{EVENTS, OUTPUT};

/// Beyond this size the story of a run is left out; what the daemon acts on goes on.
const FULL: u64 = 256 * 1024 * 1024;
/// The longest text of an event; a question to a person and a tool's output are shorter.
const MAX_TEXT: usize = 256 * 1024;
/// The longest output of a tool, or question to a person.
pub const MAX_INPUT: usize = 16 * 1024;
/// The longest input of a tool: an edit is drawn only if it is whole.
const MAX_CALL: usize = 64 * 1024;
/// The size at which the log of output begins a new file. There are two.
const ROTATE: u64 = 16 * 1024 * 1024;

/// Returns the time by this machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Cuts a text at a character's border and says so.
pub fn cap(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}\n[cut: {} more bytes]", &text[..end], text.len() - end)
}

/// The durable log of a run's events.
pub struct EventLog {
    file: File,
    latest: watch::Sender<u64>,
    bytes: u64,
    redactor: Redactor,
    told_full: bool,
}

impl EventLog {
    /// Begins the log of a new run.
    pub fn create(run_dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(run_dir.join(EVENTS))?;
        Ok(Self { file, latest: watch::Sender::new(0), bytes: 0, redactor: Redactor::default(), told_full: false })
    }

    /// Keeps secrets out of everything from now on.
    pub fn keep_out(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Tells the number of the last event, and each later one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Writes an event, redacted and capped; on return a durable one is on disk.
    pub fn append(&mut self, event: RunEvent) -> io::Result<()> {
        if self.bytes > FULL && event.is_story() {
            if std::mem::replace(&mut self.told_full, true) {
                return Ok(());
            }
            let text = "the log of this run is full; what the agent says is no longer kept".to_owned();
            return self.write(RunEvent::Notice { text });
        }
        let mut event = self.clean(event);
        if let RunEvent::PromptSent { text, .. } = &mut event
            && self.bytes > FULL
        {
            *text = None;
        }
        self.write(event)
    }

    fn write(&mut self, event: RunEvent) -> io::Result<()> {
        let durable = event.is_durable();
        let seq = *self.latest.borrow() + 1;
        let mut line = serde_json::to_vec(&Sequenced { seq, at: now(), event })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if durable {
            self.file.sync_data()?;
        }
        self.bytes += line.len() as u64;
        self.latest.send_replace(seq);
        Ok(())
    }

    /// Returns the text as it may be shown.
    pub fn shown(&self, text: &str, max: usize) -> String {
        cap(&self.redactor.text(text), max)
    }

    fn clean(&self, event: RunEvent) -> RunEvent {
        let text = |text: String| self.shown(&text, MAX_TEXT);
        let short = |text: String| self.shown(&text, MAX_INPUT);
        match event {
            RunEvent::PromptSent { prompt_id, from, text: told } => {
                RunEvent::PromptSent { prompt_id, from, text: told.map(text) }
            }
            RunEvent::TurnEnded { prompt_id, outcome, detail } => {
                RunEvent::TurnEnded { prompt_id, outcome, detail: detail.map(short) }
            }
            RunEvent::Message { text: words, block } => RunEvent::Message { text: text(words), block },
            RunEvent::Thought { text: words, block } => RunEvent::Thought { text: text(words), block },
            RunEvent::ToolCall { id, name, input } => {
                RunEvent::ToolCall { id: short(id), name: short(name), input: self.shown(&input, MAX_CALL) }
            }
            RunEvent::ToolResult { id, output, is_error } => {
                RunEvent::ToolResult { id: short(id), output: short(output), is_error }
            }
            RunEvent::PermissionRepeated { permission_id, title, input } => {
                RunEvent::PermissionRepeated { permission_id, title: short(title), input: text(input) }
            }
            RunEvent::Session { id } => RunEvent::Session { id: short(id) },
            RunEvent::Notice { text: words } => RunEvent::Notice { text: short(words) },
            RunEvent::Exited { code, signal, reason, requested } => {
                RunEvent::Exited { code, signal, reason: short(reason), requested }
            }
            // What a person is asked was made ready before its digest was taken, and what a terminal showed is free of
            // secrets as a whole; the rest holds no text.
            event @ (RunEvent::PermissionAsked { .. }
            | RunEvent::PermissionClosed { .. }
            | RunEvent::TerminalOpened { .. }
            | RunEvent::TerminalFrame { .. }
            | RunEvent::ToolStarted { .. }
            | RunEvent::Activity { .. }
            | RunEvent::InterruptAsked { .. }
            | RunEvent::StopAsked { .. }
            | RunEvent::PromptStarted { .. }
            | RunEvent::Usage { .. }
            | RunEvent::Unknown) => event,
        }
    }
}

/// Reads a log while it grows, as lines of JSON.
pub struct Tail {
    reader: BufReader<File>,
    after: u64,
}

impl Tail {
    /// Begins after the event with number `after`.
    pub fn open(run_dir: &Path, after: u64) -> io::Result<Self> {
        let reader = BufReader::new(File::open(run_dir.join(EVENTS))?);
        Ok(Self { reader, after })
    }

    /// Returns the next line; `None` when there is none yet. A line that is not whole (its writer was killed) is none.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        #[derive(Deserialize)]
        struct Number {
            seq: u64,
        }
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return Ok(None);
            }
            line.pop();
            let number: Number = serde_json::from_str(&line)?;
            if number.seq > self.after {
                self.after = number.seq;
                return Ok(Some(line));
            }
        }
    }
}

/// Reads the events of a run whose supervisor is gone, after the one with number `after`.
pub fn read_events(run_dir: &Path, after: u64) -> io::Result<Vec<Sequenced<RunEvent>>> {
    let mut tail = match Tail::open(run_dir, after) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        tail => tail?,
    };
    let mut events = Vec::new();
    while let Some(line) = tail.next_line()? {
        events.push(serde_json::from_str(&line)?);
    }
    Ok(events)
}

/// Writes the end of a run whose supervisor is gone, behind its last whole line.
pub fn amend(run_dir: &Path, reason: &str, requested: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(run_dir.join(EVENTS))?;
    let (mut whole, mut last) = (0, None);
    let mut reader = BufReader::new(&mut file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        whole += line.len() as u64;
        last = Some(std::mem::take(&mut line));
    }
    let last = last.map(|line| serde_json::from_slice::<Sequenced<RunEvent>>(&line)).transpose()?;
    file.set_len(whole)?;
    let seq = last.map_or(0, |event| event.seq);
    let text = "what this run did last, before its supervisor was killed, may be missing here".to_owned();
    let exited = RunEvent::Exited { code: None, signal: None, reason: reason.to_owned(), requested };
    let mut lines = Vec::new();
    for (seq, event) in (seq + 1..).zip([RunEvent::Notice { text }, exited]) {
        serde_json::to_writer(&mut lines, &Sequenced { seq, at: now(), event })?;
        lines.push(b'\n');
    }
    file.write_all(&lines)?;
    file.sync_data()
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What the tool said in its protocol.
    Stdout,
    /// What it grumbled.
    Stderr,
}

/// What the tool printed, in two files of bounded size.
pub struct OutputLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    stdout: Stream,
    stderr: Stream,
}

impl OutputLog {
    /// Begins the log of a new run.
    pub fn create(run_dir: &Path, redactor: &Redactor) -> io::Result<Self> {
        let path = run_dir.join(OUTPUT);
        Ok(Self {
            file: private(&path)?,
            path,
            bytes: 0,
            stdout: Stream::new(redactor.clone()),
            stderr: Stream::new(redactor.clone()),
        })
    }

    /// Writes a line.
    pub fn line(&mut self, source: Source, line: &[u8]) -> io::Result<()> {
        let stream = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let mut clean = stream.push(line);
        clean.extend(stream.push(b"\n"));
        match source {
            Source::Stdout => self.write(&clean),
            // Marked only now: between two lines of a broken token a mark would hide it.
            Source::Stderr => {
                let lines = clean.split_inclusive(|byte| *byte == b'\n');
                let marked: Vec<u8> = lines.flat_map(|line| [b"stderr: ", line].concat()).collect();
                self.write(&marked)
            }
        }
    }

    /// Writes what a terminal showed, from which secrets were taken out before.
    pub fn shown(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    /// Writes what was held back.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut rest = self.stdout.finish();
        rest.extend(self.stderr.finish());
        self.write(&rest)?;
        self.file.sync_data()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > ROTATE {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = private(&self.path)?;
            self.bytes = 0;
        }
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
