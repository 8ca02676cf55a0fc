//! One server with many machines, from the first to ten thousand, on each database.

use std::time::{Duration, Instant};

use chatroom_testkit::postgres::Cluster;
use chatroom_testkit::world::PASSWORD;
use serde_json::json;

use crate::commands;
use crate::daemons::{Crowd, Homes};
use crate::facts::{self, Memory};
use crate::figures::{Table, Times, millis, progress, say};
use crate::forms;
use crate::quiet;
use crate::seed::{Seeded, Wish, seed};
use crate::server::{Place, Server, free_port, until_tunnels};
use crate::storm;
use crate::waiters;
use crate::{DatabaseKind, Dispatch};

/// How often something is synced, one after another, until a command is `received`: on the server, on its machine, and on
/// the server again.
const SYNCS: u32 = 3;
/// How many people share the machines.
const PEOPLE: usize = 10;
/// How many of the people who wait get a message.
const MESSAGES: usize = 300;
/// Sign-ins with a password before memory is looked at.
const SIGN_INS: usize = 20;

/// Measures all of it.
pub async fn run(scale: Dispatch) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    facts::print(folder.path())?;
    facts::settle(&scale.program)?;
    let bare = forms::bare_request().await?;
    say(&format!(
        "Floor, a bare request over a tunnel: p50 {}, p99 {}.\n",
        millis(bare.at(0.5)),
        millis(bare.at(0.99))
    ))?;
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        if scale.database.is_none_or(|only| only == kind) {
            on(&scale, kind).await?;
        }
    }
    Ok(())
}

async fn on(scale: &Dispatch, kind: DatabaseKind) -> anyhow::Result<()> {
    let (name, cluster) = match kind {
        DatabaseKind::Sqlite => ("SQLite", None),
        DatabaseKind::Postgres => ("PostgreSQL", Some(Cluster::start_durable()?)),
    };
    say(&format!("### {name}\n"))?;
    progress("writing people, machines and rooms");
    let homes = Homes::make(scale.daemons)?;
    let others = scale.tunnels.max(scale.storm.saturating_sub(scale.daemons));
    let port = free_port()?;
    let database = cluster.as_ref().map(|cluster| cluster.url().to_string());
    let messages = MESSAGES.min(scale.waiters);
    let wish = Wish {
        port,
        database: database.clone(),
        people: PEOPLE,
        real: homes.ids.clone(),
        others,
        rooms: scale.waiters + messages,
    };
    let seeded = seed(wish).await?;
    let server = Server::start(Place { program: scale.program.clone(), data: seeded.data(), database, port })?;
    let run = Run { scale, seeded, homes, messages };
    let ended = run.measure(server).await;
    drop(run);
    drop(cluster);
    ended
}

struct Run<'a> {
    scale: &'a Dispatch,
    seeded: Seeded,
    homes: Homes,
    messages: usize,
}

