//! The machine, and what it can do at best.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::figures::{Times, millis, say};

/// Lets this process open as many descriptors as the system allows.
pub fn raise_descriptors() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Prints the machine, and the floors no program on it gets below.
pub fn print(folder: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or("?").trim();
    say(&format!("Machine: {cores} cores, {memory} of memory, Linux {}, {}.", kernel.trim(), load()))?;
    let disk = fsync(folder)?;
    let [p50, p99, most] = disk.cells();
    say(&format!("Floor, 4 KiB appended and synced to the same disk: p50 {p50}, p99 {p99}, slowest {most}."))?;
    let spawn = Times::new((0..200).map(|_| spawn()).collect::<Result<_, _>>()?);
    say(&format!("Floor, fork+exec of `true`: p50 {}, p99 {}.", millis(spawn.at(0.5)), millis(spawn.at(0.99))))?;
    Ok(())
}

/// Has a program read from the disk when it starts next, as one that was installed some time ago: what was just written
/// lies in memory in large pieces, and Linux counts a whole one as resident for each page of it that is touched.
pub fn settle(program: &Path) -> anyhow::Result<()> {
    let file = fs::File::open(program).with_context(|| format!("cannot open {}", program.display()))?;
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// Says how busy the machine is.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last: Vec<&str> = load.split(' ').take(2).collect();
    format!("load average {}", last.join(" "))
}

/// Measures how long an append takes until it is on the disk.
pub fn fsync(folder: &Path) -> anyhow::Result<Times> {
    let mut file = tempfile::tempfile_in(folder)?;
    let page = [b'x'; 4096];
    let mut times = Vec::new();
    for _ in 0..400 {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(Times::new(times))
}

/// Measures how long `syncs` appends take that are synced one after another, `rate` of such rows a second.
pub fn row_of_syncs(folder: &Path, syncs: u32, rate: u32, count: u32) -> anyhow::Result<Times> {
    let mut file = tempfile::tempfile_in(folder)?;
    let page = [b'x'; 4096];
    let mut times = Vec::new();
    let began = Instant::now();
    for number in 0..count {
        let due = began + Duration::from_secs(1) * number / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for _ in 0..syncs {
            file.write_all(&page)?;
            file.sync_data()?;
        }
        times.push(due.elapsed());
    }
    Ok(Times::new(times))
}

fn spawn() -> anyhow::Result<Duration> {
    let began = Instant::now();
    let status = Command::new("true").stdin(Stdio::null()).status().context("there is no `true`")?;
    anyhow::ensure!(status.success(), "`true` is false");
    Ok(began.elapsed())
}

/// What a process holds in memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All of it, with the parts of files it maps.
    pub resident: u64,
    /// What is its own.
    pub own: u64,
}

impl Memory {
    /// Looks at a process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim_matches([':', '\t', ' ']).split(' ').next()?.parse().ok()?;
            Some(kib * 1024)
        };
        Ok(Self { resident: field("VmRSS").context("no VmRSS")?, own: field("RssAnon").context("no RssAnon")? })
    }

    /// Writes it in megabytes.
    pub fn cells(self) -> [String; 2] {
        [self.resident, self.own].map(megabytes)
    }
}

/// Writes bytes in megabytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// Returns the time a process has had a core, in hundredths of a second.
pub fn ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let (_, rest) = stat.rsplit_once(") ").context("no stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).context("no stat");
    Ok(field(11)? + field(12)?)
}
