//! What those who ask share with what moves the bytes.

use std::sync::{Arc, Mutex, PoisonError};

use http::request;
use tokio::sync::Semaphore;

use super::stream::{Receiving, Sending};
use super::streams::Streams;
use crate::settings::{STREAMS, Settings};

pub(super) struct Shared {
    streams: Mutex<Streams>,
    slots: Arc<Semaphore>,
}

impl Shared {
    fn new(settings: Settings) -> Self {
        let slots = Arc::new(Semaphore::new(STREAMS as usize));
        Self { streams: Mutex::new(Streams::new(settings, slots.clone())), slots }
    }

    /// Does something with the streams, and wakes whom it concerns once others may do so too.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Streams) -> T) -> T {
        // Nothing inside panics half-way: what is there is whole.
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut streams);
        let woken = std::mem::take(&mut streams.woken);
        drop(streams);
        woken.into_iter().for_each(std::task::Waker::wake);
        done
    }
}

/// Why a request did not become a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// The connection is over, or about to be.
    Closed,
    /// It has no numbers left.
    Exhausted,
}

/// Sends requests down a connection. When the last clone is gone, the connection ends once its streams have.
#[derive(Clone)]
pub(crate) struct Requests(Arc<Asking>);

struct Asking(Arc<Shared>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.with(Streams::abandon);
    }
}

impl Requests {
    pub(super) fn new(settings: Settings) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared::new(settings));
        (Self(Arc::new(Asking(shared.clone()))), shared)
    }

    /// Writes a request down, as soon as the peer allows one more. Unless it `ended` with its head, it leaves with the
    /// first of its body, or when it is told to.
    pub(crate) async fn open(
        self,
        head: &request::Parts,
        ended: bool,
    ) -> Result<(Option<Sending>, Receiving), Unopened> {
        let Self(asking) = self;
        let shared = asking.0.clone();
        let slot = shared.slots.acquire().await.map_err(|_| Unopened::Closed)?;
        // From here on the stream keeps the connection.
        let id = shared.with(|streams| {
            let id = streams.open(head, ended)?;
            slot.forget();
            Ok(id)
        })?;
        drop(asking);
        let sending = (!ended).then(|| Sending::new(shared.clone(), id));
        Ok((sending, Receiving::new(shared.clone(), id)))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.0.with(|streams| streams.is_closing())
    }
}
