//! A server of nothing but streams, over real sockets: what a client sees that sends its bytes as it likes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chatroom_streams::router::RouterOptions;
use chatroom_streams::{Engine, Options, serve};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::read_all;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    engine: Engine,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start(options: RouterOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options_of_engine = Options { max_body: 100_000, ..Options::alone() };
        let engine = Engine::start(folder.path(), options_of_engine).expect("an engine");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel::<()>();
        let own = engine.clone();
        let ended = tokio::spawn(async move { serve(listener, own, options, async { drop(stopped.await) }).await });
        let server = Self { engine, address, stop, ended, _folder: folder };
        super::create(&server.engine, "a", "text/plain").await;
        server
    }

    async fn connect(&self) -> Client {
        Client { socket: TcpStream::connect(self.address).await.expect("a connection"), held: Vec::new() }
    }

    async fn end(self) {
        self.stop.send(()).expect("it runs");
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("it ends").expect("without panic").expect("well");
    }
}

struct Client {
    socket: TcpStream,
    held: Vec<u8>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.expect("sent");
    }

    /// Takes what comes up to and including `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8(self.held.clone()).expect("text");
            if let Some(at) = text.find(end) {
                self.held.drain(..at + end.len());
                return text[..at + end.len()].to_owned();
            }
            let mut piece = [0; 1024];
            let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut piece)).await;
            let count = read.unwrap_or_else(|_| panic!("{end:?} does not come after {text:?}")).expect("read");
            assert!(count > 0, "the connection ended before {end:?}, after {text:?}");
            self.held.extend_from_slice(&piece[..count]);
        }
    }

    /// Takes the head of an answer and returns its status.
    async fn status(&mut self) -> u16 {
        let head = self.until("\r\n\r\n").await;
        head[9..12].parse().expect("a status")
    }

    /// Takes everything until the connection ends.
    async fn rest(mut self) -> String {
        let read = tokio::time::timeout(PATIENCE, self.socket.read_to_end(&mut self.held)).await;
        read.expect("the connection ends").expect("read");
        String::from_utf8(self.held).expect("text")
    }
}

