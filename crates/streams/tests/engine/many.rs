//! Many streams, and many who write.

use chatroom_streams::{Engine, Options};

use crate::{create, read_all, small, text};

/// How much memory this process has, in bytes.
fn memory() -> u64 {
    let about = std::fs::read_to_string("/proc/self/statm").expect("about this process");
    about.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("its pages") * 4096
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ten_thousand_streams_take_little_memory_and_few_files() {
    const STREAMS: usize = 10_000;
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), Options::default()).expect("an engine");
    let before = memory();
    let made: Vec<_> = (0..STREAMS)
        .map(|number| {
            engine.create(
                &format!("stream/{number}"),
                chatroom_streams::Create { content_type: crate::typed("text/plain"), ..Default::default() },
            )
        })
        .collect();
    for pending in made {
        assert!(pending.await.expect("made").is_new);
    }
    for round in 0..3 {
        let line = |number: usize| format!("{number} in round {round}: {}\n", "x".repeat(1000));
        let appended: Vec<_> =
            (0..STREAMS).map(|number| engine.append(&format!("stream/{number}"), text(line(number)))).collect();
        for pending in appended {
            pending.await.expect("appended");
        }
    }
    // 30 MB were written; what is held is the streams, the bytes that are not yet in files, and one batch.
    let grown = memory().saturating_sub(before);
    assert!(grown < 96 << 20, "{} MiB more", grown >> 20);
    let open = std::fs::read_dir("/proc/self/fd").expect("open files").count();
    assert!(open < 100, "{open} files are open");
    for number in (0..STREAMS).step_by(97) {
        let read = read_all(&engine, &format!("stream/{number}"));
        assert!(read.starts_with(format!("{number} in round 0").as_bytes()), "stream {number}");
        assert_eq!(read.split(|byte| *byte == b'\n').count(), 4, "stream {number}");
    }
    drop(engine);
    let engine = Engine::start(folder.path(), Options::default()).expect("an engine");
    assert_eq!(engine.count(), STREAMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_an_append_whole_or_not_at_all() {
    const SIZE: usize = 50_000;
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { segment_bytes: 256 << 10, page_bytes: 1 << 20, ..small() };
    let engine = Engine::start(folder.path(), options).expect("an engine");
    create(&engine, "a", "application/octet-stream").await;
    let writing = tokio::spawn({
        let engine = engine.clone();
        async move {
            for number in 0..60_u8 {
                let append = chatroom_streams::Append {
                    content_type: crate::typed("application/octet-stream"),
                    body: vec![number; SIZE].into(),
                    ..Default::default()
                };
                engine.append("a", append).await.expect("appended");
            }
        }
    });
    let mut seen = 0;
    while seen < 60 * SIZE {
        let is_all = writing.is_finished();
        let read = read_all(&engine, "a");
        assert!(read.len() >= seen && read.len().is_multiple_of(SIZE), "{} bytes after {seen}", read.len());
        for (number, part) in read.chunks(SIZE).enumerate() {
            assert!(part.iter().all(|byte| usize::from(*byte) == number), "append {number} is mixed up");
        }
        seen = read.len();
        assert!(!is_all || seen == 60 * SIZE, "the writer ended after {seen} bytes");
        tokio::task::yield_now().await;
    }
    writing.await.expect("a writer");
}
