//! Networks as they are: own authorities, proxies, computers that freeze, servers that restart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chatroom_testkit::connect_proxy::{ConnectProxy, Rules};
use chatroom_testkit::world::{PASSWORD, World};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{joined, stop};
use crate::desk::{Desk, PATIENCE, until};

/// The name the server has beyond the proxy; nobody else knows it.
const NAME: &str = "server.example";

/// Authorities and a server's certificate, as files.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let papers = Self { folder: tempfile::tempdir().expect("a folder") };
        let authority = authority("Ours");
        papers.write("authority.pem", &authority.pem());
        papers.write("another.pem", &self::authority("Another").pem());
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new([NAME.to_owned()]).expect("a name").signed_by(&key, &authority);
        papers.write("server.pem", &server.expect("a certificate").pem());
        papers.write("server.key", &key.serialize_pem());
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A server that speaks TLS by a name only a proxy can reach, and a person there.
struct Beyond {
    world: World,
    papers: Papers,
    url: String,
    port: u16,
    browser: reqwest::Client,
    cookie: String,
}

impl Beyond {
    async fn start() -> Self {
        let papers = Papers::new();
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let url = format!("https://{NAME}:{port}");
        let world = World::start_with(chatroom_server::config::Flags {
            port: Some(port),
            public_url: Some(url.clone()),
            tls_cert: Some(papers.path("server.pem")),
            tls_key: Some(papers.path("server.key")),
            open_sign_up: Some(true),
            ..Default::default()
        })
        .await;
        let trusted = std::fs::read(papers.path("authority.pem")).expect("the authority");
        let trusted = reqwest::Certificate::from_pem(&trusted).expect("a certificate");
        let browser = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([trusted])
            .resolve(NAME, SocketAddr::from(([127, 0, 0, 1], port)))
            .timeout(PATIENCE)
            .build()
            .expect("a browser");
        let mut beyond = Self { world, papers, url, port, browser, cookie: String::new() };
        let code = beyond.world.running().sign_up_secret().await.expect("a look for the first account");
        let account = json!({ "email": "ada@example.org", "name": "ada", "password": PASSWORD, "code": code });
        let signed_up = beyond.post("/api/auth/sign-up", &account).await;
        let cookie = signed_up.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
        cookie.split(';').next().unwrap_or_default().clone_into(&mut beyond.cookie);
        beyond
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.browser.post(format!("{}{path}", self.url)).header("origin", &self.url).json(body);
        let answer = request.header("cookie", &self.cookie).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer
    }

    /// Returns the line by which a computer joins.
    async fn join(&self) -> String {
        let code: Value = self.post("/api/enrolments", &json!({})).await.json().await.expect("a code");
        format!("machine join --url {} {}", self.url, code["code"].as_str().expect("a code"))
    }

    async fn proxy(&self, rules: Rules) -> ConnectProxy {
        ConnectProxy::start(SocketAddr::from(([127, 0, 0, 1], self.port)), rules).await
    }
}

fn trusting(desk: Desk, authority: &Path) -> Desk {
    desk.with("SSL_CERT_FILE", authority.to_str().expect("a path"))
}

#[tokio::test]
async fn an_own_authority_and_a_proxy_are_named_once_for_verbs_and_daemon() {
    let beyond = Beyond::start().await;
    let proxy = beyond.proxy(Rules { login: Some("Basic dXNlcjpzZWNyZXQ="), ..Rules::default() }).await;
    let through = format!("http://user:secret@{}", proxy.address);
    let desk = trusting(Desk::new().with("HTTPS_PROXY", &through), &beyond.papers.path("another.pem"));

    let line = beyond.join().await;
    let refused = desk.run(&line).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("SSL_CERT_FILE"), "{}", refused.all());

    let desk = trusting(desk, &beyond.papers.path("authority.pem"));
    desk.run(&line).await.exits(0);
    let started = desk.run("machine daemon start").await.exits(0);
    assert!(started.out.contains("is connected"), "{}", started.all());
    let way = format!("CONNECT {NAME}:{} HTTP/1.1", beyond.port);
    let asked = proxy.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|asked| *asked == way), "{asked:?}");
    stop(&desk).await;

    let desk = trusting(desk, &beyond.papers.path("another.pem"));
    let started = desk.run("machine daemon start").await.exits(0);
    for part in ["waits", "the certificate of server.example is not trusted here", "SSL_CERT_FILE"] {
        assert!(started.out.contains(part), "{part}: {}", started.all());
    }
    stop(&desk).await;

    let through = format!("http://user:mistaken@{}", proxy.address);
    let desk = desk.with("HTTPS_PROXY", &through);
    let started = desk.run("machine daemon start").await.exits(0);
    for part in ["waits", &format!("the proxy http://{} does not let this through", proxy.address), "(status 407)"] {
        assert!(started.out.contains(part), "{part}: {}", started.all());
    }
    assert!(!started.out.contains("mistaken"), "{}", started.all());
    stop(&desk).await;
    beyond.world.stop().await;
}

