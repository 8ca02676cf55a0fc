//! The thread that hashes passwords, and does nothing else.
//!
//! Each hash fills 19 MB, which its thread keeps for the next. One thread keeps it once, and the many that wait for
//! files keep none; a hash takes some 30 ms, so it answers thirty people a second.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use crate::error::Error;

type Job = Box<dyn FnOnce() + Send>;

/// Hashes, in the order asked. Its thread ends with it.
#[derive(Debug)]
pub struct Hashing(mpsc::Sender<Job>);

impl Default for Hashing {
    fn default() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let work = move || {
            for job in queue {
                // Whoever asked hears that it came to nothing; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        if let Err(error) = thread::Builder::new().name("passwords".into()).spawn(work) {
            tracing::error!(%error, "the thread for passwords could not be started");
        }
        Self(jobs)
    }
}

impl Hashing {
    /// Does something slow on that thread. Whoever no longer waits for it when its turn comes is passed over.
    pub async fn slowly<T: Send + 'static>(&self, slow: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let job = move || {
            if !reply.is_closed() {
                // It may have gone meanwhile.
                let _ = reply.send(slow());
            }
        };
        let broken = || Error::Internal("no thread hashes passwords".into());
        self.0.send(Box::new(job)).map_err(|_| broken())?;
        answer.await.map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn however_many_ask_one_thread_answers_them_all() {
        let hashing = Arc::new(Hashing::default());
        let asked = (0..40).map(|number| {
            let hashing = Arc::clone(&hashing);
            tokio::spawn(async move { hashing.slowly(move || (number, thread::current().id())).await.unwrap() })
        });
        let mut threads = HashSet::new();
        for (expected, asked) in asked.collect::<Vec<_>>().into_iter().enumerate() {
            let (number, thread) = asked.await.unwrap();
            assert_eq!(number, expected);
            threads.insert(thread);
        }
        assert_eq!(threads.len(), 1);
    }
}
