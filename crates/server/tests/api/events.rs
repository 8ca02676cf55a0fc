//! The feed: gapless, private, resumable, and over when its session is.

use std::time::{Duration, Instant};

use chatroom_testkit::world::{Feed, User, World};
use reqwest::Method;
use serde_json::{Value, json};

async fn make_room(user: &User, name: &str) {
    let made = user.post("/api/chatrooms", json!({ "name": name, "roles": ["a"], "instanceId": user.instance })).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

fn kinds(events: &Value) -> Vec<(i64, &str)> {
    let all = events.as_array().expect("events");
    all.iter().map(|event| (event["position"].as_i64().unwrap(), event["kind"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_member_reads_everything_but_what_is_private_to_another() {
    let world = World::start().await;
    let (alice, bob, carol) = (world.user("alice").await, world.user("bob").await, world.user("carol").await);
    world.befriend(&alice, &bob).await;
    make_room(&alice, "desk").await;
    let path = format!("/api/events?instance={}", alice.instance);
    let hers = alice.get(&path).await.body;
    assert_eq!(
        kinds(&hers["events"]),
        [
            (1, "user.signed_up"),
            (2, "session.created"),
            (3, "device.allowed"),
            (4, "session.created"),
            (5, "invitation.created"),
            (6, "member.joined"),
            (7, "room.created"),
        ]
    );
    assert_eq!(hers["next"], 7);
    let his = bob.get(&path).await.body;
    let seen: Vec<i64> = kinds(&his["events"]).iter().map(|(position, _)| *position).collect();
    assert_eq!((seen, &his["next"]), (vec![1, 5, 6, 7], &json!(7)));
    assert_eq!(carol.get(&path).await.status, 404);

    let page = alice.get(&format!("{path}&after=2&limit=2")).await.body;
    assert_eq!((kinds(&page["events"]).len(), &page["next"]), (2, &json!(4)));
    let own = alice.get("/api/events?after=6").await.body;
    assert_eq!((kinds(&own["events"]), &own["instanceId"]), (vec![(7, "room.created")], &json!(alice.instance)));
    assert_eq!(alice.get("/api/events?after=soon").await.text("code"), "invalid_request");
}

#[tokio::test]
async fn a_stream_goes_on_where_its_reader_was() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let mut feed = alice.follow("/api/events?after=4").await;
    make_room(&alice, "one").await;
    make_room(&alice, "two").await;
    for position in [5, 6] {
        assert_eq!(feed.next().await.expect("an event")["position"], position);
    }
    drop(feed);
    make_room(&alice, "three").await;
    let request = alice
        .request(Method::GET, "/api/events?after=0")
        .header("accept", "text/event-stream")
        .header("last-event-id", "6");
    let mut feed = Feed::open(request).await;
    let event = feed.next().await.expect("an event");
    assert_eq!((&event["position"], &event["outcome"]), (&json!(7), &json!("three")));

    let mut fresh = alice.follow("/api/events?after=now").await;
    make_room(&alice, "four").await;
    for feed in [&mut feed, &mut fresh] {
        assert_eq!(feed.next().await.expect("an event")["outcome"], "four", "what was before now is left out");
    }
    let wrong = alice.get("/api/events?after=soon").await;
    assert_eq!((wrong.status, wrong.text("code")), (400, "invalid_request"));

    // Many writers at once: no position is missing, none comes twice.
    let writers = (0..30).map(|n| {
        let alice = alice.clone();
        tokio::spawn(async move { make_room(&alice, &format!("r{n}")).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    for position in 9..39 {
        assert_eq!(feed.next().await.expect("an event")["position"], position);
    }
}

#[tokio::test]
async fn a_stream_ends_within_a_second_with_its_session_or_membership() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let laptop = bob.sign_cli_in("laptop").await;
    let sessions = bob.get("/api/auth/sessions").await.body;
    let id = sessions["sessions"][0]["sessionId"].as_str().unwrap().to_owned();

    let mut revoked = laptop.follow("/api/events?after=1000").await;
    let mut removed = bob.follow(&format!("/api/events?instance={}&after=1000", alice.instance)).await;
    let mut stays = bob.follow("/api/events?after=1000").await;
    let began = Instant::now();
    assert_eq!(bob.delete(&format!("/api/auth/sessions/{id}")).await.status, 200);
    assert_eq!(revoked.next().await, None);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    let began = Instant::now();
    alice.delete(&format!("/api/instances/{}/members/{}", alice.instance, bob.id)).await;
    assert_eq!(removed.next().await, None);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    let began = Instant::now();
    world.stop().await;
    assert_eq!(stays.next().await, None);
    assert!(began.elapsed() < Duration::from_secs(5), "a stream does not hold the stop up");
}

#[tokio::test]
async fn a_reader_who_was_away_too_long_learns_where_to_go_on() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    world.clock().advance(1000);
    make_room(&alice, "desk").await;
    let work = world.app().begin().await.unwrap();
    chatroom_store::events::prune(&work.tx, work.now.plus_millis(-500), 100).await.unwrap();
    work.commit().await.unwrap();

    for accept in ["application/json", "text/event-stream"] {
        let request = alice.request(Method::GET, "/api/events?after=1").header("accept", accept);
        let gone = alice.send(request).await;
        assert_eq!((gone.status, gone.text("code"), gone.text("state")), (410, "feed_truncated", "4"), "{accept}");
    }
    let kept = alice.get("/api/events").await.body;
    assert_eq!(kinds(&kept["events"]), [(5, "room.created")]);
}

#[tokio::test]
async fn an_audit_page_goes_back_and_says_who_did_what() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    world.befriend(&alice, &bob).await;
    let room = world.room(&alice, &["builder"]).await;
    let id = room.rsplit('/').next().unwrap().to_owned();
    bob.patch(&room, json!({ "name": "renamed" })).await;
    make_room(&alice, "other").await;
    let newest = 9_007_199_254_740_991_i64;
    let path = format!("/api/events?instance={}&before={newest}", alice.instance);

    let about = bob.get(&format!("{path}&chatroom={id}")).await.body;
    let told: Vec<_> =
        about["events"].as_array().unwrap().iter().map(|event| (&event["kind"], &event["userName"])).collect();
    assert_eq!(told, [(&json!("room.renamed"), &json!("bob")), (&json!("room.created"), &json!("alice"))]);
    assert_eq!((&about["next"], &about["events"][0]["outcome"]), (&json!(0), &json!("renamed")));

    let first = alice.get(&format!("{path}&kind=room&limit=2")).await.body;
    let kinds: Vec<_> =
        first["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["room.created", "room.renamed"]);
    let rest = format!("/api/events?instance={}&before={}&kind=room&limit=2", alice.instance, first["next"]);
    let rest = alice.get(&rest).await.body;
    assert_eq!((rest["events"].as_array().map(Vec::len), &rest["next"]), (Some(1), &json!(0)));

    let his = bob.get(&format!("{path}&user={}", bob.id)).await.body;
    assert!(his["events"].as_array().unwrap().iter().all(|event| event["userId"] == json!(bob.id)), "{his}");
    let hers = bob.get(&format!("{path}&kind=session")).await.body;
    assert_eq!(hers["events"], json!([]), "her sessions are hers to see");
    let at = about["events"][0]["at"].as_i64().unwrap();
    let later = alice.get(&format!("{path}&since={}", at + 3_600_000)).await.body;
    assert_eq!(later["events"], json!([]));
    for wrong in ["kind=room", "before=5&after=1", "before=5&kind=a%00", "before=5&limit=0", "chatroom=x&before=5"] {
        assert_eq!(alice.get(&format!("/api/events?{wrong}")).await.text("code"), "invalid_request", "{wrong}");
    }
}
