//! Rooms, messages, tasks and waiters, on both databases.

use chatroom_domain::accounts::{Email, Instance, User};
use chatroom_domain::attachments::{Attachment, Media};
use chatroom_domain::messages::{Message, Sender};
use chatroom_domain::rooms::{Instructions, Room};
use chatroom_domain::tasks::{Holder, Task, Waiter};
use chatroom_protocol::api::rooms::{MessageKind, Target};
use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{
    AttachmentId, InstanceId, MachineId, MessageId, Role, RoomId, RunId, TaskId, Timestamp, UserId,
};
use chatroom_store::messages::Window;
use chatroom_store::{Store, attachments, instances, messages, rooms, tasks, users, waiters};

use crate::on_both;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// Writes a person with an instance of their own.
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
    instances::add_member(&tx, instance.id, user.id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    (user.id, instance.id)
}

async fn room(store: &Store, instance: InstanceId, n: u128) -> Room {
    let room = Room {
        id: RoomId::from_parts(NOW, n),
        instance,
        name: "room".into(),
        roles: vec![role("builder"), role("reviewer")],
        entry: role("builder"),
        created_at: NOW,
        instructions: None,
        archived_at: None,
    };
    let tx = store.begin().await.unwrap();
    rooms::insert(&tx, &room).await.unwrap();
    tx.commit().await.unwrap();
    room
}

fn message(room: RoomId, user: UserId, n: u128, position: i64, queued: bool) -> Message {
    Message {
        id: MessageId::from_parts(NOW, n),
        room,
        kind: MessageKind::Message,
        sender: if n.is_multiple_of(2) { Sender::User } else { Sender::Role(role("builder")) },
        user: Some(user),
        target: Some(Target::Role(role("builder"))),
        content: format!("m{n} é\n"),
        position,
        queued,
        task: None,
        created_at: NOW,
        run: n.is_multiple_of(3).then(|| RunId::from_parts(NOW, n)),
        attachments: Vec::new(),
    }
}

#[tokio::test]
async fn a_room_is_found_by_its_members_only() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let (bob, _) = person(&store, 2).await;
        let made = room(&store, own, 1).await;
        let reader = store.reader();
        assert_eq!(rooms::find(&reader, made.id, alice).await.unwrap(), Some(made.clone()));
        assert_eq!(rooms::find(&reader, made.id, bob).await.unwrap(), None);
        assert_eq!(rooms::list(&reader, bob).await.unwrap(), []);
        assert_eq!(rooms::list(&reader, alice).await.unwrap(), std::slice::from_ref(&made));
        assert_eq!(rooms::of(&reader, made.id).await.unwrap(), Some(made.clone()));

        let changed = Room {
            name: "other".into(),
            instructions: Some(Instructions { text: "be kind".into(), by: alice, at: NOW }),
            archived_at: Some(NOW),
            ..made
        };
        let tx = store.begin().await.unwrap();
        rooms::update(&tx, &changed).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(rooms::list(&reader, alice).await.unwrap(), [], "it is put away");
        assert_eq!(rooms::find(&reader, changed.id, alice).await.unwrap(), Some(changed));
    })
    .await;
}