#[tokio::test]
async fn a_computer_that_freezes_is_offline_within_25_seconds_and_comes_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let running = desk.start("machine daemon start --foreground");
    let machine = async || ada.get("/api/machines").await.body["machines"][0].clone();
    until("it is online", async || machine().await["daemonConnected"] == true).await;
    running.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    until("it is offline", async || machine().await["daemonConnected"] == false).await;
    let took = begun.elapsed();
    let seen = machine().await["lastSeenAt"].clone();
    assert!(took < Duration::from_secs(25), "it took {took:?}");
    assert!(seen.is_string() || seen.is_number(), "since when? {seen}");
    running.signal(Signal::SIGCONT);
    until("it is online again", async || machine().await["daemonConnected"] == true).await;
    running.signal(Signal::SIGINT);
    running.ended().await.exits(0);
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again_without_noise() {
    let mut world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    let running = desk.start("machine daemon start --foreground");
    let online = async |world: &World| {
        let machines = ada.get("/api/machines").await.body;
        machines["machines"][0]["daemonConnected"] == true && !world.app().links.is_empty()
    };
    until("it is online", async || online(&world).await).await;
    world.restart().await;
    let begun = Instant::now();
    until("it is online again", async || online(&world).await).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    running.signal(Signal::SIGINT);
    let ended = running.ended().await.exits(0);
    assert_eq!(ended.err.matches("the server is restarting").count(), 1, "{}", ended.all());
    assert!(!ended.err.contains("not connected"), "{}", ended.all());
}

/// The open TCP connections of a process: its own descriptors of them, and what they connect.
#[cfg(target_os = "linux")]
fn connections(pid: i32) -> Vec<(std::os::fd::OwnedFd, SocketAddr, SocketAddr)> {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let process = Pid::from_raw(pid).expect("a process id");
    let process = pidfd_open(process, PidfdFlags::empty()).expect("the process lives");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").flatten() {
        let number = entry.file_name().to_string_lossy().parse().expect("a number");
        // One that is no socket, or closed by now.
        let Ok(fd) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let (near, far) = (rustix::net::getsockname(&fd), rustix::net::getpeername(&fd));
        if let (Ok(near), Ok(Some(far))) = (near, far)
            && let (Ok(near), Ok(far)) = (SocketAddr::try_from(near), SocketAddr::try_from(far))
        {
            found.push((fd, near, far));
        }
    }
    found
}

/// Nagle's algorithm holds small writes back for 40 ms: it is off on whatever server and daemon accepted or dialled.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_connection_holds_small_writes_back() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = joined(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    let port = url::Url::parse(&world.url()).expect("a URL").port().expect("a port");
    // A page that stays open, beside the tunnel.
    let page = ada.follow("/api/events").await;
    let daemon = desk.file("daemon.pid")["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let own = i32::try_from(std::process::id()).expect("a pid");
    let dialled = connections(daemon);
    let mut accepted = connections(own);
    // Other tests have servers of their own in this process.
    accepted.retain(|(_, near, _)| near.port() == port);
    assert!(dialled.iter().any(|(_, _, far)| far.port() == port), "{dialled:?}");
    assert!(accepted.len() >= 2, "{accepted:?}");
    for (fd, near, far) in dialled.iter().chain(&accepted) {
        assert!(rustix::net::sockopt::tcp_nodelay(fd).expect("the option"), "{near} to {far}");
    }
    drop(page);
    stop(&desk).await;
}
