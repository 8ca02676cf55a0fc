//! A server of nothing but streams.

use std::io;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::Engine;
use crate::router::{RouterOptions, router};

/// How long the end waits for those who are served.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves an engine's streams until `stop` is ready, or the engine stops, which is an error.
///
/// Whoever still reads live when it is to end is cut off; appends under way are finished.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: RouterOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (ending, mut ends) = tokio::sync::watch::channel(false);
    let router = router(engine.clone(), RouterOptions { ending: Some(ends.clone()), ..options });
    // An append's answer must not wait for the next one.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        // The sender lives as long as this does.
        let _ = ends.wait_for(|is_ending| *is_ending).await;
    });
    let served = async { served.await };
    tokio::pin!(served);
    tokio::select! {
        done = &mut served => return done,
        stopped = engine.stopped() => return Err(io::Error::other(stopped)),
        () = stop => {}
    }
    ending.send_replace(true);
    // A reader whose connection takes nothing is not waited for.
    tokio::time::timeout(PATIENCE, served).await.unwrap_or(Ok(()))
}
