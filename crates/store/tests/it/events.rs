//! The feed, on both databases.

use chatroom_domain::accounts::{Email, Instance, User};
use chatroom_protocol::{InstanceId, RoomId, Timestamp, UserId};
use chatroom_store::events::{Feeds, NewEvent, Page, Past, append, past, prune, read};
use chatroom_store::{Store, instances, users};

use crate::on_both;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

async fn person(store: &Store, n: u128) -> (UserId, InstanceId) {
    let user = User {
        id: UserId::from_parts(NOW, n),
        email: Email::parse(&format!("u{n}@example.org")).unwrap(),
        name: format!("u{n}"),
    };
    let instance = Instance { id: InstanceId::from_parts(NOW, n), name: "own".into(), owner: user.id };
    let tx = store.begin().await.unwrap();
    users::insert(&tx, &user, None, NOW).await.unwrap();
    instances::insert(&tx, &instance, NOW).await.unwrap();
    tx.commit().await.unwrap();
    (user.id, instance.id)
}

fn positions(page: &Page) -> (Vec<i64>, i64) {
    match page {
        Page::Events(events, next) => (events.iter().map(|event| event.position).collect(), *next),
        Page::Truncated(floor) => panic!("truncated at {floor}"),
    }
}

#[tokio::test]
async fn a_feed_has_no_gaps_and_shows_nobody_what_is_private_to_another() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let (bob, other) = person(&store, 2).await;
        let tx = store.begin().await.unwrap();
        let event = |private_to| NewEvent { kind: "test.happened", private_to, ..NewEvent::default() };
        let events = [None, Some(alice), Some(bob)].map(event);
        assert_eq!(append(&tx, Feeds::Of(own), NOW, events.into()).await.unwrap(), [(own, 3)]);
        append(&tx, Feeds::Of(own), NOW, vec![event(None)]).await.unwrap();
        tx.commit().await.unwrap();

        let abandoned = store.begin().await.unwrap();
        append(&abandoned, Feeds::Of(own), NOW, vec![event(None)]).await.unwrap();
        drop(abandoned);
        let tx = store.begin().await.unwrap();
        let written = append(&tx, Feeds::Of(own), NOW, vec![event(None)]).await.unwrap();
        assert_eq!(written, [(own, 5)], "an undone change leaves no gap");
        tx.commit().await.unwrap();

        let reader = store.reader();
        assert_eq!(positions(&read(&reader, own, alice, 0, 10).await.unwrap()), (vec![1, 2, 4, 5], 5));
        assert_eq!(positions(&read(&reader, own, bob, 0, 10).await.unwrap()), (vec![1, 3, 4, 5], 5));
        assert_eq!(positions(&read(&reader, own, alice, 0, 2).await.unwrap()), (vec![1, 2], 2));
        assert_eq!(positions(&read(&reader, own, alice, 2, 2).await.unwrap()), (vec![4, 5], 5));
        assert_eq!(positions(&read(&reader, own, alice, 5, 2).await.unwrap()), (vec![], 5));
        assert_eq!(positions(&read(&reader, other, bob, 0, 2).await.unwrap()), (vec![], 0));
    })
    .await;
}

