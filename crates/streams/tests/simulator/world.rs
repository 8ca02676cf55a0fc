//! One run: random requests, random failures, and what must be true after each.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatroom_streams::disk::Disk;
use chatroom_streams::{
    Append, Appended, Claim, Clock, Committer, ContentType, Create, Created, Engine, Flusher, ForkFrom, Offset,
    Options, Pending, Refusal, Start,
};

use crate::disk::{Faults, SimulatedDisk};
use crate::model::{Belief, Node, Piece, filling};
use crate::random::Random;

const PATHS: u64 = 5;
const ROUNDS: u64 = 40;

pub struct World {
    random: Random,
    disk: SimulatedDisk,
    clock: Clock,
    running: Running,
    nodes: Vec<Node>,
    tokens: u64,
    waiting: Vec<Waiting>,
}

struct Running {
    engine: Engine,
    committer: Committer,
    flusher: Flusher,
}

enum Waiting {
    Create { node: usize, answer: Pending<Created> },
    Append { node: usize, token: u64, close: bool, answer: Pending<Appended> },
    Delete { node: usize, answer: Pending<()> },
}

fn options(clock: &Clock) -> Options {
    Options {
        segment_bytes: 4096,
        page_bytes: 256,
        file_bytes: 700,
        flush_bytes: 600,
        clock: clock.clone(),
        ..Options::default()
    }
}

/// Runs a seed to its end.
pub fn run(seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let disk = SimulatedDisk::default();
    let clock = Clock::still();
    let (disk, running) = open(disk, &clock, &mut random)?;
    let mut world = World { random, disk, clock, running, nodes: Vec::new(), tokens: 0, waiting: Vec::new() };
    for _ in 0..ROUNDS {
        world.round()?;
    }
    world.lose_power()?;
    world.check_all()
}

/// Opens the store; power may go meanwhile, again and again.
fn open(mut disk: SimulatedDisk, clock: &Clock, random: &mut Random) -> Result<(SimulatedDisk, Running), String> {
    loop {
        if random.one_in(3) {
            disk.arm(Faults { power: Some(random.below(60)), ..Faults::default() });
        }
        let seam: Arc<dyn Disk> = Arc::new(disk.clone());
        match Engine::open(&seam, options(clock)) {
            Ok((engine, committer, flusher)) if !disk.is_dead() => {
                disk.arm(Faults::default());
                return Ok((disk.clone(), Running { engine, committer, flusher }));
            }
            Ok(_) => disk = disk.after_power_loss(random),
            Err(_) if disk.is_dead() => disk = disk.after_power_loss(random),
            Err(error) => return Err(format!("the store cannot be opened: {error}")),
        }
    }
}

