//! Changes that wait for each other become durable together, and each stands or falls alone; on both databases.

use std::future::Future;

use chatroom_domain::accounts::{Email, Instance, User};
use chatroom_protocol::{InstanceId, Timestamp, UserId};
use chatroom_store::events::{Feeds, NewEvent, Page, append, read};
use chatroom_store::{Store, StoreError, Tx, instances, users};
use tokio::task::JoinSet;

use crate::on_both;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Clone, Copy)]
struct Feed {
    user: UserId,
    instance: InstanceId,
}

async fn feed(store: &Store) -> Feed {
    let user =
        User { id: UserId::from_parts(NOW, 1), email: Email::parse("u@example.org").unwrap(), name: "u".to_owned() };
    let instance = Instance { id: InstanceId::from_parts(NOW, 1), name: "own".into(), owner: user.id };
    let tx = store.begin().await.unwrap();
    users::insert(&tx, &user, None, NOW).await.unwrap();
    instances::insert(&tx, &instance, NOW).await.unwrap();
    tx.commit().await.unwrap();
    Feed { user: user.id, instance: instance.id }
}

impl Feed {
    async fn say(self, tx: &Tx, what: &str) -> i64 {
        let event = NewEvent { kind: "test.happened", outcome: Some(what.to_owned()), ..NewEvent::default() };
        append(tx, Feeds::Of(self.instance), NOW, vec![event]).await.unwrap()[0].1
    }

    async fn said(self, store: &Store) -> Vec<(i64, String)> {
        match read(&store.reader(), self.instance, self.user, 0, 1000).await.unwrap() {
            Page::Events(events, _) => {
                events.into_iter().map(|event| (event.position, event.outcome.unwrap_or_default())).collect()
            }
            Page::Truncated(floor) => panic!("truncated at {floor}"),
        }
    }
}

/// Runs these changes so that all of them wait while another is under way.
async fn waiting<F>(store: &Store, changes: Vec<F>) -> Vec<Result<(), StoreError>>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let held = store.begin().await.unwrap();
    let mut running = Vec::new();
    for change in changes {
        let mut change = Box::pin(change);
        // Each has its place in the queue before the next one comes.
        assert!(futures_util::poll!(change.as_mut()).is_pending());
        running.push(tokio::spawn(change));
    }
    held.commit().await.unwrap();
    let mut ended = Vec::new();
    for change in running {
        ended.push(change.await.unwrap());
    }
    ended
}

#[tokio::test]
async fn one_that_fails_or_is_given_up_takes_no_other_with_it() {
    on_both(|store| async move {
        let feed = feed(&store).await;
        let change = |number: usize| {
            let store = store.clone();
            async move {
                let tx = store.begin().await?;
                feed.say(&tx, &number.to_string()).await;
                if number.is_multiple_of(3) {
                    // Its transaction cannot go on after this on PostgreSQL, and nobody else's is to notice.
                    return instances::insert(
                        &tx,
                        &Instance { id: feed.instance, name: "again".into(), owner: feed.user },
                        NOW,
                    )
                    .await;
                }
                if number.is_multiple_of(5) {
                    return Ok(());
                }
                tx.commit().await?;
                let said = feed.said(&store).await;
                assert!(said.iter().any(|(_, what)| *what == number.to_string()), "{number} is told, so it is there");
                Ok(())
            }
        };
        let ended = waiting(&store, (1..=20).map(change).collect()).await;
        for (number, ended) in (1..).zip(ended) {
            assert_eq!(ended.is_err_and(|error| error.is_duplicate()), number % 3 == 0, "{number}");
        }
        let expected: Vec<String> = (1..=20)
            .filter(|number| number % 3 != 0 && number % 5 != 0)
            .map(|number: u32| number.to_string())
            .collect();
        let expected: Vec<(i64, String)> = (1..).zip(expected).collect();
        assert_eq!(feed.said(&store).await, expected, "in the order in which they came, without gaps");
    })
    .await;
}

#[tokio::test]
async fn who_stops_waiting_keeps_nobody_waiting() {
    on_both(|store| async move {
        let feed = feed(&store).await;
        let held = store.begin().await.unwrap();
        let mut waits: Vec<_> = (0..10).map(|_| Box::pin(store.begin())).collect();
        for wait in &mut waits {
            assert!(futures_util::poll!(wait.as_mut()).is_pending());
        }
        let mut last = Box::pin(store.begin());
        assert!(futures_util::poll!(last.as_mut()).is_pending());
        // Some before their turn, some while they have it.
        drop(waits.split_off(5));
        held.commit().await.unwrap();
        drop(waits);
        let tx = last.await.unwrap();
        feed.say(&tx, "last").await;
        tx.commit().await.unwrap();
        assert_eq!(feed.said(&store).await, [(1, "last".to_owned())]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_is_written_whole_and_in_order() {
    on_both(|store| async move {
        let feed = feed(&store).await;
        let mut crowd = JoinSet::new();
        for number in 0..200 {
            let store = store.clone();
            crowd.spawn(async move {
                let tx = store.begin().await.unwrap();
                let position = feed.say(&tx, &number.to_string()).await;
                if number % 7 == 0 {
                    return None;
                }
                tx.commit().await.unwrap();
                Some((position, number.to_string()))
            });
        }
        let mut told: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
        told.sort_unstable();
        assert_eq!(feed.said(&store).await, told);
        let positions: Vec<i64> = told.iter().map(|(position, _)| *position).collect();
        assert!(positions.iter().copied().eq(1..=171), "{positions:?}");
    })
    .await;
}
