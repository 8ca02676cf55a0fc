//! People, sign-ins, codes, devices and tenants, on both databases.

use chatroom_domain::accounts::{CodePurpose, Email, Instance, Session, User};
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::auth::{Decision, SessionKind};
use chatroom_protocol::{InstanceId, SessionId, Timestamp, UserId};
use chatroom_store::codes::{self, Grant};
use chatroom_store::devices::{self, Polled, Request};
use chatroom_store::{Place, Store, StoreError, instances, sessions, users};

use crate::on_both;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn after(millis: i64) -> Timestamp {
    NOW.plus_millis(millis)
}

fn hash(text: &str) -> TokenHash {
    TokenHash::of(text)
}

async fn person(store: &Store, n: u8) -> User {
    let at = after(i64::from(n));
    let user = User {
        id: UserId::from_parts(at, n.into()),
        email: Email::parse(&format!("u{n}@example.org")).unwrap(),
        name: format!("u{n}"),
    };
    let tx = store.begin().await.unwrap();
    users::insert(&tx, &user, Some(format!("hash {n}")), at).await.unwrap();
    tx.commit().await.unwrap();
    user
}

fn session(user: &User, n: u128) -> Session {
    Session {
        id: SessionId::from_parts(NOW, n),
        user: user.id,
        kind: SessionKind::Cli,
        label: format!("laptop {n}"),
        created_at: NOW,
        last_used_at: NOW,
        expires_at: after(1000),
    }
}

#[tokio::test]
async fn a_person_is_found_by_id_and_email() {
    on_both(|store| async move {
        assert_eq!(users::first(&store.reader()).await.unwrap(), None);
        let (alice, bob) = (person(&store, 1).await, person(&store, 2).await);
        let reader = store.reader();
        assert_eq!(users::first(&reader).await.unwrap(), Some(alice.clone()));
        assert_eq!(users::find(&reader, bob.id).await.unwrap(), Some(bob.clone()));
        let found = users::by_email(&reader, &bob.email).await.unwrap();
        assert_eq!(found, Some((bob.clone(), Some("hash 2".into()))));
        assert_eq!(users::by_email(&reader, &Email::parse("x@y").unwrap()).await.unwrap(), None);

        let tx = store.begin().await.unwrap();
        users::set_password_hash(&tx, bob.id, Some("next".into())).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(users::password_hash(&reader, bob.id).await.unwrap(), Some("next".into()));
        assert_eq!(users::password_hash(&reader, alice.id).await.unwrap(), Some("hash 1".into()));

        let tx = store.begin().await.unwrap();
        let twin = User { id: UserId::from_parts(NOW, 9), ..bob };
        assert!(users::insert(&tx, &twin, None, NOW).await.unwrap_err().is_duplicate());
    })
    .await;
}