#[tokio::test]
async fn messages_are_read_in_order_and_leave_the_queue_once() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let made = room(&store, own, 1).await;
        let tx = store.begin().await.unwrap();
        for n in 0..4 {
            let position = rooms::next_position(&tx, made.id, NOW).await.unwrap();
            assert_eq!(position, i64::try_from(n).unwrap() + 1);
            messages::insert(&tx, &message(made.id, alice, n, position, n == 3)).await.unwrap();
        }
        tx.commit().await.unwrap();

        let reader = store.reader();
        let ids = |found: Vec<Message>| found.into_iter().map(|message| message.position).collect::<Vec<_>>();
        for (window, expected) in [
            (Window { limit: 9, ..Window::default() }, vec![1, 2, 3]),
            (Window { limit: 2, ..Window::default() }, vec![2, 3]),
            (Window { after: Some(1), limit: 1, ..Window::default() }, vec![2]),
            (Window { before: Some(3), limit: 1, ..Window::default() }, vec![2]),
            (Window { after: Some(1), before: Some(3), limit: 9, ..Window::default() }, vec![2]),
            (Window { sender: Some("builder".into()), limit: 9, ..Window::default() }, vec![2]),
        ] {
            assert_eq!(ids(messages::history(&reader, made.id, &window).await.unwrap()), expected, "{window:?}");
        }
        let queued = messages::queue(&reader, made.id).await.unwrap();
        assert_eq!(queued, [message(made.id, alice, 3, 4, true)]);

        let task = TaskId::from_parts(NOW, 1);
        let edited = Message { content: "other".into(), target: Some(Target::User), ..queued[0].clone() };
        let tx = store.begin().await.unwrap();
        assert!(messages::edit_queued(&tx, &edited).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(messages::queue(&reader, made.id).await.unwrap(), std::slice::from_ref(&edited));
        let tx = store.begin().await.unwrap();
        messages::promote(&tx, queued[0].id, 5, task, Timestamp(NOW.0 + 1)).await.unwrap();
        assert!(!messages::edit_queued(&tx, &edited).await.unwrap(), "it is work already");
        assert!(!messages::delete_queued(&tx, made.id, queued[0].id).await.unwrap(), "it is work already");
        tx.commit().await.unwrap();
        let promoted = messages::find(&reader, made.id, queued[0].id).await.unwrap().unwrap();
        assert_eq!((promoted.position, promoted.queued, promoted.task), (5, false, Some(task)));
    })
    .await;
}

#[tokio::test]
async fn a_task_is_kept_as_it_was_written() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let made = room(&store, own, 1).await;
        let said = message(made.id, alice, 2, 1, false);
        let mut task = Task {
            id: TaskId::from_parts(NOW, 1),
            room: made.id,
            role: role("builder"),
            state: TaskState::Pending,
            message: said.id,
            position: 1,
            author: alice,
            carries: Some(alice),
            approved_by: None,
            holder: None,
            held_since: None,
            hops: 3,
            handoff: None,
            next: None,
            created_at: NOW,
        };
        let tx = store.begin().await.unwrap();
        messages::insert(&tx, &said).await.unwrap();
        tasks::insert(&tx, &task).await.unwrap();
        tx.commit().await.unwrap();
        let reader = store.reader();
        assert_eq!(tasks::find(&reader, made.id, task.id).await.unwrap(), Some(task.clone()));
        assert_eq!(tasks::count_active(&reader, made.id).await.unwrap(), 1);

        let holder = Holder::Wait(alice, "connection".into());
        task.state = TaskState::Acknowledged;
        task.holder = Some(holder.clone());
        task.held_since = Some(NOW);
        task.approved_by = Some(alice);
        let tx = store.begin().await.unwrap();
        tasks::update(&tx, &task, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(tasks::held_by(&reader, &holder).await.unwrap(), [task.clone()]);
        assert_eq!(tasks::unstarted(&reader, Timestamp(NOW.0 + 1)).await.unwrap(), [task.clone()]);
        assert_eq!(tasks::unstarted(&reader, NOW).await.unwrap(), []);

        task.state = TaskState::Completed;
        let tx = store.begin().await.unwrap();
        tasks::update(&tx, &task, Some(NOW)).await.unwrap();
        tasks::update(&tx, &task, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(tasks::held_by(&reader, &holder).await.unwrap(), []);
        assert_eq!(tasks::active(&reader, made.id).await.unwrap(), []);
        assert_eq!(tasks::completed(&reader, made.id, 9).await.unwrap(), [task]);
    })
    .await;
}

