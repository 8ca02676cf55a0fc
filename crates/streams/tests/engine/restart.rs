//! What is there after the end.

use std::time::Duration;

use chatroom_streams::{Append, Clock, Create, Engine, ForkFrom, Lifetime, OpenError, Options, Refusal, Start};

use crate::{claim, create, read_all, small, text, typed};

#[tokio::test]
async fn everything_is_there_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), small()).expect("an engine");
    create(&engine, "a", "text/plain").await;
    create(&engine, "gone", "text/plain").await;
    let mut expected = String::new();
    for number in 0..400 {
        let line = format!("{number:0400}\n");
        expected += &line;
        let appended = engine.append("a", Append { claim: claim(number), ..text(line) }).await.expect("appended");
        assert!(appended.is_new);
    }
    let tail = engine.reader("a").expect("a stream").about().expect("about it").tail;
    let fork = Create { fork: Some(ForkFrom { path: "a".into(), at: None, beyond: 0 }), ..Create::default() };
    engine.create("fork", fork).await.expect("a fork");
    engine.append("fork", text("its own")).await.expect("appended");
    engine.close("fork").await.expect("closed");
    engine.delete("gone").await.expect("deleted");
    drop(engine);

    for _ in 0..2 {
        let engine = Engine::start(folder.path(), small()).expect("an engine");
        assert_eq!(read_all(&engine, "a"), expected.as_bytes());
        assert_eq!(read_all(&engine, "fork"), format!("{expected}its own").as_bytes());
        assert!(engine.reader("fork").expect("a stream").about().expect("about it").closed);
        assert_eq!(engine.reader("a").expect("a stream").about().expect("about it").tail, tail);
        assert_eq!(engine.reader("gone").err(), Some(Refusal::NotFound));
        let again = engine.append("a", Append { claim: claim(399), ..text("0") }).await.expect("known");
        assert!(!again.is_new);
        let gap = engine.append("a", Append { claim: claim(401), ..text("0") }).await;
        assert_eq!(gap, Err(Refusal::ProducerGap { expected: 400, received: 401 }));
    }
}

#[tokio::test]
async fn a_deleted_source_stays_for_its_forks_and_goes_with_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), small()).expect("an engine");
    create(&engine, "source", "text/plain").await;
    engine.append("source", text("kept")).await.expect("appended");
    let fork = Create { fork: Some(ForkFrom { path: "source".into(), at: None, beyond: 0 }), ..Create::default() };
    engine.create("fork", fork.clone()).await.expect("a fork");
    engine.delete("source").await.expect("deleted");
    drop(engine);

    let engine = Engine::start(folder.path(), small()).expect("an engine");
    assert_eq!(engine.reader("source").err(), Some(Refusal::Deleted));
    assert_eq!(engine.create("source", Create::default()).await.err(), Some(Refusal::PathHeld));
    assert!(!engine.create("fork", fork).await.expect("the same fork").is_new);
    assert_eq!(read_all(&engine, "fork"), b"kept");
    engine.delete("fork").await.expect("deleted");
    assert_eq!(engine.reader("source").err(), Some(Refusal::NotFound));
    drop(engine);

    let engine = Engine::start(folder.path(), small()).expect("an engine");
    assert_eq!(engine.count(), 0);
    create(&engine, "source", "text/plain").await;
}

#[tokio::test]
async fn an_offset_of_an_earlier_life_of_the_path_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), small()).expect("an engine");
    create(&engine, "a", "text/plain").await;
    let old = engine.append("a", text("first life")).await.expect("appended").tail;
    engine.delete("a").await.expect("deleted");
    create(&engine, "a", "text/plain").await;
    engine.append("a", text("a second life that is longer")).await.expect("appended");
    let view = engine.reader("a").expect("a stream").view(Start::At(old)).map(|_| ());
    assert!(matches!(view, Err(Refusal::Trimmed { .. })), "{view:?}");
}

