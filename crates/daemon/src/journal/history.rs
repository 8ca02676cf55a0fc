//! The journal as a stream others may read: lines that follow it.
//!
//! The journal is the truth, and is begun anew with what still counts. Its history is written behind it, record by
//! record, each with the number it has in the journal; so what a crash keeps from it is found again in the journal by
//! its number, and nothing is in it twice. It is not synced for that: whoever sends it on does so first, and the
//! journal's writer before it gives up what the history must have.
//!
//! The lines are in parts, so that the oldest can go: what the server has beyond `KEPT`, and whatever there is beyond
//! `IN_ALL`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use chatroom_protocol::journal::{JournalEntry, Place};
use chatroom_streams::Part;

use crate::home::open_private;

/// How large a part becomes.
const PART: u64 = 2 * 1024 * 1024;
/// How many bytes of what the server has are kept at least; two parts more at most.
const KEPT: u64 = 16 * 1024 * 1024;
/// The same, whatever the server has of them.
const IN_ALL: u64 = 64 * 1024 * 1024;

/// The history of a journal, to be written.
pub(super) struct History {
    folder: PathBuf,
    /// The part that is being written.
    part: Part,
    file: File,
    /// Where its last line ends.
    end: u64,
    last: Option<Place>,
}

impl History {
    /// Opens the one in a folder, or begins it. What a crash left half written is cut off.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut parts = Part::all(folder)?;
        let part = parts.pop().unwrap_or_else(|| Part::at(folder, 0));
        let file = open_private(&part.path)?;
        let (end, mut last) = whole(&std::fs::read(&part.path)?);
        file.set_len(end)?;
        if last.is_none()
            && let Some(before) = parts.pop()
        {
            last = whole(&std::fs::read(&before.path)?).1;
        }
        Ok(Self { folder: folder.to_owned(), end: part.begins_at + end, part, file, last })
    }

    /// Opens it again after an error.
    pub fn open_again(&mut self) -> io::Result<()> {
        *self = Self::open(&self.folder)?;
        Ok(())
    }

    /// Returns the place of the last entry, if there is one.
    pub fn last(&self) -> Option<&Place> {
        self.last.as_ref()
    }

    /// Returns where it ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends entries. After an error it must be opened again.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        let Some(last) = entries.last() else { return Ok(()) };
        if self.end - self.part.begins_at >= PART {
            self.begin_part()?;
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        self.file.write_all_at(&lines, self.end - self.part.begins_at)?;
        self.end += lines.len() as u64;
        self.last = Some(last.place());
        Ok(())
    }

    /// Makes all of it durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        File::open(&self.folder)?.sync_all()
    }

    fn begin_part(&mut self) -> io::Result<()> {
        // Only the last part may be torn.
        self.sync()?;
        let part = Part::at(&self.folder, self.end);
        self.file = open_private(&part.path)?;
        self.part = part;
        if prune(&self.folder, u64::MAX, IN_ALL)? {
            tracing::error!("old entries of the journal's history are removed that the server may never have got");
        }
        Ok(())
    }
}

/// Removes the oldest of what the server has, up to `arrived`, where there is too much of it.
pub fn forget(folder: &Path, arrived: u64) -> io::Result<()> {
    prune(folder, arrived, KEPT).map(drop)
}

/// Removes the oldest parts that end before `until` and leaves `most` bytes at least; returns whether it did.
fn prune(folder: &Path, until: u64, most: u64) -> io::Result<bool> {
    let parts = Part::all(folder)?;
    let newest = parts.last().map_or(0, |part| part.begins_at);
    let mut removed = false;
    for pair in parts.windows(2) {
        // Without the first of the two there must be enough left.
        if newest - pair[1].begins_at < most || pair[1].begins_at > until {
            break;
        }
        std::fs::remove_file(&pair[0].path)?;
        removed = true;
    }
    Ok(removed)
}

/// Returns where to go on for whoever has everything up to `last`, in the history of `journal` and those before it; `None`
/// if that is beyond what there is.
///
/// What is not there any more is passed over.
pub fn after(folder: &Path, last: Option<&Place>, journal: &str) -> io::Result<Option<u64>> {
    let parts = Part::all(folder)?;
    let oldest = parts.first().map_or(0, |part| part.begins_at);
    let Some(last) = last else { return Ok(Some(oldest)) };
    // Whatever this journal will have comes later than an older one.
    let mut has_later = last.journal.as_str() < journal;
    let last = last.to_string();
    for part in parts.iter().rev() {
        let bytes = std::fs::read(&part.path)?;
        // As text, places sort as their entries do.
        let lines: Vec<_> = lines(&bytes).map(|(end, place)| (end, place.to_string())).collect();
        let known = lines.partition_point(|(_, place)| *place <= last);
        has_later |= known < lines.len();
        if let Some((end, place)) = known.checked_sub(1).map(|at| &lines[at]) {
            return Ok((has_later || *place == last).then_some(part.begins_at + end));
        }
    }
    Ok(Some(oldest))
}

