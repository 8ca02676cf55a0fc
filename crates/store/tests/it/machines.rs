//! Machines, their configurations and their commands, on both databases.

use chatroom_domain::accounts::{Email, Instance, User};
use chatroom_domain::agents::{Agent, Desired};
use chatroom_domain::commands::Command;
use chatroom_domain::machines::{AgentConfig, Alias, Machine, Watermark};
use chatroom_domain::rooms::Room;
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::agents::{PermissionMode, RunForm};
use chatroom_protocol::api::commands::{CommandStatus, CommandType};
use chatroom_protocol::api::machines::{ToolFacts, ToolPresence};
use chatroom_protocol::{CommandId, InstanceId, MachineId, ModelId, Role, RoomId, RunId, Timestamp, Tool, UserId};
use chatroom_store::machines::{Bearer, Connected, NextCredential};
use chatroom_store::{Store, agents, commands, configs, instances, machines, rooms, users};

use crate::on_both;

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub fn after(millis: i64) -> Timestamp {
    NOW.plus_millis(millis)
}

pub fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// Two people with a room and a machine each.
pub struct Cast {
    pub alice: UserId,
    pub bob: UserId,
    pub room: Room,
    pub laptop: Machine,
    pub server: Machine,
}

impl Cast {
    pub async fn meet(store: &Store) -> Self {
        let (alice, instance) = person(store, 1).await;
        let (bob, _) = person(store, 2).await;
        let room = Room {
            id: RoomId::from_parts(NOW, 1),
            instance,
            name: "room".into(),
            roles: vec![role("builder"), role("reviewer")],
            entry: role("builder"),
            created_at: NOW,
            instructions: None,
            archived_at: None,
        };
        let (laptop, server) = (machine(1, alice, "laptop"), machine(2, bob, "server"));
        let tx = store.begin().await.unwrap();
        rooms::insert(&tx, &room).await.unwrap();
        machines::insert(&tx, &laptop).await.unwrap();
        machines::insert(&tx, &server).await.unwrap();
        tx.commit().await.unwrap();
        Self { alice, bob, room, laptop, server }
    }
}

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

fn machine(n: u8, user: UserId, name: &str) -> Machine {
    Machine {
        id: id(n),
        user,
        hostname: format!("{name}.example"),
        alias: Alias::parse(name).unwrap(),
        os: "linux".into(),
        tools: vec![has(Tool::Claude)],
        daemon_version: None,
        epoch: 0,
        registered_at: NOW,
        last_seen_at: NOW,
        lease_until: None,
        renewal: 0,
        locked_at: None,
    }
}

fn id(n: u8) -> MachineId {
    format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().unwrap()
}

fn has(tool: Tool) -> ToolFacts {
    ToolFacts { tool, presence: ToolPresence::Installed, version: Some("1.0.0".into()) }
}

#[tokio::test]
async fn a_machine_is_its_users_alone() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        assert_eq!(machines::find(&reader, laptop, cast.alice).await.unwrap(), Some(cast.laptop.clone()));
        assert_eq!(machines::find(&reader, laptop, cast.bob).await.unwrap(), None);
        assert_eq!(machines::of(&reader, laptop).await.unwrap(), Some(cast.laptop.clone()));
        assert_eq!(machines::list(&reader, cast.bob).await.unwrap(), [cast.server]);

        let tx = store.begin().await.unwrap();
        let alias = Alias::parse("anvil").unwrap();
        assert!(!machines::rename(&tx, laptop, cast.bob, &alias).await.unwrap());
        assert!(machines::rename(&tx, laptop, cast.alice, &alias).await.unwrap());
        machines::refresh(&tx, laptop, "darwin", &[has(Tool::Pi)], after(5)).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.alias.as_str(), seen.hostname.as_str()), ("anvil", "laptop.example"));
        assert_eq!((seen.os.as_str(), seen.tools, seen.last_seen_at), ("darwin", vec![has(Tool::Pi)], after(5)));

        let tx = store.begin().await.unwrap();
        assert!(!machines::remove(&tx, laptop, cast.bob).await.unwrap());
        assert!(machines::remove(&tx, laptop, cast.alice).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(machines::of(&reader, laptop).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_replaced_as_a_whole() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        assert_eq!(machines::platform_token_sealed(&reader, laptop).await.unwrap(), None);
        for (token, sealed) in [("one", "sealed one"), ("two", "sealed two")] {
            let tx = store.begin().await.unwrap();
            machines::set_credential(&tx, laptop, &TokenHash::of(token), sealed.into()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let by = async |token: &str| machines::by_token(&reader, &TokenHash::of(token)).await.unwrap();
        let bearer = |is_next| Some(Bearer { machine: laptop, user: cast.alice, is_next });
        assert_eq!(by("one").await, None);
        assert_eq!(by("two").await, bearer(false));
        let sealed = machines::platform_token_sealed(&reader, laptop).await.unwrap();
        assert_eq!(sealed.as_deref(), Some("sealed two"));

        let next = NextCredential {
            token: TokenHash::of("three"),
            token_sealed: "sealed crm".into(),
            platform_token_sealed: "sealed three".into(),
        };
        let tx = store.begin().await.unwrap();
        machines::set_next_credential(&tx, laptop, &next).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((by("two").await, by("three").await), (bearer(false), bearer(true)), "both are good");
        let known = machines::known(&reader, laptop).await.unwrap().unwrap();
        assert_eq!(known.next.as_ref(), Some(&next));
        let some = machines::platform_tokens_sealed(&reader, &[laptop, cast.server.id, id(9)]).await.unwrap();
        assert_eq!(some, [(laptop, "sealed two".to_owned())].into(), "only whose there is");
        assert_eq!(machines::next_credential(&reader, laptop).await.unwrap(), Some(next));
        assert_eq!(machines::platform_token_sealed(&reader, laptop).await.unwrap(), sealed);

        let tx = store.begin().await.unwrap();
        assert!(!machines::promote_credential(&tx, laptop, &TokenHash::of("two")).await.unwrap());
        assert!(machines::promote_credential(&tx, laptop, &TokenHash::of("three")).await.unwrap());
        assert!(!machines::promote_credential(&tx, laptop, &TokenHash::of("three")).await.unwrap(), "once");
        tx.commit().await.unwrap();
        assert_eq!((by("two").await, by("three").await), (None, bearer(false)));
        assert_eq!(machines::next_credential(&reader, laptop).await.unwrap(), None);
        let sealed = machines::platform_token_sealed(&reader, laptop).await.unwrap();
        assert_eq!(sealed.as_deref(), Some("sealed three"));
    })
    .await;
}

fn daemon(epoch: u64, renewal: u64) -> Connected<'static> {
    Connected { epoch, version: "0.1.0", renewal, at: after(1), lease_until: after(100) }
}