#[tokio::test]
async fn a_role_has_one_waiter() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let made = room(&store, own, 1).await;
        let older = Waiter {
            room: made.id,
            role: role("builder"),
            connection: "older".into(),
            user: alice,
            machine: MachineId(uuid::Uuid::from_u128(7)),
            joined_at: NOW,
            seen_at: NOW,
            ended_at: None,
        };
        let newer = Waiter { connection: "newer".into(), joined_at: Timestamp(NOW.0 + 5), ..older.clone() };
        let tx = store.begin().await.unwrap();
        waiters::put(&tx, &older).await.unwrap();
        waiters::put(&tx, &newer).await.unwrap();
        assert!(!waiters::seen(&tx, made.id, &older.role, "older", NOW).await.unwrap());
        assert!(waiters::seen(&tx, made.id, &older.role, "newer", Timestamp(NOW.0 + 9)).await.unwrap());
        tx.commit().await.unwrap();
        let expected = Waiter { seen_at: Timestamp(NOW.0 + 9), ..newer };
        let reader = store.reader();
        assert_eq!(waiters::find(&reader, made.id, &older.role).await.unwrap(), Some(expected.clone()));
        assert_eq!(waiters::of_room(&reader, made.id).await.unwrap(), [expected]);
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_not_committed_leaves_no_trace() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let tx = store.begin().await.unwrap();
        let lost = Room {
            id: RoomId::from_parts(NOW, 9),
            instance: own,
            name: "lost".into(),
            roles: vec![role("a")],
            entry: role("a"),
            created_at: NOW,
            instructions: None,
            archived_at: None,
        };
        rooms::insert(&tx, &lost).await.unwrap();
        drop(tx);
        assert_eq!(rooms::list(&store.reader(), alice).await.unwrap(), []);
        // The writer is free again.
        store.begin().await.unwrap().commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_attachment_waits_for_one_message_and_goes_with_it() {
    on_both(|store| async move {
        let (alice, own) = person(&store, 1).await;
        let (bob, _) = person(&store, 2).await;
        let made = room(&store, own, 1).await;
        let bytes: Vec<u8> = (0..=255).collect();
        let file = |n: u128| Attachment {
            id: AttachmentId::from_parts(NOW, n),
            room: made.id,
            user: alice,
            message: None,
            name: "größe.png".parse().unwrap(),
            media: Media::Png,
            size: 256,
            created_at: NOW,
        };
        let said = message(made.id, alice, 2, 1, true);
        let tx = store.begin().await.unwrap();
        for n in 1..=3 {
            attachments::insert(&tx, &file(n), &bytes).await.unwrap();
        }
        messages::insert(&tx, &said).await.unwrap();
        assert!(!attachments::claim(&tx, made.id, bob, file(1).id, said.id, 0).await.unwrap(), "it is not his");
        assert!(attachments::claim(&tx, made.id, alice, file(2).id, said.id, 0).await.unwrap());
        assert!(attachments::claim(&tx, made.id, alice, file(1).id, said.id, 1).await.unwrap());
        assert!(!attachments::claim(&tx, made.id, alice, file(1).id, said.id, 2).await.unwrap(), "it is taken");
        tx.commit().await.unwrap();

        let reader = store.reader();
        let beside = |n: u128| Attachment { message: Some(said.id), ..file(n) };
        let found = messages::find(&reader, made.id, said.id).await.unwrap().unwrap();
        assert_eq!(found.attachments, [beside(2), beside(1)], "in the order of their sender");
        assert_eq!(messages::queue(&reader, made.id).await.unwrap()[0].attachments.len(), 2);
        assert_eq!(attachments::bytes(&reader, file(2).id).await.unwrap(), Some(bytes));
        assert_eq!(attachments::count_waiting(&reader, alice).await.unwrap(), 1);

        let tx = store.begin().await.unwrap();
        assert_eq!(attachments::prune(&tx, NOW, 9).await.unwrap(), 0);
        assert_eq!(attachments::prune(&tx, NOW.plus_millis(1), 9).await.unwrap(), 1);
        messages::delete_queued(&tx, made.id, said.id).await.unwrap();
        tx.commit().await.unwrap();
        for n in 1..=3 {
            assert_eq!(attachments::find(&reader, made.id, file(n).id).await.unwrap(), None);
        }
    })
    .await;
}
