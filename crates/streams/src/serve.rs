//! A server of nothing but streams.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::Engine;
use crate::lanes::Lanes;
use crate::router::{RouterOptions, Service};

/// How long nobody is let in when there is no room for another connection.
const REST: Duration = Duration::from_millis(200);

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
    let mut lanes = Lanes::start(&service, &ends)?;
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => lanes.take(connection),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        stopped = engine.stopped() => return Err(io::Error::other(stopped)),
        () = stop => {}
    }
    drop(service);
    ending.send_replace(true);
    lanes.end().await;
    Ok(())
}