/// Returns where the last whole line of a part ends, counted from its beginning, and the place of its entry.
fn whole(bytes: &[u8]) -> (u64, Option<Place>) {
    lines(bytes).last().map_or((0, None), |(end, place)| (end, Some(place)))
}

/// Returns the places of a part's entries, up to one that is not whole, each with where its line ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, Place)> {
    let mut end = 0;
    bytes.split_inclusive(|byte| *byte == b'\n').map_while(move |line| {
        end += line.len() as u64;
        // What power took away may be zeros, or anything.
        let place = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        Some((end, place))
    })
}

#[cfg(test)]
mod tests {
    use chatroom_protocol::journal::JournalEvent;

    use super::*;

    fn entry(journal: &str, seq: u64) -> JournalEntry {
        JournalEntry { seq, journal: journal.to_owned(), at: None, event: JournalEvent::ReportsApplied { through: 7 } }
    }

    fn place(journal: &str, seq: u64) -> Place {
        entry(journal, seq).place()
    }

    /// Returns the places of all entries in a folder, which are one behind the other.
    fn all(folder: &Path) -> Vec<Place> {
        let mut at = None;
        let mut all = Vec::new();
        for part in Part::all(folder).unwrap() {
            let bytes = std::fs::read(&part.path).unwrap();
            assert_eq!(at.unwrap_or(part.begins_at), part.begins_at, "a part begins where the one before ends");
            assert_eq!(whole(&bytes).0, bytes.len() as u64);
            at = Some(part.begins_at + bytes.len() as u64);
            all.extend(lines(&bytes).map(|(_, place)| place));
        }
        all
    }

    #[test]
    fn what_a_crash_left_half_written_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut history = History::open(folder).unwrap();
        history.append(&[entry("A", 1), entry("A", 2)]).unwrap();
        let whole = std::fs::read(Part::at(folder, 0).path).unwrap();
        for torn in [&b"{\"seq\":3,\"jour"[..], &[0; 100], b"\0\0\n{}\n", b"{}\n"] {
            std::fs::write(Part::at(folder, 0).path, [&whole[..], torn].concat()).unwrap();
            let mut history = History::open(folder).unwrap();
            assert_eq!((history.last(), history.end()), (Some(&place("A", 2)), whole.len() as u64), "{torn:?}");
            history.append(&[entry("A", 3)]).unwrap();
            assert_eq!(all(folder), [place("A", 1), place("A", 2), place("A", 3)]);
        }
    }

    #[test]
    fn whoever_has_some_of_it_is_told_where_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut history = History::open(folder).unwrap();
        assert_eq!(after(folder, None, "C").unwrap(), Some(0), "nobody has anything");
        let mut begins = Vec::new();
        for (journal, seq) in [("B", 4), ("B", 5), ("C", 1), ("C", 2)] {
            if journal == "C" && seq == 2 {
                history.begin_part().unwrap();
            }
            begins.push(history.end());
            history.append(&[entry(journal, seq)]).unwrap();
        }
        for (last, expected) in [
            (place("A", 9), Some(begins[0])),
            (place("B", 3), Some(begins[0])),
            (place("B", 4), Some(begins[1])),
            (place("B", 5), Some(begins[2])),
            (place("B", 8), Some(begins[2])),
            (place("C", 1), Some(begins[3])),
            (place("C", 2), Some(history.end())),
            (place("C", 3), None),
            (place("D", 1), None),
        ] {
            assert_eq!(after(folder, Some(&last), "C").unwrap(), expected, "{last}");
        }
        assert_eq!(after(folder, Some(&place("C", 3)), "D").unwrap(), Some(history.end()), "before all D will have");
        history.begin_part().unwrap();
        assert_eq!(after(folder, Some(&place("C", 2)), "C").unwrap(), Some(history.end()));
        assert_eq!(History::open(folder).unwrap().last(), Some(&place("C", 2)), "a part without an entry yet");
    }

    #[test]
    fn the_oldest_the_server_has_goes_first_and_what_it_lacks_stays_until_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut history = History::open(folder).unwrap();
        let bytes = || Part::all(folder).unwrap().iter().map(|part| part.path.metadata().unwrap().len()).sum::<u64>();
        let mut seq = 0;
        let mut write = |history: &mut History, until: u64| {
            while history.end() < until {
                let entries: Vec<_> = (seq..seq + 2_000).map(|seq| entry("A", seq + 1)).collect();
                history.append(&entries).unwrap();
                seq += 2_000;
            }
        };
        write(&mut history, 30 << 20);
        forget(folder, 0).unwrap();
        assert_eq!(bytes(), history.end(), "the server has nothing yet");
        forget(folder, 5 << 20).unwrap();
        let kept = Part::all(folder).unwrap()[0].begins_at;
        assert!((2 << 20..=5 << 20).contains(&kept), "what it has not got stays: {kept}");
        forget(folder, history.end()).unwrap();
        assert!((KEPT..=KEPT + 3 * PART).contains(&bytes()), "{}", bytes());
        write(&mut history, 120 << 20);
        assert!(bytes() <= IN_ALL + 3 * PART, "{}", bytes());
        assert_eq!(all(folder).last(), history.last());
    }
}
