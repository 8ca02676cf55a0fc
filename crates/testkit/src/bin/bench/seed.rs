//! People, machines and rooms, written by the server's own code before the server under test takes over.

use std::path::PathBuf;

use anyhow::Context as _;
use chatroom_domain::access::Caller;
use chatroom_protocol::api::machines::{MachineCredential, RegisterMachine};
use chatroom_protocol::api::rooms::CreateRoom;
use chatroom_protocol::api::tasks::Join;
use chatroom_protocol::{MachineId, Role, SessionId, UserId};
use chatroom_server::config::Flags;
use chatroom_server::{machines, rooms, tasks};
use chatroom_testkit::world::{Client, User, World};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// How much is written at once.
const TOGETHER: usize = 250;

/// What is to be made.
pub struct Wish {
    /// Where the server will be.
    pub port: u16,
    /// Its database, if not beside its data.
    pub database: Option<String>,
    /// How many people share the machines and rooms.
    pub people: usize,
    /// Machines that have an identity already.
    pub real: Vec<MachineId>,
    /// Machines beside them.
    pub others: usize,
    /// Rooms with somebody who waits.
    pub rooms: usize,
}

/// What was made.
pub struct Seeded {
    folder: TempDir,
    /// The people.
    pub people: Vec<User>,
    /// The real machines first.
    pub machines: Vec<Machine>,
    /// The rooms.
    pub rooms: Vec<Room>,
}

/// A machine with its credential.
#[derive(Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Its id.
    pub id: MachineId,
    /// Whose it is.
    pub owner: usize,
    /// What it and the server know each other by.
    pub credential: MachineCredential,
}

/// A room with one role, for which its owner waits.
pub struct Room {
    /// Its path.
    pub path: String,
    /// Whose it is.
    pub owner: usize,
    /// The wait.
    pub connection: String,
}

impl Seeded {
    /// Returns the folder of the server's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the requests of a person.
    pub fn person(&self, index: usize) -> &Client {
        &self.people[index % self.people.len()]
    }
}

/// Makes it all.
pub async fn seed(wish: Wish) -> anyhow::Result<Seeded> {
    let flags = Flags { open_sign_up: Some(true), port: Some(wish.port), database: wish.database, ..Flags::default() };
    let world = World::start_with(flags).await;
    let mut people = Vec::new();
    for index in 0..wish.people {
        people.push(world.user(&format!("person{index}")).await);
    }
    let owners: Vec<UserId> = people.iter().map(|person| person.id.parse()).collect::<Result<_, _>>()?;
    let ids = wish.real.iter().copied().chain((0..wish.others).map(|_| MachineId(uuid::Uuid::new_v4())));
    let ids: Vec<(usize, MachineId)> = ids.enumerate().collect();
    let mut machines = Vec::new();
    for some in ids.chunks(TOGETHER) {
        machines.extend(make_machines(&world, &owners, some).await?);
    }
    let numbers: Vec<usize> = (0..wish.rooms).collect();
    let mut rooms = Vec::new();
    for some in numbers.chunks(TOGETHER) {
        rooms.extend(make_rooms(&world, &owners, some, machines.first().context("no machine")?.id).await?);
    }
    Ok(Seeded { folder: world.hand_over().await, people, machines, rooms })
}

async fn make_machines(world: &World, owners: &[UserId], some: &[(usize, MachineId)]) -> anyhow::Result<Vec<Machine>> {
    let mut work = world.app().begin().await?;
    let mut made = Vec::new();
    for (index, id) in some {
        let owner = index % owners.len();
        let body =
            RegisterMachine { hostname: format!("computer{index}"), os: "linux".into(), available_tools: Vec::new() };
        let machine = machines::register(&mut work, owners[owner], *id, body).await?;
        let issued = machines::credential::issue(&mut work, machine).await?;
        made.push(Machine { id: *id, owner, credential: issued.credential });
    }
    work.commit().await?;
    Ok(made)
}

async fn make_rooms(world: &World, owners: &[UserId], some: &[usize], machine: MachineId) -> anyhow::Result<Vec<Room>> {
    let mut work = world.app().begin().await?;
    let role: Role = "builder".parse()?;
    let mut made = Vec::new();
    for index in some {
        let owner = index % owners.len();
        let body =
            CreateRoom { name: format!("room {index}"), roles: vec![role.clone()], entry: None, instance_id: None };
        let room = rooms::create(&mut work, owners[owner], body).await?;
        let connection = format!("{:032x}", uuid::Uuid::new_v4().as_u128());
        let join =
            Join { connection_id: connection.clone(), machine_id: Some(machine), agent_type: None, take_over: false };
        let caller = Caller::Person { user: owners[owner], session: SessionId::from_parts(work.now, 1) };
        tasks::wait::join(&mut work, &caller, &room, &role, join).await?;
        made.push(Room { path: format!("/api/chatrooms/{}", room.id), owner, connection });
    }
    work.commit().await?;
    Ok(made)
}