fn append(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn requests_are_answered_in_order_however_their_bytes_come() {
    let server = Server::start(RouterOptions::default()).await;
    let mut client = server.connect().await;
    // Three at once, and the third in pieces.
    let third = append("three.");
    let (early, late) = third.split_at(third.len() - 2);
    client.send(&format!("{}{}{}", append("one,"), append("two,"), &early[..30])).await;
    for _ in 0..2 {
        assert_eq!(client.status().await, 204);
    }
    client.send(&early[30..]).await;
    client.send(late).await;
    assert_eq!(client.status().await, 204);
    client.send("GET /v1/stream/a HTTP/1.1\r\nhost: a\r\n\r\nHEAD /v1/stream/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = client.until("one,two,three.").await;
    assert!(answer.contains("content-length: 14\r\n") && answer.contains("\r\ndate: "), "{answer}");
    assert_eq!(client.status().await, 200);
    client.send("GET /v1/stream/none HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    let last = client.rest().await;
    assert!(last.starts_with("HTTP/1.1 404 ") && last.contains("connection: close\r\n"), "{last}");
    server.end().await;
}

#[tokio::test]
async fn a_body_may_come_in_chunks_and_when_it_is_asked_for() {
    let server = Server::start(RouterOptions::default()).await;
    let mut client = server.connect().await;
    let head = "POST /v1/stream/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\n";
    client.send(&format!("{head}transfer-encoding: chunked\r\n\r\n4\r\none,\r\n")).await;
    client.send("4\r\ntwo,\r\n0\r\n\r\n").await;
    assert_eq!(client.status().await, 204);
    client.send(&format!("{head}expect: 100-continue\r\ncontent-length: 6\r\n\r\n")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("three.").await;
    assert_eq!(client.status().await, 204);
    assert_eq!(read_all(&server.engine, "a"), b"one,two,three.");
    server.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_ends_the_connection() {
    let server = Server::start(RouterOptions::default()).await;
    let much = "x".repeat(100_001);
    let chunked = "POST /v1/stream/a HTTP/1.1\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    for (sent, expected) in [
        ("this is no request\r\n\r\n".to_owned(), "HTTP/1.1 400 "),
        (append(&much), "HTTP/1.1 413 "),
        (format!("{chunked}186a1\r\n{much}\r\n0\r\n\r\n"), "HTTP/1.1 413 "),
        (format!("{chunked}five\r\nhello\r\n0\r\n\r\n"), "HTTP/1.1 400 "),
        (format!("GET /v1/stream/a HTTP/1.1\r\na: {much}\r\n\r\n"), "HTTP/1.1 431 "),
        (format!("GET /v1/stream/a HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101)), "HTTP/1.1 431 "),
    ] {
        let mut client = server.connect().await;
        client.send(&sent).await;
        client.socket.shutdown().await.expect("sent");
        let answer = client.rest().await;
        assert!(answer.starts_with(expected), "{answer} to {}", &sent[..60.min(sent.len())]);
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(read_all(&server.engine, "a"), b"");
    server.end().await;
}

#[tokio::test]
async fn a_request_that_is_never_whole_is_not_waited_for() {
    let patience = Duration::from_millis(300);
    let server = Server::start(RouterOptions { patience, ..RouterOptions::default() }).await;
    let head = "POST /v1/stream/a HTTP/1.1\r\ncontent-type: text/plain\r\n";
    for begun in [
        "P".to_owned(),
        head.to_owned(),
        format!("{head}content-length: 5\r\n\r\nfour"),
        format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nfour"),
    ] {
        let mut client = server.connect().await;
        client.send(&append("whole.")).await;
        assert_eq!(client.status().await, 204);
        // Nothing hurries a connection on which nothing has begun.
        tokio::time::sleep(patience * 2).await;
        client.send(&begun).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer} to {begun}");
    }
    assert_eq!(read_all(&server.engine, "a"), b"whole.".repeat(4));
    // A body that takes its time, but comes on, is read.
    let mut client = server.connect().await;
    client.send(&format!("{head}content-length: 8\r\n\r\n")).await;
    for _ in 0..8 {
        tokio::time::sleep(patience / 3).await;
        client.send("x").await;
    }
    assert_eq!(client.status().await, 204);
    server.end().await;
}

#[tokio::test]
async fn an_old_client_is_answered_as_it_understands() {
    let server = Server::start(RouterOptions { live: Duration::from_millis(300), ..RouterOptions::default() }).await;
    let mut client = server.connect().await;
    client.send("GET /v1/stream/a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.contains("connection: keep-alive\r\n"));
    client.send("GET /v1/stream/a?offset=now&live=sse HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
    // The end of the connection is that of the answer.
    let events = client.rest().await;
    assert!(!events.contains("transfer-encoding") && events.ends_with("\"upToDate\":true}\n\n"), "{events}");
    server.end().await;
}

#[tokio::test]
async fn whoever_follows_has_it_at_once_and_may_ask_again_when_it_ends() {
    let server = Server::start(RouterOptions { live: Duration::from_millis(700), ..RouterOptions::default() }).await;
    let mut readers = Vec::new();
    for _ in 0..40 {
        let mut reader = server.connect().await;
        reader.send("GET /v1/stream/a?offset=now&live=sse HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(reader.status().await, 200);
        reader.until("\"upToDate\":true}\n\n\r\n").await;
        readers.push(reader);
    }
    let mut writer = server.connect().await;
    for message in ["one", "two"] {
        writer.send(&append(message)).await;
        assert_eq!(writer.status().await, 204);
        for reader in &mut readers {
            let event = reader.until("\"upToDate\":true}\n\n\r\n").await;
            let (size, event) = event.split_once("\r\n").expect("a chunk");
            assert_eq!(usize::from_str_radix(size, 16), Ok(event.len() - 2));
            assert!(event.starts_with(&format!("event: data\ndata:{message}\n\n")), "{event}");
        }
    }
    let mut reader = readers.pop().expect("a reader");
    reader.until("0\r\n\r\n").await;
    reader.send("GET /v1/stream/a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reader.status().await, 200);
    reader.until("onetwo").await;
    server.end().await;
}

#[tokio::test]
async fn a_large_page_and_a_slow_reader_get_every_byte() {
    let server = Server::start(RouterOptions::default()).await;
    let piece = "0123456789".repeat(9_000);
    let mut reader = server.connect().await;
    reader.send("GET /v1/stream/a?offset=now&live=sse HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reader.until("\"upToDate\":true}\n\n\r\n").await;
    let mut writer = server.connect().await;
    for _ in 0..60 {
        writer.send(&append(&piece)).await;
        assert_eq!(writer.status().await, 204);
    }
    writer.send("GET /v1/stream/a?offset=-1 HTTP/1.1\r\nhost: a\r\n\r\nDELETE /v1/stream/b HTTP/1.1\r\n\r\n").await;
    let head = writer.until("\r\n\r\n").await;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length").parse::<usize>();
    let mut body = String::new();
    while !body.ends_with("HTTP/1.1 404") {
        body += &writer.until("HTTP/1.1 404").await;
    }
    let body = body.strip_suffix("HTTP/1.1 404").expect("the next answer");
    assert_eq!(length, Ok(body.len()));
    assert!(body.len() >= 1 << 20 && piece.repeat(60).starts_with(body));
    // The reader begins only now.
    let mut read = 0;
    while read < 60 * piece.len() {
        let line = reader.until("\n").await;
        let data = line.trim_end().strip_prefix("data:").filter(|data| !data.starts_with('{'));
        read += data.map_or(0, str::len);
    }
    assert_eq!(read, 60 * piece.len());
    server.end().await;
}

#[tokio::test]
async fn a_client_may_speak_http2_from_the_first_byte() {
    let server = Server::start(RouterOptions::default()).await;
    let socket = TokioIo::new(TcpStream::connect(server.address).await.expect("a connection"));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.expect("a handshake");
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/v1/stream/a", server.address))
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::from("one")))
        .expect("a request");
    assert_eq!(sender.send_request(request).await.expect("an answer").status(), 204);
    let request = http::Request::get(format!("http://{}/v1/stream/a", server.address));
    let answer = sender.send_request(request.body(Full::default()).expect("a request")).await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "one");
    drop(sender);
    let _ = connection.await.expect("no panic");
    server.end().await;
}

#[tokio::test]
async fn at_the_end_whoever_waits_is_let_go_and_idle_connections_close() {
    let server = Server::start(RouterOptions::default()).await;
    let mut reader = server.connect().await;
    reader.send("GET /v1/stream/a?offset=now&live=sse HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reader.until("\"upToDate\":true}\n\n\r\n").await;
    let mut poller = server.connect().await;
    // Both in one piece: once the first is answered, the second was read, too.
    let first = "HEAD /v1/stream/a HTTP/1.1\r\nhost: a\r\n\r\n";
    let second = "GET /v1/stream/a?offset=now&live=long-poll HTTP/1.1\r\nhost: a\r\n\r\n";
    poller.send(&format!("{first}{second}")).await;
    assert_eq!(poller.status().await, 200);
    let mut idle = server.connect().await;
    idle.send(&append("")).await;
    assert_eq!(idle.status().await, 400);
    server.end().await;
    assert_eq!(reader.rest().await, "0\r\n\r\n");
    let last = poller.rest().await;
    assert!(last.starts_with("HTTP/1.1 204 ") && last.contains("connection: close\r\n"), "{last}");
    assert!(!idle.rest().await.contains("HTTP"));
}
