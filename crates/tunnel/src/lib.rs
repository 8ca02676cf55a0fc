//! Both ends of the reverse HTTP/2 connection.
//!
//! A daemon behind any firewall [dials](dial()) the server with one HTTP/1.1
//! `Upgrade` request, or a WebSocket where nothing else gets through. Then the roles flip: over that byte stream the daemon
//! [serves](Conn::serve) an axum `Router` by HTTP/2, and the server is the
//! client, holding a [`Link`] to send requests down.
//!
//! What a newcomer would get wrong:
//! - The connection may die at any moment, and whatever it carried dies with
//!   it: a handler on the daemon is dropped mid-way. Work which must finish
//!   belongs in a task of the daemon, not in a handler.
//! - A peer that froze closes nothing. Only silence shows it, so both ends give
//!   up when they hear no byte for [`Settings::patience`].
//! - `TCP_NODELAY` is set on both ends. Without it window updates wait for
//!   delayed acknowledgements and a download takes fifteen times as long.
//! - Readers that stall hold the connection's receive window; see
//!   [`Settings::connection_window`].

mod conn;
pub mod dial;
mod exchange;
mod form;
mod forward;
mod http2;
mod link;
mod links;
pub mod listen;
mod settings;
mod stream;
mod tether;
mod upgrade;
mod watch;
mod websocket;

pub use conn::{Conn, Ended, ServeError};
pub use dial::{Dial, DialError, Proxies, Proxy, dial};
pub use form::Form;
pub use forward::{BadPath, for_peer};
pub use http2::{Http2Error, Reason};
pub use link::{Closed, ConnectError, Driver, Link, LinkError};
pub use links::{Generation, Links};
pub use listen::Listener;
pub use settings::Settings;
pub use stream::{BoxedStream, Stream};
pub use upgrade::{NotAnUpgrade, Pending, upgrade};

/// The name of the tunnel's protocol in the `Upgrade` header.
pub const PROTOCOL: &str = "chatroom-tunnel/1";