#[tokio::test]
async fn a_count_never_goes_back_and_a_new_credential_begins_it_anew() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        let tx = store.begin().await.unwrap();
        for renewal in [3, 2] {
            machines::set_renewal(&tx, laptop, renewal).await.unwrap();
        }
        machines::connected(&tx, laptop, daemon(5, 3)).await.unwrap();
        machines::lock(&tx, laptop, after(2)).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.renewal, seen.epoch, seen.locked_at, seen.lease_until), (3, 5, Some(after(2)), None));

        let tx = store.begin().await.unwrap();
        machines::set_credential(&tx, laptop, &TokenHash::of("new"), "sealed".into()).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.renewal, seen.epoch, seen.locked_at), (0, 0, None));
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_begun_renewed_and_ended() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        let tx = store.begin().await.unwrap();
        machines::connected(&tx, laptop, daemon(3, 0)).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.epoch, seen.daemon_version.as_deref()), (3, Some("0.1.0")));
        assert!(seen.online(after(99)) && !seen.online(after(100)));

        let tx = store.begin().await.unwrap();
        machines::renew(&tx, &[laptop, id(9)], after(50), after(150)).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.last_seen_at, seen.lease_until), (after(50), Some(after(150))));
        let other = machines::of(&reader, cast.server.id).await.unwrap().unwrap();
        assert_eq!(other.lease_until, None);

        let tx = store.begin().await.unwrap();
        machines::disconnected(&tx, laptop, after(60)).await.unwrap();
        machines::set_tools(&tx, laptop, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let seen = machines::of(&reader, laptop).await.unwrap().unwrap();
        assert_eq!((seen.last_seen_at, seen.lease_until, seen.tools), (after(60), None, vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_watermark_names_its_journal() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        let before = machines::known(&reader, laptop).await.unwrap().map(|known| known.watermark);
        assert_eq!(before, Some(Watermark { journal: None, applied: 0 }));
        let tx = store.begin().await.unwrap();
        machines::set_watermark(&tx, laptop, "j1", 7).await.unwrap();
        tx.commit().await.unwrap();
        let now = machines::known(&reader, laptop).await.unwrap().map(|known| known.watermark);
        assert_eq!(now, Some(Watermark { journal: Some("j1".into()), applied: 7 }));
        assert!(machines::known(&reader, id(9)).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_configuration_is_kept_per_machine_and_shown_to_its_user() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let reader = store.reader();
        let config = AgentConfig {
            machine: cast.laptop.id,
            room: cast.room.id,
            role: role("builder"),
            tool: Tool::Claude,
            working_dir: "/srv/é".into(),
            model: Some(ModelId::parse("opus").unwrap()),
            mode: PermissionMode::Ask,
            form: RunForm::Managed,
            updated_at: NOW,
        };
        let theirs = AgentConfig { machine: cast.server.id, ..config.clone() };
        let changed = AgentConfig {
            tool: Tool::Pi,
            model: None,
            mode: PermissionMode::Auto,
            updated_at: after(1),
            ..config.clone()
        };
        for config in [&config, &theirs, &changed] {
            let tx = store.begin().await.unwrap();
            configs::put(&tx, config).await.unwrap();
            tx.commit().await.unwrap();
        }
        let found = configs::find(&reader, cast.laptop.id, cast.room.id, &role("builder")).await.unwrap();
        assert_eq!(found, Some(changed.clone()));
        let none = configs::find(&reader, cast.laptop.id, cast.room.id, &role("reviewer")).await.unwrap();
        assert_eq!(none, None);
        assert_eq!(configs::of_room(&reader, cast.room.id, cast.alice).await.unwrap(), [changed]);
        assert_eq!(configs::of_room(&reader, cast.room.id, cast.bob).await.unwrap(), [theirs]);
    })
    .await;
}

#[tokio::test]
async fn a_slot_keeps_what_is_wanted() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let reader = store.reader();
        assert_eq!(agents::find(&reader, cast.room.id, &role("builder")).await.unwrap(), None);
        let mut slot = Agent {
            room: cast.room.id,
            role: role("builder"),
            desired: Desired::Running,
            machine: Some(cast.laptop.id),
            run: Some(RunId::from_parts(NOW, 1)),
            shared: true,
            gave_up: None,
            counted_from: Timestamp(0),
            restart_at: None,
        };
        for gave_up in [None, Some("it crashed".to_owned())] {
            slot.gave_up = gave_up;
            let tx = store.begin().await.unwrap();
            agents::put(&tx, &slot).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(agents::find(&reader, cast.room.id, &slot.role).await.unwrap(), Some(slot.clone()));
        }
        assert_eq!(agents::on_machine(&reader, cast.laptop.id).await.unwrap(), [slot]);
        assert_eq!(agents::on_machine(&reader, cast.server.id).await.unwrap(), []);
    })
    .await;
}

