//! Wakes that come from other threads, gathered.
//!
//! A runtime of one thread is told of each task that another thread wakes by a call of the system, so an append with 500
//! readers would be as many. Here the first one tells it, and what follows until it has looked is added to a list. What a
//! newcomer would get wrong: what is woken on the thread itself must not wait for that; it is woken at once.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

thread_local! {
    /// Whose thread it is.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Those of one thread.
pub(crate) struct Wakes {
    id: usize,
    waiting: Mutex<Vec<Waker>>,
    /// Wakes whoever passes them on.
    first: AtomicWaker,
}

impl Wakes {
    /// Gathers those of the thread that calls this.
    pub fn here() -> Arc<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        HERE.set(id);
        Arc::new(Self { id, waiting: Mutex::default(), first: AtomicWaker::new() })
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes them on, for as long as it is waited for.
    pub async fn pass_on(&self) -> Infallible {
        // Both lists keep their room, for a crowd comes back.
        let mut now = Vec::new();
        poll_fn(|context| {
            self.first.register(context.waker());
            std::mem::swap(&mut now, &mut *self.waiting());
            now.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }

    /// Returns a future that does as the given one, but whose wakes are gathered.
    pub fn gather<F: Future>(self: &Arc<Self>, future: F) -> impl Future<Output = F::Output> + use<F> {
        let (wakes, mut known) = (self.clone(), None::<(Waker, Waker)>);
        // In a box: an async function that is given a future has room for it twice.
        let mut future = Box::pin(future);
        poll_fn(move |context| {
            let (_, gathered) = match known.take() {
                Some((task, gathered)) if context.waker().will_wake(&task) => known.insert((task, gathered)),
                _ => {
                    let task = context.waker().clone();
                    let gathered = Arc::new(Gathered { wakes: wakes.clone(), task: task.clone() });
                    known.insert((task, Waker::from(gathered)))
                }
            };
            future.as_mut().poll(&mut Context::from_waker(gathered))
        })
    }
}

struct Gathered {
    wakes: Arc<Wakes>,
    task: Waker,
}

impl Wake for Gathered {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HERE.get() == self.wakes.id {
            return self.task.wake_by_ref();
        }
        let is_first = {
            let mut waiting = self.wakes.waiting();
            waiting.push(self.task.clone());
            waiting.len() == 1
        };
        if is_first {
            self.wakes.first.wake();
        }
    }
}