#[tokio::test]
async fn what_one_person_is_told_stands_in_each_feed_they_read() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let (bob, other) = person(&store, 2).await;
        let tx = store.begin().await.unwrap();
        instances::add_member(&tx, other, alice, NOW).await.unwrap();
        let event = |kind| NewEvent { kind, private_to: Some(alice), ..NewEvent::default() };
        append(&tx, Feeds::Of(other), NOW, vec![event("test.before")]).await.unwrap();
        let told = vec![event("test.told"), event("test.told-next")];
        let mut feeds = append(&tx, Feeds::ReadBy(alice), NOW, told.clone()).await.unwrap();
        feeds.sort();
        assert_eq!(feeds, [(own, 2), (other, 3)]);
        let nobody = UserId::from_parts(NOW, 3);
        assert_eq!(append(&tx, Feeds::ReadBy(nobody), NOW, told).await.unwrap(), [], "nobody");
        tx.commit().await.unwrap();
        let reader = store.reader();
        let kinds = |page: &Page| match page {
            Page::Events(events, _) => events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>(),
            Page::Truncated(floor) => panic!("truncated at {floor}"),
        };
        let in_own = read(&reader, own, alice, 0, 10).await.unwrap();
        assert_eq!(
            (positions(&in_own), kinds(&in_own)),
            ((vec![1, 2], 2), vec!["test.told".into(), "test.told-next".into()])
        );
        assert_eq!(positions(&read(&reader, other, alice, 0, 10).await.unwrap()), (vec![1, 2, 3], 3));
        assert_eq!(positions(&read(&reader, other, bob, 0, 10).await.unwrap()), (vec![], 3));
    })
    .await;
}

#[tokio::test]
async fn a_pruned_feed_says_where_it_begins_now() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let tx = store.begin().await.unwrap();
        for at in 0..4 {
            let event = NewEvent { kind: "test.happened", ..NewEvent::default() };
            append(&tx, Feeds::Of(own), NOW.plus_millis(at * 1000), vec![event]).await.unwrap();
        }
        assert_eq!(prune(&tx, NOW.plus_millis(2000), 10).await.unwrap(), 2);
        assert_eq!(prune(&tx, NOW.plus_millis(2000), 10).await.unwrap(), 0);
        tx.commit().await.unwrap();
        let reader = store.reader();
        assert_eq!(read(&reader, own, alice, 1, 10).await.unwrap(), Page::Truncated(2));
        assert_eq!(positions(&read(&reader, own, alice, 2, 10).await.unwrap()), (vec![3, 4], 4));
    })
    .await;
}

#[tokio::test]
async fn a_feed_is_read_backwards_in_parts() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let (bob, _) = person(&store, 2).await;
        let room = RoomId::from_parts(NOW, 1);
        let tx = store.begin().await.unwrap();
        for (at, kind, private_to, user, room) in [
            (0, "task.pending", None, Some(alice), Some(room)),
            (1, "task.completed", None, None, Some(room)),
            (2, "tasks", Some(bob), Some(bob), None),
            (3, "machine.renamed", Some(alice), Some(alice), None),
            (4, "task.pending", None, Some(bob), None),
        ] {
            let event = NewEvent { kind, private_to, user, room, ..NewEvent::default() };
            append(&tx, Feeds::Of(own), NOW.plus_millis(at), vec![event]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let reader = store.reader();
        let all = Past { before: i64::MAX, limit: 9, ..Past::default() };
        for (which, expected) in [
            (all.clone(), (vec![5, 4, 2, 1], 0)),
            (Past { limit: 2, ..all.clone() }, (vec![5, 4], 4)),
            (Past { limit: 2, before: 4, ..all.clone() }, (vec![2, 1], 1)),
            (Past { kind: Some("task".into()), ..all.clone() }, (vec![5, 2, 1], 0)),
            (Past { kind: Some("task.pending".into()), ..all.clone() }, (vec![5, 1], 0)),
            (Past { kind: Some("t_sk".into()), ..all.clone() }, (vec![], 0)),
            (Past { room: Some(room), ..all.clone() }, (vec![2, 1], 0)),
            (Past { user: Some(bob), ..all.clone() }, (vec![5], 0)),
            (Past { since: Some(NOW.plus_millis(1)), until: Some(NOW.plus_millis(3)), ..all.clone() }, (vec![4, 2], 0)),
        ] {
            let (events, next) = past(&reader, own, alice, &which).await.unwrap();
            let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
            assert_eq!((positions, next), expected, "{which:?}");
        }
        let (events, _) = past(&reader, own, alice, &all).await.unwrap();
        let names: Vec<_> = events.iter().map(|event| event.user_name.as_deref()).collect();
        assert_eq!(names, [Some("u2"), Some("u1"), None, Some("u1")]);
    })
    .await;
}