impl Run<'_> {
    async fn measure(&self, server: Server) -> anyhow::Result<()> {
        let Self { scale, seeded, .. } = self;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut memory = Table::new(["server memory", "resident", "its own", "goal"]);
        let mut note = |what: String, pid: u32, goal: &str| -> anyhow::Result<()> {
            let [resident, own] = Memory::of(pid)?.cells();
            memory.row([what, resident, own, goal.to_owned()]);
            Ok(())
        };
        note("no machine".to_owned(), server.pid(), "")?;

        progress("the machines connect");
        let began = Instant::now();
        let daemons = self.homes.start(&scale.program, &server.url(), &seeded.machines[..scale.daemons])?;
        let count = scale.daemons + scale.tunnels;
        let crowd = Crowd::start(&seeded.machines[scale.daemons..count], &server.url())?;
        until_tunnels(&http, &server.url(), count).await?;
        progress(&format!("{count} machines after {:.1} s", began.elapsed().as_secs_f32()));
        note(format!("{count} machines"), server.pid(), "")?;

        progress("as many syncs as a command needs");
        self.syncs()?;
        progress("commands");
        self.commands(count).await?;
        progress("people wait");
        self.waiters().await?;
        self.sign_in(&http, &server).await?;
        note(format!("{count} machines, after all of this and {SIGN_INS} sign-ins"), server.pid(), "≤ 150 MB")?;
        if scale.idle > 0 && !daemons.is_empty() {
            progress("everything is still");
            quiet::watch(&daemons, server.pid(), scale.idle).await?;
        }
        if scale.storm > count {
            progress("more machines connect");
            let more = Crowd::start(&seeded.machines[count..scale.storm], &server.url())?;
            until_tunnels(&http, &server.url(), scale.storm).await?;
            note(format!("{} machines", scale.storm), server.pid(), "≤ 400 MB")?;
            progress("the server is restarted");
            let server = self.storm(server, &http, scale.storm).await?;
            note(format!("{} machines, after the restart", scale.storm), server.pid(), "≤ 400 MB")?;
            if scale.idle > 0 {
                progress("everything is still");
                tokio::time::sleep(Duration::from_secs(scale.idle)).await;
                note(format!("the same, {} s later", scale.idle), server.pid(), "≤ 400 MB")?;
            }
            drop((crowd, more, daemons));
        }
        say("")?;
        memory.print()?;
        Ok(say(&format!("At the end: {}.\n", facts::load()))?)
    }

    /// Measures what no server can be faster than: the syncs between a command and the word that its machine has it.
    fn syncs(&self) -> anyhow::Result<()> {
        let Dispatch { rate, seconds, .. } = *self.scale;
        let floor =
            tokio::task::block_in_place(|| facts::row_of_syncs(&self.seeded.data(), SYNCS, rate, rate * seconds))?;
        let [p50, p99, most] = floor.cells();
        Ok(say(&format!(
            "Floor, {SYNCS} syncs one after another, {rate} times a second for {seconds} s: p50 {p50}, p99 {p99}, slowest \
             {most}.\n"
        ))?)
    }

    async fn commands(&self, count: usize) -> anyhow::Result<()> {
        let Dispatch { rate, seconds, daemons, .. } = *self.scale;
        let came = commands::run(&self.seeded, count, daemons, rate, seconds).await?;
        say(&format!("{count} machines, {rate} commands a second for {seconds} s; {}.\n", facts::load()))?;
        let mut table = Table::new(["from when a command was due until", "count", "p50", "p99", "slowest", "goal"]);
        for (what, times, goal) in [
            ("it is sent: what the measuring adds", &came.begun, ""),
            ("its answer 201", &came.accepted, ""),
            ("`received`, journalled and told", &came.journalled, "p99 ≤ 10 ms"),
            ("the same, real daemons only", &came.by_daemons, ""),
            ("`completed`, told", &came.completed, ""),
        ] {
            row(&mut table, what, times, goal);
        }
        table.print()?;
        Ok(say(&format!("Lost or refused: {}.\n", came.lost))?)
    }

    async fn waiters(&self) -> anyhow::Result<()> {
        let came = waiters::run(&self.seeded, self.messages).await?;
        let mut table = Table::new(["from when a message was due until", "count", "p50", "p99", "slowest", "goal"]);
        let what = format!("its task is delivered, {} waiting", came.held);
        row(&mut table, &what, &came.delivered, "p99 ≤ 10 ms");
        table.print()?;
        Ok(say(&format!("Lost: {}.\n", came.lost))?)
    }

    /// Signs people in by their passwords: hashing one takes 19 MB for a moment.
    async fn sign_in(&self, http: &reqwest::Client, server: &Server) -> anyhow::Result<()> {
        for turn in 0..SIGN_INS {
            let person = &self.seeded.people[turn % self.seeded.people.len()];
            let body = json!({ "email": person.email, "password": PASSWORD });
            http.post(format!("{}/api/auth/sign-in", server.url())).json(&body).send().await?.error_for_status()?;
        }
        Ok(())
    }

    async fn storm(&self, server: Server, http: &reqwest::Client, count: usize) -> anyhow::Result<Server> {
        let (server, came) = storm::run(server, http, self.seeded.person(0).clone(), count).await?;
        say(&format!(
            "Restart under {count} machines: away for {}; all back {} after it answered again (goal ≤ 30 s). People \
             meanwhile: {}; errors: {}.",
            millis(came.away),
            millis(came.back),
            came.seen,
            came.errors
        ))?;
        Ok(server)
    }
}

fn row(table: &mut Table, what: &str, times: &Times, goal: &str) {
    let [p50, p99, most] = times.cells();
    table.row([what.to_owned(), times.count().to_string(), p50, p99, most, goal.to_owned()]);
}
