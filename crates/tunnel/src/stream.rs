//! The byte stream under a tunnel, whatever carried it here.

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream a tunnel can run over: an upgraded connection, or a pipe.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A byte stream of any kind.
pub type BoxedStream = Box<dyn Stream>;
