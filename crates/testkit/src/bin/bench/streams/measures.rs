//! What is measured of one server in one round.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::served::Served;
use super::wire::{Wire, find, request};
use crate::Streams;
use crate::clock;
use crate::facts::Memory;
use crate::figures::Times;

/// How long a message is.
const MESSAGE: usize = 100;
/// How long its number is in it.
const DIGITS: usize = 12;
/// Appends a second to those who follow.
pub const RATE: u32 = 20;
/// How many messages one after another reach the one who follows.
const LONE: usize = 500;
/// How much is appended at once before it is caught up with.
const PIECE: usize = 1 << 20;
/// How long whoever follows may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many connections that append to so many streams.
pub struct Load {
    /// What the table calls it.
    pub name: &'static str,
    connections: usize,
    streams: usize,
}

/// Each way to append.
pub const LOADS: [Load; 4] = [
    Load { name: "1 connection", connections: 1, streams: 1 },
    Load { name: "16 connections, 1 stream", connections: 16, streams: 1 },
    Load { name: "256 connections, 1 stream", connections: 256, streams: 1 },
    Load { name: "256 connections, 256 streams", connections: 256, streams: 256 },
];

/// What came of one load.
pub struct Appends {
    /// How many a second.
    pub rate: f64,
    /// How long each took.
    pub times: Times,
}

/// What came of one round.
pub struct Round {
    /// In the order of [`LOADS`].
    pub appends: Vec<Appends>,
    /// From an append until one reader has it.
    pub lone: Times,
    /// From when an append was due until each of many readers has it.
    pub crowd: Times,
    /// Bytes a second.
    pub catch_up: f64,
    /// Resident memory.
    pub after_appends: u64,
    /// Resident memory.
    pub after_catch_up: u64,
    /// What each reader who waits adds to it.
    pub each_reader: f64,
}

/// Measures all of it.
pub async fn round(served: &Served, round: usize, scale: &Streams) -> anyhow::Result<Round> {
    let resident = || anyhow::Ok(Memory::of(served.pid())?.resident);
    let mut measured = Vec::new();
    for (index, load) in LOADS.iter().enumerate() {
        let mut paths = Vec::new();
        for stream in 0..load.streams {
            paths.push(served.stream(&format!("appends-{round}-{index}-{stream}")).await?);
        }
        measured.push(appends(served, load, &paths, Duration::from_secs(scale.seconds)).await?);
    }
    let after_appends = resident()?;
    let lone = lone(served, &served.stream(&format!("lone-{round}")).await?).await?;
    let path = served.stream(&format!("crowd-{round}")).await?;
    let (crowd, each_reader) = crowd(served, &path, scale).await?;
    let path = served.stream(&format!("bulk-{round}")).await?;
    let catch_up = catch_up(served, &path, scale.bulk).await?;
    Ok(Round { appends: measured, lone, crowd, catch_up, after_appends, after_catch_up: resident()?, each_reader })
}

/// Returns a message with a number.
fn message(number: usize) -> Vec<u8> {
    let mut text = format!("{{\"n\":{number:0DIGITS$},\"fill\":\"");
    // A number in JSON begins with no zero.
    text = text.replacen(':', ":1", 1);
    text.extend(std::iter::repeat_n('x', MESSAGE - text.len() - 2));
    (text + "\"}").into_bytes()
}

/// Appends over and over: each connection its next message once the one before is answered.
async fn appends(served: &Served, load: &Load, paths: &[String], time: Duration) -> anyhow::Result<Appends> {
    let address = served.address;
    let mut wires = Vec::new();
    for index in 0..load.connections {
        wires.push((Wire::open(address).await?, request("POST", &paths[index % paths.len()], Some(&message(index)))));
    }
    let began = Instant::now();
    let mut loads = JoinSet::new();
    for (mut wire, append) in wires {
        loads.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                wire.expect(&append, &[204]).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    for times in loads.join_all().await {
        all.extend(times.context("an append was refused")?);
    }
    let times = Times::new(all);
    #[expect(clippy::cast_precision_loss, reason = "a count of appends")]
    let rate = times.count() as f64 / began.elapsed().as_secs_f64();
    Ok(Appends { rate, times })
}

/// One who follows, told what the newest number is.
fn follow(mut wire: Wire) -> watch::Receiver<Option<(usize, Instant)>> {
    let (sender, seen) = watch::channel(None);
    tokio::spawn(async move {
        let mut scan = Scan::default();
        while let Ok(bytes) = wire.next().await {
            let now = Instant::now();
            for number in scan.numbers(&bytes) {
                sender.send_replace(Some((number, now)));
            }
        }
    });
    seen
}

/// Finds the numbers of messages in what comes in pieces.
#[derive(Default)]
struct Scan {
    held: Vec<u8>,
}

impl Scan {
    fn numbers(&mut self, bytes: &[u8]) -> Vec<usize> {
        const MARK: &[u8] = b"\"n\":1";
        self.held.extend_from_slice(bytes);
        let mut numbers = Vec::new();
        while let Some(at) = find(&self.held, MARK) {
            let from = at + MARK.len();
            let Some(digits) = self.held.get(from..from + DIGITS) else { break };
            numbers.extend(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok()));
            self.held.drain(..from + DIGITS);
        }
        let most = MARK.len() + DIGITS;
        if self.held.len() > most {
            self.held.drain(..self.held.len() - most);
        }
        numbers
    }
}

