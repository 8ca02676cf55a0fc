//! The folders of runs that are over: kept for people to read, and bounded.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chatroom_protocol::RunId;

use crate::home::Home;
use crate::process::tree::{self, Root};
use crate::sending::transcripts::is_sent;

/// How many are kept whose transcript is on the server.
const KEPT: usize = 50;
/// How many bytes these may take together.
const BYTES: u64 = 1024 * 1024 * 1024;
/// For how long.
const DAYS: Duration = Duration::from_hours(7 * 24);
/// How many bytes all may take together, whatever the server has of them.
const BYTES_IN_ALL: u64 = 4 * 1024 * 1024 * 1024;

/// Removes folders of runs that are over: what the server has goes when it is old, too many, or together too large.
///
/// What the server does not have stays until it has it, unless all of it together is too large: then the oldest goes.
pub(super) fn prune(home: &Home, is_live: impl Fn(RunId) -> bool) {
    prune_to(home, is_live, BYTES, BYTES_IN_ALL);
}

fn prune_to(home: &Home, is_live: impl Fn(RunId) -> bool, most: u64, most_in_all: u64) {
    let mut over: Vec<RunId> = all(home).into_iter().filter(|run| !is_live(*run)).collect();
    // Ids sort by time.
    over.sort_by(|a, b| b.cmp(a));
    let over = over.into_iter().map(|run| home.run_dir(run)).map(|folder| (size(&folder), folder));
    let (sent, unsent): (Vec<_>, Vec<_>) = over.partition(|(_, folder)| is_sent(folder));
    // What the server does not have comes first, so that of both kinds together the oldest it has goes first.
    let (mut bytes, mut in_all) = (0, 0);
    for (size, folder) in &unsent {
        in_all += size;
        if in_all > most_in_all {
            let folder_name = folder.display();
            tracing::error!(folder = %folder_name, "an old run is removed that the server never got: it was away for too long");
            remove(folder);
        }
    }
    for (place, (size, folder)) in sent.iter().enumerate() {
        bytes += size;
        in_all += size;
        if place >= KEPT || bytes > most || in_all > most_in_all || is_old(folder) {
            remove(folder);
        }
    }
}

fn is_old(folder: &Path) -> bool {
    let changed = fs::metadata(folder).and_then(|meta| meta.modified()).ok();
    changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > DAYS)
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "the folder of an old run could not be removed");
    }
}

/// Ends what is left of runs the journal does not know as live.
pub(super) async fn end_strays(home: &Home, is_live: impl Fn(RunId) -> bool) {
    for run in all(home).into_iter().filter(|run| !is_live(*run)) {
        // A supervisor that ended by itself took its socket along.
        if fs::symlink_metadata(home.run_dir(run).join("sock")).is_ok() {
            tree::end(Root::Nowhere, None, run, Duration::ZERO, || {}).await;
            let _ = fs::remove_file(home.run_dir(run).join("sock"));
        }
    }
}

/// Returns how many bytes the files of a folder have; links are not followed.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(one).sum()
}

/// Returns the runs that have a folder, in no order.
pub(crate) fn all(home: &Home) -> Vec<RunId> {
    let Ok(folders) = fs::read_dir(home.join("runs")) else {
        return Vec::new();
    };
    folders.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use chatroom_protocol::Timestamp;

    use super::*;

    fn home(runs: u128, bytes: usize) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path().join("home")).unwrap();
        for n in 1..=runs {
            let dir = home.run_dir(run(n));
            fs::create_dir_all(dir.join("deep")).unwrap();
            fs::write(dir.join("deep/events"), vec![0; bytes]).unwrap();
            fs::write(dir.join("sent"), "").unwrap();
        }
        (folder, home)
    }

    fn run(n: u128) -> RunId {
        RunId::from_parts(Timestamp(1_700_000_000_000), n)
    }

    fn left(home: &Home) -> Vec<RunId> {
        let mut left = all(home);
        left.sort();
        left
    }

    #[test]
    fn only_so_many_folders_are_kept_and_those_of_live_runs_always() {
        let (_folder, home) = home(60, 10);
        prune(&home, |id| id == run(2));
        let kept: Vec<RunId> = std::iter::once(2).chain(11..=60).map(run).collect();
        assert_eq!(left(&home), kept);
    }

    #[test]
    fn old_folders_go() {
        let (_folder, home) = home(3, 10);
        let old = std::time::SystemTime::now() - Duration::from_hours(8 * 24);
        for n in [1, 2] {
            fs::File::open(home.run_dir(run(n))).unwrap().set_modified(old).unwrap();
        }
        prune(&home, |id| id == run(1));
        assert_eq!(left(&home), [run(1), run(3)]);
    }

    #[test]
    fn the_oldest_folders_go_when_all_are_too_large() {
        let (_folder, home) = home(10, 1000);
        prune_to(&home, |id| id == run(1), 3500, 100_000);
        assert_eq!(left(&home), [run(1), run(8), run(9), run(10)]);
    }

    #[test]
    fn what_the_server_does_not_have_stays_until_all_is_too_large() {
        let (_folder, home) = home(60, 1000);
        let old = std::time::SystemTime::now() - Duration::from_hours(8 * 24);
        for n in 1..=4 {
            fs::remove_file(home.run_dir(run(n)).join("sent")).unwrap();
            fs::File::open(home.run_dir(run(n))).unwrap().set_modified(old).unwrap();
        }
        prune_to(&home, |_| false, 2500, 100_000);
        assert_eq!(left(&home), [1, 2, 3, 4, 59, 60].map(run));
        prune_to(&home, |_| false, 2500, 5500);
        assert_eq!(left(&home), [1, 2, 3, 4, 60].map(run), "the oldest the server has goes first");
        prune_to(&home, |_| false, 2500, 2500);
        assert_eq!(left(&home), [3, 4].map(run), "then the oldest of all");
    }
}
