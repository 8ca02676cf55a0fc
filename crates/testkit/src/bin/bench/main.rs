//! What `cargo xtask bench` runs: it measures the product as people run it, beside what the machine itself can do.
//!
//! Everything is driven from outside: the release program as server and daemons, tunnel clients that speak the
//! real wire, users with their own credentials. Load comes by the clock whether or not the last answer is there,
//! and each time counts from when a request was due, so that a server that stalls cannot hide it.

mod clock;
mod commands;
mod daemons;
mod dispatch;
mod facts;
mod figures;
mod forms;
mod quiet;
mod seed;
mod server;
mod storm;
mod streams;
mod transcripts;
mod tunnel;
mod tunnels;
mod waiters;
mod web;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "bench", about = "Measures the product")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One server, many machines: how soon commands and messages arrive, and what it costs
    Dispatch(Dispatch),
    /// Requests through a tunnel, beside a plain reverse proxy
    Tunnel(Tunnel),
    /// Durable streams, beside the server of the protocol's authors
    Streams(Streams),
    /// A long transcript: its end, one line of it, a hit in it
    Transcripts(Transcripts),
    /// The web app in a real browser: how soon pages and lines are there, and what long ones cost
    Web(Web),
    /// Many machines in one process; `dispatch` starts it
    #[command(hide = true)]
    Machines(tunnels::Machines),
}

/// How large a run is.
#[derive(Debug, Clone, Args)]
struct Dispatch {
    /// The `chatroom` program to measure
    #[arg(long)]
    program: PathBuf,
    /// Machines in one process beside the real daemons
    #[arg(long, default_value_t = 1000)]
    tunnels: usize,
    /// Machines in all when the server is restarted under them; 0 leaves that out
    #[arg(long, default_value_t = 10_000)]
    storm: usize,
    /// Real daemons
    #[arg(long, default_value_t = 20)]
    daemons: usize,
    /// Commands a second
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long commands are sent
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// People who wait for a task at once
    #[arg(long, default_value_t = 1000)]
    waiters: usize,
    /// How long daemons are watched doing nothing; 0 leaves that out
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Only on this database
    #[arg(long)]
    database: Option<DatabaseKind>,
    /// A small run, to see that everything works: its figures mean little
    #[arg(long)]
    quick: bool,
}

/// Where the server keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DatabaseKind {
    /// Embedded
    Sqlite,
    /// A cluster of its own, durable as in production
    Postgres,
}

/// How large a run is.
#[derive(Debug, Clone, Args)]
struct Transcripts {
    /// The `chatroom` program to measure
    #[arg(long)]
    program: PathBuf,
    /// How long the transcript is, in million bytes
    #[arg(long, default_value_t = 101)]
    megabytes: u64,
    /// How often each is measured
    #[arg(long, default_value_t = 100)]
    times: usize,
}

/// How large a run is.
#[derive(Debug, Clone, Args)]
struct Tunnel {
    /// How long each way is measured in each round
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// How often everything is measured, in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How much goes each way, in MiB
    #[arg(long, default_value_t = 1024)]
    bulk: usize,
    /// A small run, to see that everything works: its figures mean little
    #[arg(long)]
    quick: bool,
}

/// How large a run is.
#[derive(Debug, Clone, Args)]
struct Streams {
    /// The `chatroom` program to measure
    #[arg(long)]
    program: PathBuf,
    /// The `durable-streams-server` to measure beside it
    #[arg(long)]
    opponent: PathBuf,
    /// How long each load is kept up in each round
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often everything is measured, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many follow one stream at once
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// How much is caught up with, in MiB
    #[arg(long, default_value_t = 64)]
    bulk: usize,
    /// A small run, to see that everything works: its figures mean little
    #[arg(long)]
    quick: bool,
}

/// How large a run is.
#[derive(Debug, Clone, Args)]
struct Web {
    /// The `chatroom` program to measure
    #[arg(long)]
    program: PathBuf,
    /// How often each page is opened
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Lines an agent writes while its page is open
    #[arg(long, default_value_t = 200)]
    lines: u32,
    /// Events of the long transcript
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Screens of it that are scrolled through
    #[arg(long, default_value_t = 100)]
    screens: u32,
    /// Machines of one person
    #[arg(long, default_value_t = 1000)]
    machines: usize,
    /// Rooms of one person
    #[arg(long, default_value_t = 1000)]
    rooms: usize,
    /// A small run, to see that everything works: its figures mean little
    #[arg(long)]
    quick: bool,
}

fn main() -> anyhow::Result<()> {
    // Whoever comes second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    facts::raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match Arguments::parse().what {
            What::Dispatch(scale) => dispatch::run(scale.settled()).await,
            What::Tunnel(scale) => tunnel::run(&scale.settled()).await,
            What::Streams(scale) => streams::run(&scale.settled()).await,
            What::Transcripts(scale) => transcripts::run(scale).await,
            What::Web(scale) => web::run(scale.settled()).await,
            What::Machines(machines) => tunnels::run(machines).await,
        }
    })
}

impl Dispatch {
    fn settled(self) -> Self {
        if !self.quick {
            return self;
        }
        Self {
            tunnels: self.tunnels.min(100),
            storm: self.storm.min(300),
            daemons: self.daemons.min(2),
            seconds: self.seconds.min(5),
            waiters: self.waiters.min(100),
            idle: self.idle.min(5),
            ..self
        }
    }
}

impl Tunnel {
    fn settled(self) -> Self {
        if self.quick { Self { seconds: 1, rounds: 1, bulk: self.bulk.min(64), ..self } } else { self }
    }
}

impl Streams {
    fn settled(self) -> Self {
        if self.quick {
            Self { seconds: 1, rounds: 1, readers: self.readers.min(50), bulk: self.bulk.min(8), ..self }
        } else {
            self
        }
    }
}

impl Web {
    fn settled(self) -> Self {
        if !self.quick {
            return self;
        }
        Self {
            times: self.times.min(2),
            lines: self.lines.min(20),
            events: self.events.min(5000),
            screens: self.screens.min(10),
            machines: self.machines.min(100),
            rooms: self.rooms.min(100),
            ..self
        }
    }
}
