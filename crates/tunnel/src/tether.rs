//! The tasks of one connection, which end with it.
//!
//! hyper spawns the connection and every body onto an executor and forgets
//! them. This executor keeps hold, so that closing a tunnel closes its socket
//! at once and no task outlives it.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tether {
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Tether {
    /// Tells every task to stop.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Cuts the tether when the returned guard goes.
    pub(crate) fn guard(&self) -> DropGuard {
        self.cut.clone().drop_guard()
    }

    /// Waits until the tether is cut.
    pub(crate) async fn severed(&self) {
        self.cut.cancelled().await;
    }

    /// Waits until every task has ended by itself, or was told to and did.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F> Executor<F> for Tether
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let cut = self.cut.clone();
        // Boxed, because a future that is handed on lies in each hand it went through, for as long as it runs.
        let task = Box::pin(task);
        self.tasks.spawn(async move {
            cut.run_until_cancelled(task).await;
        });
    }
}
