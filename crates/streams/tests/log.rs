//! What survives when the power goes, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use chatroom_streams::{Log, LogError, Position};
use proptest::prelude::*;

fn payloads(log: &Log) -> Vec<Vec<u8>> {
    let records = log.read_from(Position(0)).unwrap();
    for (number, record) in (0..).zip(&records) {
        assert_eq!(record.position, Position(number));
    }
    records.into_iter().map(|record| record.payload).collect()
}

fn write(path: &Path, batches: &[Vec<Vec<u8>>]) -> Vec<u64> {
    let mut log = Log::open(path).unwrap();
    let mut ends = vec![log.bytes()];
    for batch in batches {
        log.append_all(batch).unwrap();
        ends.push(log.bytes());
    }
    ends
}

fn batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let record = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec(prop::collection::vec(record, 1..4), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_appended_is_read_back(batches in batches(), skip in 0usize..8) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&path, &batches);
        let log = Log::open(&path).unwrap();
        let all: Vec<_> = batches.concat();
        prop_assert_eq!(payloads(&log), all.clone());
        let later = log.read_from(Position(skip as u64)).unwrap();
        prop_assert_eq!(
            later.into_iter().map(|record| record.payload).collect::<Vec<_>>(),
            all.into_iter().skip(skip).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_torn_tail_is_cut_to_whole_appends(
        batches in batches(),
        keep in 0.0f64..1.0,
        zeros in prop_oneof![0usize..40, Just(70_000)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let ends = write(&path, &batches);
        let bytes = std::fs::read(&path).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let kept = (*ends.last().unwrap() as f64 * keep) as usize;
        let mut torn = bytes[..kept].to_vec();
        // A file may grow before its content arrives.
        torn.extend(std::iter::repeat_n(0, zeros));
        std::fs::write(&path, &torn).unwrap();
        if kept < 8 && zeros > 0 && kept > 0 {
            // Half a beginning and then zeros: refused or empty, never a wrong record.
            if let Ok(log) = Log::open(&path) {
                prop_assert!(payloads(&log).is_empty());
            }
            return Ok(());
        }
        // Zeros where zeros were cut off leave the append whole.
        let is_whole = |end: &&u64| usize::try_from(**end).is_ok_and(|end| torn.get(..end) == bytes.get(..end));
        let whole = ends.iter().skip(1).filter(is_whole).count();
        let mut log = Log::open(&path).unwrap();
        prop_assert_eq!(payloads(&log), batches[..whole].concat());
        log.append(b"after").unwrap();
        drop(log);
        let log = Log::open(&path).unwrap();
        prop_assert_eq!(log.cut(), 0);
        prop_assert_eq!(payloads(&log).pop().unwrap(), b"after");
    }

    #[test]
    fn damage_before_good_records_is_refused(batches in batches(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let ends = write(&path, &batches);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = usize::try_from(ends[ends.len() - 2]).unwrap();
        prop_assume!(last > 8);
        let hit = 8 + at.index(last - 8);
        bytes[hit] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let frame = ends.iter().rev().find(|end| **end <= hit as u64).copied();
        match Log::open(&path) {
            Err(LogError::Damaged { at, .. }) => prop_assert_eq!(Some(at), frame),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

#[test]
fn most_appends_leave_the_size_of_the_file_as_it_is_also_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = Log::open(&path).unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    let mut sizes = std::collections::BTreeSet::new();
    for number in 0..1_000_u32 {
        if number % 100 == 99 {
            drop(log);
            log = Log::open(&path).unwrap();
            assert_eq!(log.cut(), 0, "zeros are nothing unfinished");
        }
        log.append(&[number.to_le_bytes(); 50].concat()).unwrap();
        sizes.insert(size());
    }
    assert!(sizes.len() < 6, "{sizes:?}");
    assert!(size() < log.bytes() + 70_000, "{} and {}", size(), log.bytes());
    assert_eq!(payloads(&log).len(), 1_000);
}

#[test]
fn a_stranger_s_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "{\"version\": 1}").unwrap();
    assert!(matches!(Log::open(&path), Err(LogError::NotALog(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"version\": 1}");
}

#[test]
fn a_second_opening_is_refused_and_the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::open(&path).unwrap();
    assert!(matches!(Log::open(&path), Err(LogError::InUse(_))));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(log);
    Log::open(&path).unwrap();
}

#[test]
fn a_renamed_log_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("log");
    drop(write(&old, &[vec![b"old".to_vec()]]));
    let mut new = Log::open(folder.path().join("log.new")).unwrap();
    new.append(b"new").unwrap();
    new.rename(&old).unwrap();
    new.append(b"newer").unwrap();
    drop(new);
    assert_eq!(payloads(&Log::open(&old).unwrap()), [b"new".to_vec(), b"newer".to_vec()]);
    assert!(!folder.path().join("log.new").exists());
}
