//! What the server asks of the connection itself.

use http::HeaderValue;
use tokio::sync::mpsc;

/// How many may wait; the connection takes them at once.
const WAITING: usize = 8;

/// Something to do about the connection.
#[derive(Debug)]
pub enum Order {
    /// It is about to end, and another can be had right away or soon.
    Reconnect,
    /// Open one more, for what is big or slow.
    Open {
        /// By which the server knows it again.
        ticket: HeaderValue,
    },
}

/// Takes orders to whoever keeps the connection.
#[derive(Clone, Debug)]
pub struct Orders(mpsc::Sender<Order>);

impl Orders {
    /// Returns a way for orders and its end.
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (give, taken) = mpsc::channel(WAITING);
        (Self(give), taken)
    }

    /// Gives an order. Returns whether there was room.
    pub fn give(&self, order: Order) -> bool {
        self.0.try_send(order).is_ok()
    }
}