impl World {
    fn round(&mut self) -> Result<(), String> {
        match self.random.below(12) {
            0 => self.disk.arm(Faults { power: Some(self.random.below(30)), ..Faults::default() }),
            1 if self.random.one_in(2) => {
                self.disk.arm(Faults { sync: Some(1 + self.random.below(8)), ..Faults::default() });
            }
            2 => {
                let full = (1 + self.random.below(6), 1 + self.random.below(12));
                self.disk.arm(Faults { full: Some(full), ..Faults::default() });
            }
            _ => {}
        }
        for _ in 0..=self.random.below(6) {
            self.submit();
        }
        if self.random.one_in(4) {
            self.check_one()?;
        }
        let mut is_over = self.running.committer.commit().is_err();
        self.take_answers()?;
        if self.random.one_in(3) {
            is_over |= self.running.flusher.work().is_err();
        }
        if self.random.one_in(6) {
            self.clock.advance(Duration::from_secs(self.random.below(20)));
            is_over |= self.running.committer.tick().is_err();
        }
        if self.random.one_in(8) {
            is_over |= self.running.committer.checkpoint().is_err();
        }
        if self.disk.sync_failed() && !is_over && self.running.committer.commit().is_ok() {
            // Only a segment nothing relies on may fail to be synced. What the engine acknowledges from now on
            // is compared after the loss of power that follows.
            self.submit();
            let _ = self.running.committer.commit();
            self.take_answers()?;
            return self.lose_power();
        }
        if is_over || self.disk.is_dead() || self.random.one_in(25) {
            return self.lose_power();
        }
        self.check_one()
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    fn path(&mut self) -> String {
        format!("room/{}", self.random.below(PATHS))
    }

    /// Returns the stream at a path, deleted ones that are kept included.
    fn at(&self, path: &str) -> Option<usize> {
        let here = |(index, node): &(usize, &Node)| node.path == path && !self.is_purged(*index);
        self.nodes.iter().enumerate().filter(here).map(|(index, _)| index).next_back()
    }

    fn is_purged(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.exists == Belief::No || node.deleted == Belief::Yes && !self.has_forks(index)
    }

    fn has_forks(&self, index: usize) -> bool {
        let forks = self.nodes.iter().enumerate().filter(|(_, node)| node.source == Some(index));
        forks.into_iter().any(|(fork, _)| !self.is_purged(fork))
    }

    fn submit(&mut self) {
        let path = self.path();
        match (self.at(&path), self.random.below(16)) {
            (None, 0..=4) => self.create(&path),
            (None, _) => self.fork(&path),
            (Some(node), _) if self.nodes[node].exists != Belief::Yes || self.nodes[node].deleted != Belief::No => {}
            (Some(node), 0) => {
                self.nodes[node].deleted = Belief::Unsure;
                let answer = self.running.engine.delete(&path);
                self.waiting.push(Waiting::Delete { node, answer });
            }
            (Some(node), action) => self.append(node, action),
        }
    }

    fn content_type(json: bool) -> Option<ContentType> {
        ContentType::parse(if json { "application/json" } else { "text/plain" })
    }

    fn piece(&mut self, json: bool, claim: Option<Claim>) -> Piece {
        let token = self.token();
        let length = if self.random.one_in(12) { 1500 } else { self.random.index(90) };
        let filler = "x".repeat(length);
        if json {
            let count = 1 + self.random.below(3);
            let messages: Vec<String> =
                (0..count).map(|index| format!("{{\"t\":{token},\"i\":{index},\"f\":\"{filler}\"}}")).collect();
            let messages = messages.join(",");
            let (sent, stored) = (format!("[{messages}]").into(), format!("{messages},").into());
            return Piece { stored, sent, claim, end: None, token };
        }
        let stored: Vec<u8> = format!("{token}:{filler};").into();
        Piece { sent: stored.clone(), stored, claim, end: None, token }
    }

    fn create(&mut self, path: &str) {
        let json = self.random.one_in(2);
        let mut node = Node::new(path, json, None, Vec::new());
        let mut create = Create { content_type: Self::content_type(json), ..Create::default() };
        if self.random.one_in(3) {
            let piece = self.piece(json, None);
            create.body = Bytes::from(piece.sent.clone());
            node.unsure.push(piece);
        }
        self.send_create(node, create);
    }

    fn fork(&mut self, path: &str) {
        let living = |(_, node): &(usize, &Node)| !node.is_unsure() && node.deleted == Belief::No;
        let sources: Vec<usize> = self.nodes.iter().enumerate().filter(living).map(|(index, _)| index).collect();
        let sources: Vec<usize> = sources.into_iter().filter(|index| !self.is_purged(*index)).collect();
        if sources.is_empty() {
            return self.create(path);
        }
        let source = sources[self.random.index(sources.len())];
        let from = self.nodes[source].clone();
        let ends: Vec<(usize, Offset)> =
            from.pieces.iter().enumerate().filter_map(|(index, piece)| Some((index, piece.end?))).collect();
        let (at, beyond, inherited) = if ends.is_empty() || self.random.one_in(3) {
            (None, 0, from.content())
        } else {
            let (index, end) = ends[self.random.index(ends.len())];
            let mut inherited = from.inherited.clone();
            from.pieces[..=index].iter().for_each(|piece| inherited.extend_from_slice(&piece.stored));
            let mut beyond = 0;
            if let Some(next) = from.pieces.get(index + 1).filter(|_| !from.json) {
                beyond = self.random.index(next.stored.len() + 1);
                inherited.extend_from_slice(&next.stored[..beyond]);
            }
            (Some(Start::At(end)), beyond as u64, inherited)
        };
        let node = Node::new(path, from.json, Some(source), inherited);
        let fork = Some(ForkFrom { path: from.path, at, beyond });
        self.send_create(node, Create { fork, ..Create::default() });
    }

    fn send_create(&mut self, node: Node, create: Create) {
        let answer = self.running.engine.create(&node.path, create);
        self.nodes.push(node);
        self.waiting.push(Waiting::Create { node: self.nodes.len() - 1, answer });
    }

    fn append(&mut self, node: usize, action: u64) {
        let json = self.nodes[node].json;
        let close = action == 1 && self.random.one_in(2);
        let producer = usize::try_from(action % 4).expect("a small number");
        let mut claim = None;
        if let Some(next) = self.nodes[node].next_seq.get(producer).copied() {
            let id = format!("producer-{producer}").into();
            let is_alone = |piece: &Piece| piece.claim.as_ref().is_none_or(|claim: &Claim| claim.id != id);
            if self.nodes[node].unsure.iter().all(is_alone) {
                claim = Some(Claim { id, epoch: 0, seq: next });
            }
        }
        let piece = self.piece(json, claim);
        if close {
            self.nodes[node].closed = self.nodes[node].closed.max_unsure();
        }
        let answer = self.send(node, &piece, close);
        let token = piece.token;
        self.nodes[node].unsure.push(piece);
        // Whoever asked may be gone before the answer.
        if !self.random.one_in(10) {
            self.waiting.push(Waiting::Append { node, token, close, answer });
        }
    }

    fn send(&self, node: usize, piece: &Piece, close: bool) -> Pending<Appended> {
        let node = &self.nodes[node];
        let append = Append {
            content_type: Self::content_type(node.json),
            body: Bytes::from(piece.sent.clone()),
            close,
            claim: piece.claim.clone(),
            seq: None,
        };
        self.running.engine.append(&node.path, append)
    }

    fn take_answers(&mut self) -> Result<(), String> {
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Create { node, mut answer } => match answer.now() {
                    Some(Ok(created)) => {
                        let node = &mut self.nodes[node];
                        node.exists = Belief::Yes;
                        if let Some(mut piece) = node.unsure.pop() {
                            piece.end = Some(created.tail);
                            node.pieces.push(piece);
                        }
                        let length = node.content().len() as u64;
                        if !created.is_new || created.tail.position() != length {
                            return Err(format!("{} was made at {}, not {length}", node.path, created.tail));
                        }
                    }
                    Some(Err(Refusal::Stopped(_))) | None => {}
                    Some(Err(_)) => self.nodes[node].exists = Belief::No,
                },
                Waiting::Append { node, token, close, mut answer } => {
                    let node = &mut self.nodes[node];
                    match answer.now() {
                        Some(Ok(appended)) => {
                            let Some(at) = node.unsure.iter().position(|piece| piece.token == token) else {
                                continue;
                            };
                            // Whatever was sent before and not taken is not there.
                            let mut before: Vec<Piece> = node.unsure.drain(..=at).collect();
                            let mut piece = before.pop().unwrap_or_else(|| unreachable!());
                            let known = node.content().len() as u64;
                            let start = appended.tail.position() - piece.stored.len() as u64;
                            if start != known {
                                // Of those whose senders are gone, the ones that were taken lie between.
                                let Some(between) = filling(&before, start - known) else {
                                    return Err(format!("{}: nothing sent fits before {}", node.path, piece.token));
                                };
                                for other in between {
                                    node.count(&other);
                                    node.pieces.push(other);
                                }
                            }
                            piece.end = Some(appended.tail);
                            node.count(&piece);
                            node.pieces.push(piece);
                            if close {
                                node.closed = Belief::Yes;
                            }
                        }
                        Some(Err(Refusal::Stopped(_))) | None => {}
                        Some(Err(_)) => node.unsure.retain(|piece| piece.token != token),
                    }
                }
                Waiting::Delete { node, mut answer } => match answer.now() {
                    Some(Ok(())) => self.nodes[node].deleted = Belief::Yes,
                    Some(Err(Refusal::Stopped(_))) | None => {}
                    Some(Err(_)) => self.nodes[node].deleted = Belief::No,
                },
            }
        }
        Ok(())
    }

    fn lose_power(&mut self) -> Result<(), String> {
        let disk = self.disk.after_power_loss(&mut self.random);
        self.take_answers()?;
        let (disk, running) = open(disk, &self.clock, &mut self.random)?;
        (self.disk, self.running) = (disk, running);
        self.settle();
        self.check_all()?;
        self.retry()
    }

    /// Finds out what became of what was not answered. From now on it has to stay so.
    fn settle(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].exists == Belief::Unsure {
                let found = self.running.engine.reader(&self.nodes[index].path);
                self.nodes[index].exists = if found.is_ok() { Belief::Yes } else { Belief::No };
            }
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].deleted == Belief::Unsure && self.nodes[index].exists == Belief::Yes {
                let found = self.running.engine.reader(&self.nodes[index].path);
                self.nodes[index].deleted = if found.is_ok() { Belief::No } else { Belief::Yes };
            }
        }
    }

    /// Sends what was not answered once more: each append is there once.
    fn retry(&mut self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.exists != Belief::Yes || node.deleted != Belief::No || node.closed != Belief::No {
                continue;
            }
            let Some(last) = node.pieces.iter().rev().find(|piece| piece.claim.is_some()).cloned() else {
                continue;
            };
            let before = node.content().len();
            let mut answer = self.send(index, &last, false);
            self.running.committer.commit().map_err(|error| error.to_string())?;
            match answer.now() {
                Some(Ok(appended)) if !appended.is_new => {}
                other => return Err(format!("{}: a retry was not a duplicate: {other:?}", self.nodes[index].path)),
            }
            let read = self.read(index)?.ok_or("the power went without being asked to")?;
            if read.len() != before {
                return Err(format!("{}: a retry is there twice", self.nodes[index].path));
            }
        }
        Ok(())
    }

    fn check_one(&mut self) -> Result<(), String> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let index = self.random.index(self.nodes.len());
        self.check(index)
    }

    /// Checks every stream of a store that was just opened: nothing is under way.
    fn check_all(&mut self) -> Result<(), String> {
        (0..self.nodes.len()).try_for_each(|index| self.check(index))?;
        for node in &mut self.nodes {
            // What is not there now never will be.
            node.unsure.clear();
            if node.closed == Belief::Unsure {
                node.closed = Belief::No;
            }
        }
        Ok(())
    }

    fn check(&mut self, index: usize) -> Result<(), String> {
        let node = &self.nodes[index];
        if node.exists != Belief::Yes || node.deleted == Belief::Unsure || self.at(&node.path) != Some(index) {
            return Ok(());
        }
        let about = match self.running.engine.reader(&node.path) {
            Ok(reader) => reader.about().map_err(|refusal| format!("{}: {refusal}", node.path))?,
            Err(Refusal::Deleted) if node.deleted == Belief::Yes => return Ok(()),
            Err(refusal) => return Err(format!("{}: {refusal}, deleted: {:?}", node.path, node.deleted)),
        };
        if node.deleted == Belief::Yes {
            return Err(format!("{} was deleted and is there", node.path));
        }
        match (node.closed, about.closed) {
            (Belief::No, true) | (Belief::Yes, false) => {
                return Err(format!("{}: closed is {}, known {:?}", node.path, about.closed, node.closed));
            }
            _ => {}
        }
        if about.closed {
            self.nodes[index].closed = Belief::Yes;
        }
        let Some(read) = self.read(index)? else {
            return Ok(());
        };
        let node = &mut self.nodes[index];
        let before = node.pieces.len();
        node.check(&read)?;
        let found: Vec<Piece> = node.pieces[before..].to_vec();
        for piece in &found {
            node.count(piece);
        }
        Ok(())
    }

    /// Reads a stream from its beginning, page by page; nothing if the power is gone.
    fn read(&self, index: usize) -> Result<Option<Vec<u8>>, String> {
        let node = &self.nodes[index];
        let reader = self.running.engine.reader(&node.path).map_err(|refusal| refusal.to_string())?;
        let (mut stored, mut start) = (Vec::new(), Start::Beginning);
        loop {
            let view = reader.view(start).map_err(|refusal| format!("{}: {refusal}", node.path))?;
            let body = match view.load() {
                Ok(body) => body,
                Err(_) if self.disk.is_dead() => return Ok(None),
                Err(refusal) => return Err(format!("{} from {start:?}: {refusal}", node.path)),
            };
            match body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]")).filter(|_| node.json) {
                Some(messages) if !messages.is_empty() => {
                    stored.extend_from_slice(messages);
                    stored.push(b',');
                }
                Some(_) => {}
                None => stored.extend_from_slice(&body),
            }
            if view.is_up_to_date {
                return Ok(Some(stored));
            }
            start = Start::At(view.next());
        }
    }
}

impl Node {
    /// Its producer goes on behind this.
    fn count(&mut self, piece: &Piece) {
        if let Some(claim) = &piece.claim {
            let producer = usize::from(claim.id.ends_with('1'));
            self.next_seq[producer] = claim.seq + 1;
        }
    }
}

impl Belief {
    fn max_unsure(self) -> Self {
        if self == Self::Yes { Self::Yes } else { Self::Unsure }
    }
}
