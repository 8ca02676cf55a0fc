//! Requests and bytes through each form, in turns, so that whatever else the machine does meets all of them alike.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Tunnel;
use crate::facts;
use crate::figures::{Table, Times, median, millis, progress, say};
use crate::forms::Form;

const PIECE: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// What one form did in all rounds.
#[derive(Default)]
struct Measured {
    one: Vec<(f64, Times)>,
    many: Vec<(f64, Times)>,
    down: Vec<f64>,
    up: Vec<f64>,
}

/// Measures all of it.
pub async fn run(scale: &Tunnel) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    facts::print(folder.path())?;
    let mut ways = Vec::new();
    for form in Form::ALL {
        ways.push((form, form.open().await?, Measured::default()));
    }
    for round in 1..=scale.rounds {
        for (form, address, measured) in &mut ways {
            progress(&format!("round {round} of {}, {}", scale.rounds, form.name()));
            let time = Duration::from_secs(scale.seconds);
            measured.one.push(requests(*address, 1, time).await?);
            measured.many.push(requests(*address, 32, time).await?);
            measured.down.push(down(*address, scale.bulk).await?);
            measured.up.push(up(*address, scale.bulk).await?);
        }
    }
    say(&format!("\n{} rounds in turns, medians; {}.\n", scale.rounds, facts::load()))?;
    print(&ways, scale.bulk)
}

fn print(ways: &[(Form, SocketAddr, Measured)], bulk: usize) -> anyhow::Result<()> {
    let (_, _, proxy) = ways.iter().find(|(form, ..)| *form == Form::Proxy).context("no proxy")?;
    let mut table =
        Table::new(["", "1 connection", "p50", "p99", "32 connections", "p50", "p99", "down", "up", "of the proxy"]);
    for (form, _, measured) in ways {
        let [one, one_50, one_99] = cells(&measured.one);
        let [many, many_50, many_99] = cells(&measured.many);
        let rate = |speeds: &Vec<f64>| format!("{:.0} MB/s", median(speeds.clone()) / 1e6);
        let share = |mine: f64, theirs: f64| format!("{:.2}", mine / theirs);
        let shares = [
            share(per_second(&measured.one), per_second(&proxy.one)),
            share(per_second(&measured.many), per_second(&proxy.many)),
            share(median(measured.down.clone()), median(proxy.down.clone())),
            share(median(measured.up.clone()), median(proxy.up.clone())),
        ];
        let (down, up) = (rate(&measured.down), rate(&measured.up));
        let name = form.name().to_owned();
        table.row([name, one, one_50, one_99, many, many_50, many_99, down, up, shares.join(" · ")]);
    }
    table.print()?;
    Ok(say(&format!(
        "Requests are GET of 4 bytes; down and up are {bulk} MiB in one body. The last column is each figure as a share \
         of the plain proxy's: 1 connection · 32 connections · down · up (goal ≥ 0.8)."
    ))?)
}

fn per_second(rounds: &[(f64, Times)]) -> f64 {
    median(rounds.iter().map(|(rate, _)| *rate).collect())
}

fn cells(rounds: &[(f64, Times)]) -> [String; 3] {
    let at = |share: f64| {
        let times = rounds.iter().map(|(_, times)| times.at(share).as_secs_f64());
        millis(Duration::from_secs_f64(median(times.collect())))
    };
    [format!("{:.0}/s", per_second(rounds)), at(0.5), at(0.99)]
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Body>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let (sender, conn) = handshake(TokioIo::new(tcp)).await?;
    tokio::spawn(conn);
    Ok(sender)
}

fn get(path: &str) -> anyhow::Result<Request<Body>> {
    Ok(Request::get(path).header("host", "bench").body(Body::empty())?)
}

/// Asks over so many connections for a while; returns requests a second and their times.
async fn requests(address: SocketAddr, connections: usize, time: Duration) -> anyhow::Result<(f64, Times)> {
    let mut asking = JoinSet::new();
    let began = Instant::now();
    for _ in 0..connections {
        asking.spawn(async move {
            let mut sender = connect(address).await?;
            let mut times = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                let answer = sender.send_request(get("/small")?).await?;
                let body = answer.into_body().collect().await?.to_bytes();
                anyhow::ensure!(body == "pong", "a wrong answer");
                times.push(asked.elapsed());
            }
            Ok(times)
        });
    }
    let mut all = Vec::new();
    for times in asking.join_all().await {
        all.extend(times?);
    }
    let times = Times::new(all);
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let rate = times.count() as f64 / began.elapsed().as_secs_f64();
    Ok((rate, times))
}

/// Returns how many bytes a second come down in one body.
async fn down(address: SocketAddr, mib: usize) -> anyhow::Result<f64> {
    let mut sender = connect(address).await?;
    let began = Instant::now();
    let mut body = sender.send_request(get(&format!("/large/{mib}"))?).await?.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    anyhow::ensure!(bytes == mib * MIB, "{bytes} bytes came of {mib} MiB");
    Ok(speed(bytes, began))
}

/// Returns how many bytes a second go up in one body.
async fn up(address: SocketAddr, mib: usize) -> anyhow::Result<f64> {
    let mut sender = connect(address).await?;
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = futures_util::stream::iter(0..mib * MIB / PIECE).map(move |_| Ok::<_, Infallible>(piece.clone()));
    let began = Instant::now();
    let request = Request::post("/sink").header("host", "bench").body(Body::from_stream(pieces))?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    anyhow::ensure!(body == (mib * MIB).to_string(), "not all of {mib} MiB came");
    Ok(speed(mib * MIB, began))
}

#[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
fn speed(bytes: usize, began: Instant) -> f64 {
    bytes as f64 / began.elapsed().as_secs_f64()
}
