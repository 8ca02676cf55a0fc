//! A stretch of network that can freeze, can be cut, or loses patience.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    Frozen,
    Cut,
}

/// Carries one connection to an address.
pub struct Proxy {
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Self {
        Self::patient(to, Duration::from_hours(1)).await
    }

    /// Carries a connection until nothing has come either way for this long.
    pub async fn patient(to: SocketAddr, patience: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Fair);
        tokio::spawn(async move {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            let mut ways = JoinSet::new();
            let (carried, mut sign) = watch::channel(());
            ways.spawn(carry(near_in, far_out, seen.clone(), carried.clone()));
            ways.spawn(carry(far_in, near_out, seen, carried));
            // Either way ended ends both, and so does silence.
            loop {
                tokio::select! {
                    _ = ways.join_next() => return,
                    heard = tokio::time::timeout(patience, sign.changed()) => if heard.is_err() {
                        return;
                    },
                }
            }
        });
        Self { address, weather }
    }

    /// Carries nothing any more, and says so to nobody.
    pub fn freeze(&self) {
        self.weather.send_replace(Weather::Frozen);
    }

    /// Carries on, and what waited first.
    pub fn thaw(&self) {
        self.weather.send_replace(Weather::Fair);
    }

    /// Drops the connection.
    pub fn cut(&self) {
        self.weather.send_replace(Weather::Cut);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    carried: watch::Sender<()>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let frozen = *weather.borrow_and_update() == Weather::Frozen;
        tokio::select! {
            biased;
            changed = weather.changed() => {
                if changed.is_err() || *weather.borrow() == Weather::Cut {
                    return;
                }
            }
            read = from.read(&mut buffer), if !frozen => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    carried.send_replace(());
                    if to.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}