#[tokio::test]
async fn time_to_live_goes_on_across_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::still();
    let options = Options { clock: clock.clone(), ..small() };
    let engine = Engine::start(folder.path(), options.clone()).expect("an engine");
    let lived = Create { content_type: typed("text/plain"), lifetime: Some(Lifetime::Ttl(100)), ..Create::default() };
    engine.create("a", lived).await.expect("made");
    drop(engine);
    clock.advance(Duration::from_secs(90));
    let engine = Engine::start(folder.path(), options.clone()).expect("an engine");
    assert!(engine.reader("a").is_ok(), "not early");
    drop(engine);
    clock.advance(Duration::from_mins(1));
    let engine = Engine::start(folder.path(), options).expect("an engine");
    assert_eq!(engine.reader("a").err(), Some(Refusal::NotFound));
    create(&engine, "a", "text/plain").await;
}

#[tokio::test]
async fn a_store_with_a_part_missing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), small()).expect("an engine");
    create(&engine, "a", "text/plain").await;
    for _ in 0..40 {
        engine.append("a", text("x".repeat(4000))).await.expect("appended");
    }
    drop(engine);
    drop(Engine::start(folder.path(), small()).expect("an engine"));

    for part in ["data", "log", "manifest"] {
        let (here, away) = (folder.path().join(part), folder.path().join("away"));
        std::fs::rename(&here, &away).expect("moved");
        let opened = Engine::start(folder.path(), small()).map(|_| ());
        assert!(opened.is_err(), "without {part}");
        assert!(!here.exists() || part == "log" || part == "data", "{part} was made anew");
        if here.is_dir() {
            std::fs::remove_dir_all(&here).expect("removed");
        }
        std::fs::rename(&away, &here).expect("moved back");
    }
    assert!(Engine::start(folder.path(), small()).is_ok(), "with everything back");

    let file = std::fs::read_dir(folder.path().join("data")).expect("data").flatten().next().expect("a file").path();
    std::fs::File::options().write(true).open(&file).expect("a file").set_len(10).expect("cut");
    let opened = Engine::start(folder.path(), small()).map(|_| ());
    assert!(matches!(opened, Err(OpenError::Short { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_second_process_is_refused_and_a_strange_file_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::start(folder.path(), small()).expect("an engine");
    let second = Engine::start(folder.path(), small()).map(|_| ());
    assert!(second.is_err_and(|error| error.to_string().contains("in use")), "two engines over one folder");
    drop(engine);
    std::fs::write(folder.path().join("data/strange"), "whose?").expect("a file");
    drop(Engine::start(folder.path(), small()).expect("an engine"));
    assert_eq!(std::fs::read(folder.path().join("lost/strange")).expect("set aside"), b"whose?");
}

#[tokio::test]
async fn retention_gives_up_the_oldest_pages_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { retain_below: Some(("short/".into(), 10 << 10)), ..small() };
    let engine = Engine::start(folder.path(), options.clone()).expect("an engine");
    for path in ["short/a", "long"] {
        create(&engine, path, "text/plain").await;
    }
    let first = engine.append("short/a", text("x".repeat(500))).await.expect("appended").tail;
    for _ in 0..100 {
        engine.append("long", text("y".repeat(1000))).await.expect("appended");
        engine.append("short/a", text("y".repeat(1000))).await.expect("appended");
    }
    let reader = engine.reader("short/a").expect("a stream");
    let until = std::time::Instant::now() + Duration::from_mins(1);
    let oldest = || reader.view(Start::Beginning).expect("a view").from().position();
    let tail = reader.about().expect("about it").tail.position();
    while tail - oldest() > 16 << 10 {
        assert!(std::time::Instant::now() < until, "nothing was given up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(reader.view(Start::At(first)).map(|_| ()), Err(Refusal::Trimmed { .. })));
    let kept = read_all(&engine, "short/a").len();
    assert!(kept >= 10 << 10, "{kept} bytes kept");
    assert_eq!(read_all(&engine, "long").len(), 100_000, "what is not told to be short keeps everything");
    drop((reader, engine));
    let engine = Engine::start(folder.path(), Options { retain_below: None, retain_bytes: Some(10 << 10), ..options });
    let engine = engine.expect("an engine");
    assert!(read_all(&engine, "short/a").len() <= kept);
    // Not by reading it: what is given up meanwhile could not be read on.
    let reader = engine.reader("long").expect("a stream");
    let oldest = || reader.view(Start::Beginning).expect("a view").from().position();
    let until = std::time::Instant::now() + Duration::from_mins(1);
    while 100_000 - oldest() > 16 << 10 {
        assert!(std::time::Instant::now() < until, "nothing was given up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
