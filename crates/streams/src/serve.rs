//! A server of nothing but streams.

use std::io;

use tokio::net::TcpListener;

use crate::Engine;
use crate::lanes::Lanes;
use crate::router::{RouterOptions, Service};

/// Serves an engine's streams until `stop` is ready, or the engine stops, which is an error.
///
/// Connections, of HTTP/1.1 or of HTTP/2 without a greeting, are served on threads that have nothing else to do, so the
/// engine may be one whose [callers write](crate::Options::callers_write): see [`Options::alone`](crate::Options::alone). Whoever still reads live when it is to end is cut off; appends under
/// way are finished.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: RouterOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (ending, ends) = tokio::sync::watch::channel(false);
    let service = Service::of_engine(engine.clone(), RouterOptions { ending: Some(ends.clone()), ..options });
    let lanes = Lanes::start(listener, &service, &ends)?;
    tokio::select! {
        stopped = engine.stopped() => return Err(io::Error::other(stopped)),
        () = stop => {}
    }
    drop(service);
    ending.send_replace(true);
    lanes.end().await;
    Ok(())
}
