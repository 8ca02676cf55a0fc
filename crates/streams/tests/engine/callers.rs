//! Callers who write the log in the place of its thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use chatroom_streams::{Engine, Options, Refusal};

use super::{create, read_all, small, text};

/// How many threads append at once.
const THREADS: usize = 4;
/// How often each.
const TIMES: usize = 300;

fn writing() -> Options {
    // Near the end of a segment it is left to the thread.
    Options { callers_write: true, segment_bytes: 256 << 10, ..small() }
}

#[tokio::test]
async fn whoever_asks_alone_has_it_done_when_he_asks_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path(), writing()).unwrap();
    create(&engine, "a", "text/plain").await;
    let mut context = Context::from_waker(Waker::noop());
    let mut said = String::new();
    for number in 0..100 {
        let word = format!("{number};");
        said.push_str(&word);
        let mut pending = engine.append("a", text(word));
        // The first time he lets others go first.
        assert!(Pin::new(&mut pending).poll(&mut context).is_pending());
        let again = Pin::new(&mut pending).poll(&mut context);
        assert!(!matches!(again, Poll::Ready(Err(_))), "{again:?}");
        if again.is_ready() {
            assert_eq!(read_all(&engine, "a"), said.as_bytes());
            return;
        }
        // Just now the thread still had the log in its hands.
        pending.await.unwrap();
    }
    panic!("a hundred times the thread wrote it");
}

#[tokio::test]
async fn whoever_does_not_wait_for_it_has_it_done_too() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path(), writing()).unwrap();
    create(&engine, "a", "text/plain").await;
    drop(engine.append("a", text("one")));
    engine.reader("a").unwrap().more(0).await;
    assert_eq!(read_all(&engine, "a"), b"one");
}

#[tokio::test]
async fn callers_and_the_thread_write_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path(), writing()).unwrap();
    create(&engine, "a", "text/plain").await;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let append = async |number| {
                    let appended = engine.append("a", text(format!("{thread}:{number};"))).await.expect("appended");
                    appended.tail.position()
                };
                // One after another for a while, so that callers write, then several at once.
                runtime.block_on(async {
                    for number in 0..TIMES {
                        append(number).await;
                    }
                    for number in TIMES / 4..TIMES / 2 {
                        tokio::join!(
                            append(4 * number),
                            append(4 * number + 1),
                            append(4 * number + 2),
                            append(4 * number + 3)
                        );
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let all = read_all(&engine, "a");
    drop(engine);
    let engine = Engine::start(folder.path(), writing()).unwrap();
    assert!(read_all(&engine, "a") == all, "what was read is what is on the disk");
    let all = String::from_utf8(all).unwrap();
    for thread in 0..THREADS {
        let own = all.split_terminator(';').filter_map(|part| part.strip_prefix(&format!("{thread}:")));
        let numbers: Vec<usize> = own.map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, (0..2 * TIMES).collect::<Vec<_>>(), "of thread {thread}");
    }
}

#[tokio::test]
async fn the_end_waits_for_whoever_writes() {
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start(folder.path(), writing()).unwrap();
        create(&engine, "a", "text/plain").await;
        let is_over = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (engine, is_over) = (engine.clone(), is_over.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut acknowledged = 0;
                loop {
                    let was_over = is_over.load(Ordering::Acquire);
                    match runtime.block_on(engine.append("a", text("x"))) {
                        Ok(_) => {
                            assert!(!was_over, "an append was taken after the end");
                            acknowledged += 1;
                        }
                        Err(refusal) => {
                            assert!(matches!(refusal, Refusal::Stopped(_)), "{refusal}");
                            return acknowledged;
                        }
                    }
                }
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(round));
        engine.end();
        is_over.store(true, Ordering::Release);
        let acknowledged = writer.join().unwrap();
        let again = Engine::start(folder.path(), writing()).unwrap();
        assert_eq!(read_all(&again, "a").len(), acknowledged);
    }
}
