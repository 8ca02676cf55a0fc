//! The one place that opens a socket to somebody.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::select_ok;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;
use url::{Host, Url};

/// How long one address of a name is tried before the next joins in.
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that answers.
pub(super) async fn connect(url: &Url) -> io::Result<TcpStream> {
    let attempts: Vec<_> = resolve(url)
        .await?
        .into_iter()
        .zip(0..)
        .map(|(address, turn)| {
            Box::pin(async move {
                sleep(STAGGER * turn).await;
                TcpStream::connect(address).await
            })
        })
        .collect();
    if attempts.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let (tcp, _) = select_ok(attempts).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    let ips = match url.host() {
        // Not every resolver knows that names below `localhost` are this computer.
        Some(Host::Domain(_)) if is_loopback(url) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Some(Host::Domain(name)) => return Ok(lookup_host((name, port)).await?.collect()),
        Some(Host::Ipv4(ip)) => vec![ip.into()],
        Some(Host::Ipv6(ip)) => vec![ip.into()],
        None => vec![],
    };
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Returns whether an address is on this computer.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dialled_socket_sends_small_writes_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "chatroom.localhost"] {
            let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
            let socket = connect(&url).await.unwrap();
            assert!(socket.nodelay().unwrap(), "{host}");
        }
    }
}
