//! What every part of the server shares.
//!
//! Nothing here is the truth: the truth is in the database. What is in memory
//! (open tunnels, who waits for what) can be lost at any moment and is found
//! again by looking.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chatroom_domain::secrets::{KeyRing, Token, TokenKind};
use chatroom_protocol::{InstanceId, MachineId, RoomId, Timestamp, UserId};
use chatroom_store::events::{Feeds, NewEvent};
use chatroom_store::{Reader, Store, Tx, events};
use chatroom_tunnel::Links;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::throttle::Throttle;
use crate::config::Config;
use crate::error::Error;
use crate::health::Health;
use crate::limits::Limits;
use crate::machines::bulk::Bulk;
use crate::machines::gaps::Gaps;
use crate::transcripts::Transcripts;

/// How many machines use the database at once to arrive: enough to share a sync, few enough that people find it free.
const ARRIVALS: usize = 64;

/// The server's shared state; a clone is a handle to the same one.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] points to.
pub struct Shared {
    /// The settings it was started with.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// What secrets are sealed with.
    pub keys: KeyRing,
    /// The open tunnels.
    pub links: Links<MachineId>,
    /// Their second connections, for what is big or slow.
    pub bulk: Bulk,
    /// Bounds the machines that are looked at before they come in: all of them do when the server was away.
    pub doors: Turns,
    /// Bounds the machines that are written down as online.
    pub arrivals: Turns,
    /// Who was refused for its version.
    pub gaps: Gaps,
    /// Who is to be woken.
    pub wake: Wake,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
    /// Every task of the server; the server waits for them when it stops.
    pub tasks: TaskTracker,
    /// How the database is.
    pub health: Health,
    /// Slows down guessing.
    pub throttle: Throttle,
    /// How much everybody has taken.
    pub limits: Limits,
    /// What runs said and did; none for an operator beside the server, who has them open.
    transcripts: Option<Transcripts>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Makes the shared state of a server that has just begun, or of an operator beside one.
    pub fn new(config: Config, store: Store, keys: KeyRing, transcripts: Option<Transcripts>) -> Self {
        Self(Arc::new(Shared {
            config,
            store,
            clock: Clock::default(),
            keys,
            links: Links::default(),
            bulk: Bulk::default(),
            doors: Turns::of(ARRIVALS),
            arrivals: Turns::of(ARRIVALS),
            gaps: Gaps::default(),
            wake: Wake::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            health: Health::default(),
            throttle: Throttle::default(),
            limits: Limits::default(),
            transcripts,
        }))
    }

    /// Returns the transcripts of a server.
    pub fn transcripts(&self) -> Result<&Transcripts, Error> {
        self.transcripts.as_ref().ok_or_else(|| Error::Internal("only a server has transcripts open".into()))
    }

    /// Begins a change.
    pub async fn begin(&self) -> Result<Work, Error> {
        let tx = self.store.begin().await?;
        let (touched, told, events) = (HashSet::new(), Vec::new(), None);
        Ok(Work { tx, now: self.clock.now(), app: self.clone(), touched, told, events })
    }

    /// Returns what reads go through.
    pub fn reader(&self) -> Reader {
        self.store.reader()
    }

    /// Returns random bytes from the operating system.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        Ok(bytes)
    }

    /// Mints a token.
    pub fn mint(&self, kind: TokenKind) -> Result<Token, Error> {
        Ok(Token::mint(kind, self.random()?))
    }

    /// Makes an id: `app.id(RoomId::from_parts)`.
    pub fn id<T>(&self, make: impl FnOnce(Timestamp, u128) -> T) -> Result<T, Error> {
        Ok(make(self.clock.now(), u128::from_ne_bytes(self.random()?)))
    }
}

/// So many at once; the others wait in the order they came.
pub struct Turns(Semaphore);

impl Turns {
    fn of(most: usize) -> Self {
        Self(Semaphore::new(most))
    }

    /// Waits for a turn; it ends when what is returned is dropped.
    pub async fn take(&self) -> Result<SemaphorePermit<'_>, Error> {
        // The semaphore is never closed.
        self.0.acquire().await.map_err(|_| Error::ShuttingDown)
    }
}

/// What time it is; tests move it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp(millis).plus_millis(self.0.load(Ordering::Relaxed))
    }

    /// Moves every later answer of [`Clock::now`] on by `millis`.
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

