//! What was measured, as the tables of the document.

use serde::Deserialize;

use crate::Web;
use crate::facts::{load, megabytes};
use crate::figures::{Table, Times, from_millis, millis, say};

/// A task of the page that is longer than this makes it stutter; browsers tell of no shorter ones.
const LONG: &str = "none over 50 ms";

/// The start page, and scripts on the way to a run; times in milliseconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    floor: Vec<f64>,
    painted: Vec<f64>,
    home: Scripts,
    in_room: Scripts,
    in_run: Scripts,
}

/// Scripts a browser has loaded.
#[derive(Debug, Deserialize)]
struct Scripts {
    files: u64,
    wire: u64,
    gzip: u64,
}

/// How long after it was written a line was there.
#[derive(Debug, Deserialize)]
pub struct Line {
    there: f64,
    painted: f64,
}

/// A page that was scrolled.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scrolled {
    screens: f64,
    long_tasks: Vec<f64>,
}

/// A long transcript.
#[derive(Debug, Deserialize)]
pub struct Long {
    open: Vec<f64>,
    before: u64,
    events: i64,
    heap: u64,
    #[serde(flatten)]
    scrolled: Scrolled,
}

/// A page that is only long.
#[derive(Debug, Deserialize)]
pub struct Plain {
    heap: u64,
    #[serde(flatten)]
    scrolled: Scrolled,
}

/// Lists of a person who has much.
#[derive(Debug, Deserialize)]
pub struct Lists {
    rooms: Vec<f64>,
    rail: Scrolled,
    machines: Vec<f64>,
    list: Scrolled,
}

/// Everything that was measured.
pub struct Measured<'a> {
    scale: &'a Web,
    times: Table,
    figures: Table,
}

impl<'a> Measured<'a> {
    /// Begins the tables.
    pub fn begin(scale: &'a Web) -> anyhow::Result<Self> {
        say(&format!("Each page is opened {} times with nothing cached; {}.\n", scale.times, load()))?;
        Ok(Self {
            scale,
            times: Table::new(["", "p50", "p95", "slowest", "goal"]),
            figures: Table::new(["", "measured", "floor", "goal"]),
        })
    }

    fn time(&mut self, what: &str, times: &Times, goal: &str) {
        let [p50, p95, slowest] = [0.5, 0.95, 1.0].map(|share| millis(times.at(share)));
        self.times.row([what.to_owned(), p50, p95, slowest, goal.to_owned()]);
    }

    fn figure(&mut self, what: &str, measured: String, floor: String, goal: &str) {
        self.figures.row([what.to_owned(), measured, floor, goal.to_owned()]);
    }

    /// Takes the start page.
    pub fn start(&mut self, start: &Start) {
        self.time("floor: a line of text from the server, painted", &of(&start.floor), "");
        self.time("the start page, its rooms painted", &of(&start.painted), "≤ 1 s");
        let Start { home, in_room, in_run, .. } = start;
        for (what, scripts, goal) in [
            ("scripts of the start page, gzip", home, "≤ 300 KB"),
            ("the same with a room's page: all before a run", in_room, "≤ 300 KB"),
            ("the same with a run's page", in_run, ""),
        ] {
            let sent =
                format!("{} in {} files, sent as {}", kilobytes(scripts.gzip), scripts.files, kilobytes(scripts.wire));
            self.figure(what, sent, String::new(), goal);
        }
    }

    /// Takes lines as they came, to the page and to a plain reader.
    pub fn live(&mut self, lines: &[Line], floor: &Times) {
        self.time("floor: an agent's line, had by a plain reader", floor, "");
        let times = |of: fn(&Line) -> f64| Times::new(lines.iter().map(|line| from_millis(of(line))).collect());
        self.time("an agent's line, in the page", &times(|line| line.there), "p95 ≤ 100 ms");
        self.time("the same, painted", &times(|line| line.painted), "p95 ≤ 100 ms");
    }

    /// Takes a long transcript.
    pub fn long(&mut self, long: &Long, floor: &Times, plain: &Plain) {
        let events = self.scale.events;
        self.time(&format!("floor: the end of {events} events, read"), floor, "");
        self.time(&format!("a transcript of {events} events, its end painted"), &of(&long.open), "≤ 1 s");
        let way = format!("long tasks over {:.0} screens of it, {} events", long.scrolled.screens, long.events);
        self.figure(&way, told(&long.scrolled), told(&plain.scrolled), LONG);
        let before = format!("{} ({} before)", megabytes(long.heap), megabytes(long.before));
        self.figure("heap after that", before, megabytes(plain.heap), "≤ 150 MB");
    }

    /// Takes long lists, and how long a plain reader needs for what they show.
    pub fn lists(&mut self, lists: &Lists, [rooms, machines]: [&Times; 2]) {
        let Web { rooms: many, machines: computers, .. } = *self.scale;
        self.time("floor: all rooms, read", rooms, "");
        self.time(&format!("{many} rooms, the first painted in the rail"), &of(&lists.rooms), "");
        self.time("floor: all machines, read", machines, "");
        self.time(&format!("{computers} machines, the first painted"), &of(&lists.machines), "");
        for (what, scrolled) in [("rooms", &lists.rail), ("machines", &lists.list)] {
            let what = format!("long tasks over {:.0} screens of {what}", scrolled.screens);
            self.figure(&what, told(scrolled), String::new(), LONG);
        }
    }

    /// Prints the tables.
    pub fn print(&self) -> anyhow::Result<()> {
        self.times.print()?;
        Ok(self.figures.print()?)
    }
}

fn of(all: &[f64]) -> Times {
    Times::new(all.iter().copied().map(from_millis).collect())
}

fn told(scrolled: &Scrolled) -> String {
    match of(&scrolled.long_tasks) {
        none if none.count() == 0 => "none".to_owned(),
        some => format!("{}, the longest {}", some.count(), millis(some.at(1.0))),
    }
}

fn kilobytes(bytes: u64) -> String {
    format!("{}.{} KB", bytes / 1000, bytes % 1000 / 100)
}
