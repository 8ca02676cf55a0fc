//! Our durable streams beside the server of the protocol's authors: same load, same disk, in turns.

mod measures;
mod served;
mod wire;

use std::path::Path;
use std::time::Duration;

use crate::Streams;
use crate::facts::{self, Memory};
use crate::figures::{Table, Times, median, millis, progress, say};
use measures::Round;
use served::Served;

/// How long a server does nothing before that is measured.
const STILL: Duration = Duration::from_secs(3);

/// One of the two, and what it did in each round.
struct Side {
    name: &'static str,
    served: Served,
    idle: u64,
    rounds: Vec<Round>,
}

impl Side {
    async fn new(name: &'static str, served: Served) -> anyhow::Result<Self> {
        tokio::time::sleep(STILL).await;
        let idle = Memory::of(served.pid())?.resident;
        Ok(Self { name, served, idle, rounds: Vec::new() })
    }

    /// Returns the median over the rounds.
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    fn first(&self, of: impl Fn(&Round) -> u64) -> f64 {
        self.rounds.first().map_or(0.0, |round| bytes(of(round)))
    }
}

/// Measures all of it.
pub async fn run(scale: &Streams) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    facts::print(folder.path())?;
    facts::settle(&scale.program)?;
    facts::settle(&scale.opponent)?;
    let mut sides = [
        Side::new("theirs", Served::theirs(&scale.opponent).await?).await?,
        Side::new("ours", Served::ours(&scale.program).await?).await?,
    ];
    let mut probes = Vec::new();
    for round in 1..=scale.rounds {
        for side in &mut sides {
            probes.push(probe(folder.path())?);
            progress(&format!("round {round} of {}, {}", scale.rounds, side.name));
            side.rounds.push(measures::round(&side.served, round, scale).await?);
        }
        // Whoever came second comes first now.
        sides.reverse();
    }
    if scale.rounds % 2 == 1 {
        sides.reverse();
    }
    let probes: Vec<String> = probes.iter().map(|probe| millis(probe.at(0.5))).collect();
    say(&format!("\n{} rounds in turns, medians; {}.", scale.rounds, facts::load()))?;
    say(&format!("A sync of 4 KiB before each turn, p50: {}.\n", probes.join(", ")))?;
    print(&sides[0], &sides[1], scale)
}

fn probe(folder: &Path) -> anyhow::Result<Times> {
    facts::fsync(folder)
}

fn print(theirs: &Side, ours: &Side, scale: &Streams) -> anyhow::Result<()> {
    let mut table = Table::new(["", "theirs", "ours", "ours better by", "goal"]);
    let [more, less] = [|theirs: f64, ours: f64| ours / theirs, |theirs: f64, ours: f64| theirs / ours];
    let mut row =
        |what: &str, [theirs, ours]: [f64; 2], show: fn(f64) -> String, ratio: fn(f64, f64) -> f64, goal: f64| {
            let better = format!("{:.2}", ratio(theirs, ours));
            table.row([what.to_owned(), show(theirs), show(ours), better, format!("≥ {goal:.1}")]);
        };
    let both = |of: &dyn Fn(&Round) -> f64| [theirs.median(of), ours.median(of)];
    let time = |of: fn(&Round) -> &Times, share: f64| both(&move |round| of(round).at(share).as_secs_f64());
    for (index, what) in measures::LOADS.iter().map(|load| load.name).enumerate() {
        let goal = if index == 0 { 1.3 } else { 1.0 };
        let rate = both(&move |round| round.appends[index].rate);
        row(&format!("durable appends/s, {what}"), rate, |rate| format!("{rate:.0}"), more, goal);
        for share in [0.5, 0.99] {
            let times = both(&move |round| round.appends[index].times.at(share).as_secs_f64());
            row(
                &format!("the same, p{:.0}", share * 100.0),
                times,
                seconds,
                less,
                if share < 0.6 { goal } else { 1.0 },
            );
        }
    }
    let crowd = format!("append → {} readers, {} a second", scale.readers, measures::RATE);
    let lone: fn(&Round) -> &Times = |round| &round.lone;
    for (what, of) in [("append → one reader", lone), (&crowd, |round| &round.crowd)] {
        for share in [0.5, 0.99] {
            row(&format!("{what}, p{:.0}", share * 100.0), time(of, share), seconds, less, 1.0);
        }
    }
    let speed = both(&|round| round.catch_up);
    row(&format!("catch-up of {} MiB", scale.bulk), speed, |speed| format!("{:.0} MB/s", speed / 1e6), more, 0.7);
    row("memory, idle", [bytes(theirs.idle), bytes(ours.idle)], mebibytes, less, 1.0);
    for (what, of) in [
        ("after appends", (|round| round.after_appends) as fn(&Round) -> u64),
        ("after catch-up", |round| round.after_catch_up),
    ] {
        row(&format!("memory, {what}, first round"), [theirs.first(of), ours.first(of)], mebibytes, less, 1.0);
    }
    let each = both(&|round| round.each_reader);
    row("memory, each idle reader", each, |bytes| format!("{:.1} kB", bytes / 1e3), less, 1.0);
    Ok(table.print()?)
}

#[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}

fn seconds(time: f64) -> String {
    millis(Duration::from_secs_f64(time))
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}
