//! Which link reaches whom: the newest connection under each key.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::link::Link;

/// Tells one connection under a key from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

/// The newest link under each key.
///
/// A connection that ends takes only itself out, by its generation: when the
/// end of an old one is noticed after its successor came, the successor stays.
pub struct Links<K> {
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    last: u64,
    links: HashMap<K, (Generation, Link)>,
}

impl<K> Default for Links<K> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { last: 0, links: HashMap::new() }) }
    }
}

impl<K: Eq + Hash> Links<K> {
    /// Puts `link` under `key` and returns its generation and the link it replaced.
    ///
    /// Closing the replaced one is left to the caller.
    pub fn insert(&self, key: K, link: Link) -> (Generation, Option<Link>) {
        let mut inner = self.lock();
        inner.last += 1;
        let generation = Generation(inner.last);
        let replaced = inner.links.insert(key, (generation, link));
        (generation, replaced.map(|(_, link)| link))
    }

    /// Returns the newest link under `key`.
    pub fn get(&self, key: &K) -> Option<Link> {
        self.lock().links.get(key).map(|(_, link)| link.clone())
    }

    /// Returns the generation of the newest link under `key`.
    pub fn generation(&self, key: &K) -> Option<Generation> {
        self.lock().links.get(key).map(|(generation, _)| *generation)
    }

    /// Takes out the link under `key` if it is still the one of `generation`.
    pub fn remove_if(&self, key: &K, generation: Generation) -> bool {
        let mut inner = self.lock();
        let current = matches!(inner.links.get(key), Some((newest, _)) if *newest == generation);
        if current {
            inner.links.remove(key);
        }
        current
    }

    /// Returns how many keys have a link.
    pub fn len(&self) -> usize {
        self.lock().links.len()
    }

    /// Returns whether no key has a link.
    pub fn is_empty(&self) -> bool {
        self.lock().links.is_empty()
    }

    /// Returns the keys that have a link, in no order.
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.lock().links.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        // Nothing inside can be half done: a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> fmt::Debug for Links<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("len", &self.len()).finish_non_exhaustive()
    }
}