#[tokio::test]
async fn a_session_lives_until_it_expires_or_is_revoked_by_its_person() {
    on_both(|store| async move {
        let (alice, bob) = (person(&store, 1).await, person(&store, 2).await);
        let (one, two) = (session(&alice, 1), session(&alice, 2));
        let tx = store.begin().await.unwrap();
        sessions::insert(&tx, &one, &hash("one")).await.unwrap();
        sessions::insert(&tx, &two, &hash("two")).await.unwrap();
        sessions::used(&tx, two.id, after(500)).await.unwrap();
        sessions::used(&tx, two.id, after(400)).await.unwrap();
        tx.commit().await.unwrap();

        let reader = store.reader();
        assert_eq!(sessions::by_token(&reader, &hash("one"), NOW).await.unwrap(), Some(one.clone()));
        assert_eq!(sessions::by_token(&reader, &hash("one"), after(1000)).await.unwrap(), None, "expired");
        assert_eq!(sessions::by_token(&reader, &hash("three"), NOW).await.unwrap(), None);
        let two = Session { last_used_at: after(500), ..two };
        assert_eq!(sessions::of_user(&reader, alice.id, NOW).await.unwrap(), [two.clone(), one.clone()]);
        assert_eq!(sessions::of_user(&reader, bob.id, NOW).await.unwrap(), []);
        assert_eq!(sessions::find(&reader, one.id, bob.id, NOW).await.unwrap(), None);

        let tx = store.begin().await.unwrap();
        assert!(!sessions::revoke(&tx, one.id, bob.id, NOW).await.unwrap(), "not bob's");
        assert!(sessions::revoke(&tx, one.id, alice.id, NOW).await.unwrap());
        assert!(!sessions::revoke(&tx, one.id, alice.id, NOW).await.unwrap(), "it is over");
        tx.commit().await.unwrap();
        assert_eq!(sessions::by_token(&reader, &hash("one"), NOW).await.unwrap(), None);
        assert_eq!(sessions::of_user(&reader, alice.id, NOW).await.unwrap(), std::slice::from_ref(&two));

        let tx = store.begin().await.unwrap();
        assert_eq!(sessions::sweep(&tx, after(1)).await.unwrap(), 1);
        assert_eq!(sessions::sweep(&tx, after(1001)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_code_works_once_in_time_and_for_its_purpose() {
    on_both(|store| async move {
        let alice = person(&store, 1).await;
        let grant =
            Grant { purpose: CodePurpose::SignIn, user: Some(alice.id), instance: None, expires_at: after(1000) };
        let tx = store.begin().await.unwrap();
        for code in ["one", "two", "late"] {
            codes::insert(&tx, &hash(code), grant, NOW).await.unwrap();
        }
        assert_eq!(codes::take(&tx, &hash("one"), CodePurpose::Enrolment, NOW).await.unwrap(), None);
        assert_eq!(codes::take(&tx, &hash("one"), CodePurpose::SignIn, NOW).await.unwrap(), Some(grant));
        assert_eq!(codes::take(&tx, &hash("one"), CodePurpose::SignIn, NOW).await.unwrap(), None);
        assert_eq!(codes::take(&tx, &hash("late"), CodePurpose::SignIn, after(1000)).await.unwrap(), None);
        codes::withdraw_all(&tx, CodePurpose::SignIn).await.unwrap();
        assert_eq!(codes::take(&tx, &hash("two"), CodePurpose::SignIn, NOW).await.unwrap(), None);
        assert_eq!(codes::sweep(&tx, after(1001)).await.unwrap(), 1, "the used one");
    })
    .await;
}

#[tokio::test]
async fn a_device_is_decided_once_and_picked_up_once() {
    on_both(|store| async move {
        let alice = person(&store, 1).await;
        let request = |n: u8| Request {
            device: format!("laptop {n}"),
            version: "0.1.0".into(),
            created_at: NOW,
            expires_at: after(300_000),
        };
        let tx = store.begin().await.unwrap();
        for (n, device, code) in [(1, "d1", "c1"), (2, "d2", "c2"), (3, "d3", "c3")] {
            devices::insert(&tx, &hash(device), &hash(code), &request(n)).await.unwrap();
        }
        assert_eq!(devices::poll(&tx, &hash("d1"), NOW).await.unwrap(), Some(Polled::Pending));
        assert_eq!(devices::poll(&tx, &hash("d1"), after(500)).await.unwrap(), Some(Polled::TooSoon));
        assert_eq!(devices::poll(&tx, &hash("d1"), after(2500)).await.unwrap(), Some(Polled::Pending));
        assert_eq!(devices::find(&tx, &hash("c1"), NOW).await.unwrap(), Some(request(1)));
        assert_eq!(devices::find(&tx, &hash("d1"), NOW).await.unwrap(), None, "the two codes differ");

        let decide =
            async |code: &str, decision, at| devices::decide(&tx, &hash(code), alice.id, decision, at).await.unwrap();
        assert_eq!(decide("c1", Decision::Allow, NOW).await, Some(request(1)));
        assert_eq!(decide("c1", Decision::Deny, NOW).await, None, "it is decided");
        assert_eq!(decide("c2", Decision::Deny, NOW).await, Some(request(2)));
        assert_eq!(decide("c3", Decision::Allow, after(300_000)).await, None, "too late");
        assert_eq!(devices::find(&tx, &hash("c1"), NOW).await.unwrap(), None);
        let allowed = Polled::Allowed(alice.id, request(1));
        assert_eq!(devices::poll(&tx, &hash("d1"), after(2600)).await.unwrap(), Some(allowed));
        assert_eq!(devices::poll(&tx, &hash("d1"), after(5000)).await.unwrap(), None, "picked up once");
        assert_eq!(devices::poll(&tx, &hash("d2"), NOW).await.unwrap(), Some(Polled::Denied));
        assert_eq!(devices::poll(&tx, &hash("d3"), after(300_000)).await.unwrap(), None);
        assert_eq!(devices::sweep(&tx, after(300_001)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_instance_is_seen_by_its_members_only() {
    on_both(|store| async move {
        let (alice, bob) = (person(&store, 1).await, person(&store, 2).await);
        let own = |n: u8, owner: &User| Instance {
            id: InstanceId::from_parts(after(n.into()), n.into()),
            name: format!("of {}", owner.name),
            owner: owner.id,
        };
        let (hers, his) = (own(1, &alice), own(2, &bob));
        let tx = store.begin().await.unwrap();
        instances::insert(&tx, &hers, after(1)).await.unwrap();
        instances::insert(&tx, &his, after(2)).await.unwrap();
        tx.commit().await.unwrap();
        let reader = store.reader();
        assert_eq!(instances::find(&reader, hers.id, bob.id).await.unwrap(), None);
        assert_eq!(instances::members(&reader, hers.id, bob.id).await.unwrap(), []);

        let tx = store.begin().await.unwrap();
        assert!(instances::add_member(&tx, hers.id, bob.id, after(3)).await.unwrap());
        assert!(!instances::add_member(&tx, hers.id, bob.id, after(4)).await.unwrap(), "he is one already");
        tx.commit().await.unwrap();
        assert_eq!(instances::of_user(&reader, bob.id).await.unwrap(), [his, hers.clone()], "his own first");
        let both = [alice.clone(), bob.clone()];
        assert_eq!(instances::members(&reader, hers.id, bob.id).await.unwrap(), both);

        let invitation = Grant {
            purpose: CodePurpose::Invitation,
            user: Some(bob.id),
            instance: Some(hers.id),
            expires_at: after(1000),
        };
        let tx = store.begin().await.unwrap();
        codes::insert(&tx, &hash("in"), invitation, NOW).await.unwrap();
        codes::withdraw(&tx, bob.id, hers.id).await.unwrap();
        assert_eq!(codes::take(&tx, &hash("in"), CodePurpose::Invitation, NOW).await.unwrap(), None);
        assert!(instances::remove_member(&tx, hers.id, bob.id).await.unwrap());
        assert!(!instances::remove_member(&tx, hers.id, bob.id).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(instances::find(&reader, hers.id, bob.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_second_server_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Place::Sqlite(folder.path().join("chatroom.db"));
    let postgres = chatroom_testkit::postgres::fresh_database().await.unwrap();
    for place in [sqlite, Place::Postgres(postgres.to_string())] {
        let first = Store::open(&place).await.unwrap();
        let refused = Store::open(&place).await.err().unwrap();
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
        drop(first);
        reopened(&place).await;
    }
}

/// Opens a store again; a PostgreSQL notices with a delay that a connection is gone.
async fn reopened(place: &Place) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while let Err(error) = Store::open(place).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
