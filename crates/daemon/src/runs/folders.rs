//! The folders of runs that are over: kept for people to read, and bounded.

use std::fs;
use std::time::Duration;

use chatroom_protocol::RunId;

use crate::home::Home;
use crate::process::tree::{self, Root};

/// How many are kept.
const KEPT: usize = 50;
/// For how long.
const DAYS: Duration = Duration::from_hours(7 * 24);

/// Removes the folders of runs that are over and are old, or too many.
pub(super) fn prune(home: &Home, is_live: impl Fn(RunId) -> bool) {
    let mut over: Vec<RunId> = all(home).into_iter().filter(|run| !is_live(*run)).collect();
    // Ids sort by time.
    over.sort_by(|a, b| b.cmp(a));
    for (place, run) in over.into_iter().enumerate() {
        let folder = home.run_dir(run);
        let is_old = fs::metadata(&folder)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| at.elapsed().ok())
            .is_some_and(|age| age > DAYS);
        if (is_old || place >= KEPT)
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            tracing::warn!(%error, folder = %folder.display(), "the folder of an old run could not be removed");
        }
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

fn all(home: &Home) -> Vec<RunId> {
    let Ok(folders) = fs::read_dir(home.join("runs")) else {
        return Vec::new();
    };
    folders.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