/// A change under way: one transaction, and who is told once it is durable.
pub struct Work {
    /// The transaction.
    pub tx: Tx,
    /// The time of the change.
    pub now: Timestamp,
    /// The server.
    pub app: App,
    touched: HashSet<Topic>,
    /// The kinds of its events.
    told: Vec<&'static str>,
    /// Events for the same feeds, to be written together.
    events: Option<(Feeds, Vec<NewEvent>)>,
}

impl Work {
    /// Writes an event in the same transaction and wakes the readers of its feed and room on commit.
    pub async fn event(&mut self, instance: InstanceId, event: NewEvent) -> Result<(), Error> {
        if let Some(room) = event.room {
            self.touch(Topic::Room(room));
        }
        self.append(Feeds::Of(instance), event).await
    }

    /// Writes an event for one person alone to each feed they read, in the same transaction.
    pub async fn event_for(&mut self, user: UserId, event: NewEvent) -> Result<(), Error> {
        let event = NewEvent { private_to: Some(user), user: Some(user), ..event };
        self.append(Feeds::ReadBy(user), event).await
    }

    /// Keeps an event for the end of the change, where it costs no more than those before it: most changes have one for
    /// the same feeds. The order is kept as well.
    async fn append(&mut self, feeds: Feeds, event: NewEvent) -> Result<(), Error> {
        self.told.push(event.kind);
        match &mut self.events {
            Some((same, events)) if *same == feeds => events.push(event),
            _ => {
                self.write_events().await?;
                self.events = Some((feeds, vec![event]));
            }
        }
        Ok(())
    }

    async fn write_events(&mut self) -> Result<(), Error> {
        if let Some((feeds, events)) = self.events.take() {
            for (instance, _) in events::append(&self.tx, feeds, self.now, events).await? {
                self.touch(Topic::Feed(instance));
            }
        }
        Ok(())
    }

    /// Wakes those who wait for `topic`, on commit.
    pub fn touch(&mut self, topic: Topic) {
        self.touched.insert(topic);
    }

    /// Makes the change durable, then wakes.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.write_events().await?;
        let places = |when: &str| self.told.iter().map(|kind| format!("server {when} {kind}")).collect();
        chatroom_failpoint::hit(|| places("before"));
        self.tx.commit().await?;
        chatroom_failpoint::hit(|| places("after"));
        for topic in self.touched {
            self.app.wake.poke(topic);
        }
        Ok(())
    }
}

/// What one can wait for. A wake-up says "look again", nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Something changed in a room.
    Room(RoomId),
    /// A feed grew.
    Feed(InstanceId),
    /// There is something to push to a machine, or its tunnel must be looked at.
    Machine(MachineId),
    /// A sign-in or a membership of a person ended, or may have.
    User(UserId),
}

/// Wakes those who wait.
#[derive(Debug, Default)]
pub struct Wake(Mutex<Topics>);

#[derive(Debug, Default)]
struct Topics {
    known: HashMap<Topic, watch::Sender<u64>>,
    /// How many there may be before those nobody waits for are forgotten.
    most: usize,
}

/// Below so many topics none is forgotten.
const FEW: usize = 4096;

impl Wake {
    /// Returns a receiver that changes with each poke from now on. Subscribe first, then look.
    pub fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.known.len() >= topics.most {
            topics.known.retain(|_, sender| sender.receiver_count() > 0);
            // Looking at all of them pays only once there are twice as many.
            topics.most = FEW.max(topics.known.len() * 2);
        }
        topics.known.entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Wakes everyone who waits for `topic`.
    pub fn poke(&self, topic: Topic) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.known.get(&topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_nobody_waits_for_are_forgotten_and_the_others_are_woken() {
        let wake = Wake::default();
        let machine = |number: u128| Topic::Machine(MachineId(uuid::Uuid::from_u128(number)));
        let mut waiting: Vec<_> = (0..6_000).map(|number| wake.subscribe(machine(number))).collect();
        for number in 6_000..40_000 {
            drop(wake.subscribe(machine(number)));
        }
        assert!(wake.0.lock().unwrap().known.len() <= 12_000);
        for number in 0..6_000 {
            wake.poke(machine(number));
        }
        assert!(waiting.iter_mut().all(|receiver| receiver.has_changed().unwrap()));
    }
}