/// Appends one message after another, each once the one who follows has the one before.
async fn lone(served: &Served, path: &str) -> anyhow::Result<Times> {
    let mut seen = follow(served.follow(path).await?);
    let mut wire = Wire::open(served.address).await?;
    let mut times = Vec::new();
    for number in 0..LONE {
        let append = request("POST", path, Some(&message(number)));
        let began = Instant::now();
        wire.expect(&append, &[204]).await?;
        let came = seen.wait_for(|seen| seen.is_some_and(|(newest, _)| newest >= number));
        let came = tokio::time::timeout(PATIENCE, came).await.context("a message did not come")??;
        times.extend(came.map(|(_, at)| at.saturating_duration_since(began)));
    }
    Ok(Times::new(times))
}

/// Many who follow one stream, and appends by the clock; and what each of them costs while nothing comes.
async fn crowd(served: &Served, path: &str, scale: &Streams) -> anyhow::Result<(Times, f64)> {
    let before = Memory::of(served.pid())?.resident;
    let mut readers = Vec::new();
    for _ in 0..scale.readers {
        readers.push(served.follow(path).await?);
    }
    // The first word of a stream may come a moment after its head.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let added = Memory::of(served.pid())?.resident.saturating_sub(before);
    let count = RATE as usize * usize::try_from(scale.seconds)?;
    let mut following = JoinSet::new();
    for mut wire in readers {
        following.spawn(async move {
            let mut scan = Scan::default();
            let mut came = Vec::with_capacity(count);
            while came.len() < count {
                let bytes = wire.next().await?;
                let now = Instant::now();
                came.extend(scan.numbers(&bytes).into_iter().map(|number| (number, now)));
            }
            anyhow::Ok(came)
        });
    }
    let mut wire = Wire::open(served.address).await?;
    let mut dues = Vec::new();
    let mut clock = clock::dues(RATE, u32::try_from(count)?);
    for number in 0..count {
        dues.push(clock.recv().await.context("the clock stopped")?);
        wire.expect(&request("POST", path, Some(&message(number))), &[204]).await?;
    }
    let dues = Arc::new(dues);
    let mut times = Vec::new();
    let came = tokio::time::timeout(PATIENCE, following.join_all()).await.context("not everybody has every message")?;
    for came in came {
        times.extend(
            came?.into_iter().filter_map(|(number, at)| Some(at.saturating_duration_since(*dues.get(number)?))),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
    Ok((Times::new(times), added as f64 / scale.readers as f64))
}

/// Fills a stream and reads it from the start to the end, as many answers as that takes.
async fn catch_up(served: &Served, path: &str, mib: usize) -> anyhow::Result<f64> {
    let mut wire = Wire::open(served.address).await?.roomy();
    let messages: Vec<Vec<u8>> = (0..PIECE / (MESSAGE + 1)).map(message).collect();
    let mut body = b"[".to_vec();
    body.extend(messages.join(&b','));
    body.push(b']');
    let append = request("POST", path, Some(&body));
    for _ in 0..mib {
        wire.expect(&append, &[204]).await.context("the stream could not be filled")?;
    }
    // Once for the caches of both.
    read(&mut wire, path).await?;
    let began = Instant::now();
    let bytes = read(&mut wire, path).await?;
    anyhow::ensure!(bytes >= mib * (PIECE - 2 * MESSAGE), "{bytes} bytes came of {mib} MiB");
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}

async fn read(wire: &mut Wire, path: &str) -> anyhow::Result<usize> {
    let mut whole = 0;
    let mut offset = "-1".to_owned();
    loop {
        let head = wire.ask(&request("GET", &format!("{path}?offset={offset}"), None)).await?;
        anyhow::ensure!(head.status == 200, "a reader was answered {}", head.status);
        whole += wire.body(&head).await?;
        if head.header("stream-up-to-date").is_some_and(|up| up.eq_ignore_ascii_case("true")) {
            return Ok(whole);
        }
        head.header("stream-next-offset").context("an answer names no offset")?.clone_into(&mut offset);
    }
}