fn command(cast: &Cast, n: u128, kind: CommandType) -> Command {
    Command {
        id: CommandId::from_parts(after(i64::try_from(n).unwrap()), n),
        machine: cast.laptop.id,
        kind,
        slot: kind.wants_agent().then(|| (cast.room.id, role("builder"))),
        run: None,
        status: CommandStatus::Pending,
        result: None,
        sent_by: cast.alice,
        created_at: after(i64::try_from(n).unwrap()),
        deadline_at: after(1000),
        received_at: None,
        processed_at: None,
    }
}

#[tokio::test]
async fn a_command_waits_is_taken_and_is_forgotten() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (reader, laptop) = (store.reader(), cast.laptop.id);
        let mut start = command(&cast, 1, CommandType::StartAgent);
        let mut ping = command(&cast, 2, CommandType::Ping);
        let tx = store.begin().await.unwrap();
        commands::insert(&tx, &ping, String::new()).await.unwrap();
        commands::insert(&tx, &start, "sealed".into()).await.unwrap();
        tx.commit().await.unwrap();
        let pending = commands::pending(&reader, laptop).await.unwrap();
        let pending: Vec<_> = pending.into_iter().map(|one| (one.command, one.push_sealed)).collect();
        assert_eq!(pending, [(start.clone(), "sealed".into()), (ping.clone(), String::new())]);
        assert_eq!(commands::count_pending(&reader, laptop).await.unwrap(), 2);
        assert_eq!(commands::count_pending(&reader, cast.server.id).await.unwrap(), 0);
        let open = async |name: &str| commands::has_open(&reader, laptop, cast.room.id, &role(name)).await.unwrap();
        assert!(open("builder").await && !open("reviewer").await);
        assert_eq!(commands::find(&reader, cast.server.id, ping.id).await.unwrap(), None);

        start.status = CommandStatus::Processing;
        start.received_at = Some(after(10));
        let tx = store.begin().await.unwrap();
        commands::update(&tx, &start).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(commands::pending(&reader, laptop).await.unwrap().len(), 1);
        assert!(open("builder").await);
        assert_eq!(commands::overdue(&reader, after(999)).await.unwrap(), []);
        assert_eq!(commands::overdue(&reader, after(1000)).await.unwrap(), [ping.clone()]);
        let late = after(10 + chatroom_domain::commands::PROCESSING_LIMIT_MS);
        assert_eq!(commands::overdue(&reader, late).await.unwrap(), [start.clone(), ping.clone()]);

        for command in [&mut start, &mut ping] {
            command.status = CommandStatus::Completed;
            command.result = Some("done".into());
            command.processed_at = Some(after(20));
            let tx = store.begin().await.unwrap();
            commands::update(&tx, command).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert!(!open("builder").await);
        assert_eq!(commands::list(&reader, laptop, None).await.unwrap(), [ping, start.clone()]);
        assert_eq!(commands::list(&reader, laptop, Some(CommandStatus::Pending)).await.unwrap(), []);

        let tx = store.begin().await.unwrap();
        assert_eq!(commands::prune(&tx, after(20), 10).await.unwrap(), 0);
        assert_eq!(commands::prune(&tx, after(21), 1).await.unwrap(), 1);
        assert_eq!(commands::prune(&tx, after(21), 10).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(commands::find(&reader, laptop, start.id).await.unwrap(), None);
    })
    .await;
}
