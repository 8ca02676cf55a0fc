//! The rooms of a person, with what is new in each and what waits for them: the same few statements however many rooms.

use std::collections::HashMap;

use chatroom_domain::access::may_reach;
use chatroom_domain::agents::{Agent, Run};
use chatroom_domain::machines::Machine;
use chatroom_domain::rooms::Room;
use chatroom_domain::tasks::{Task, Waiter};
use chatroom_protocol::api::agents::AgentStatus;
use chatroom_protocol::api::rooms::{NeedsYou, RoomEntry, Rooms};
use chatroom_protocol::api::tasks::TaskState;
use chatroom_protocol::{MachineId, MessageId, Role, RoomId, Timestamp, UserId};
use chatroom_store::Access;
use chatroom_store::events::NewEvent;
use chatroom_store::read_marks::{self, Listed, Which};

use crate::agents::views::{outside, status_of};
use crate::app::Work;
use crate::error::Error;

/// How many bytes of a name can be looked for.
const MAX_TEXT: usize = 200;

/// Lists rooms of `user`.
pub async fn list(db: &impl Access, user: UserId, which: Which, now: Timestamp) -> Result<Rooms, Error> {
    if which.search.len() > MAX_TEXT {
        return Err(Error::Beyond("search_text", format!("search must have at most {MAX_TEXT} bytes")));
    }
    if which.search.contains('\0') {
        return Err(Error::Invalid("search holds a NUL character".into()));
    }
    // One more tells whether there are more.
    let asked = usize::try_from(which.limit).unwrap_or(usize::MAX);
    let mut listed = read_marks::list(db, user, &Which { limit: which.limit + 1, ..which }).await?;
    let more = listed.len() > asked;
    listed.truncate(asked);
    let next = listed.last().filter(|_| more).map(|last| last.room.id);
    let ids: Vec<RoomId> = listed.iter().map(|listed| listed.room.id).collect();
    let mut agents = Agents::of(db, &ids).await?;
    let chatrooms = listed.into_iter().map(|listed| entry(listed, &mut agents, user, now)).collect();
    Ok(Rooms { chatrooms, next })
}

/// Notes that a person has read a room up to a message. Never back; returns whether that is new.
pub async fn mark_read(work: &mut Work, user: UserId, room: &Room, message: MessageId) -> Result<bool, Error> {
    let found = chatroom_store::messages::find(&work.tx, room.id, message).await?.ok_or(Error::NotFound)?;
    if found.queued {
        return Err(Error::Invalid("that message still waits in the queue; name one of the history".into()));
    }
    let changed = read_marks::advance(&work.tx, user, room.id, found.position).await?;
    if changed {
        let event = NewEvent {
            kind: "room.read",
            private_to: Some(user),
            user: Some(user),
            room: Some(room.id),
            subject: Some(message.to_string()),
            ..NewEvent::default()
        };
        work.event(room.instance, event).await?;
    }
    Ok(changed)
}

fn entry(listed: Listed, agents: &mut Agents, user: UserId, now: Timestamp) -> RoomEntry {
    let Listed { room, active_at, unread, handoffs } = listed;
    let here = agents.here(room.id);
    let mut needs_you = NeedsYou { handoffs, ..NeedsYou::default() };
    let mut working = 0;
    for role in &room.roles {
        let slot = here.slot(&room, role);
        let machine = slot.machine.and_then(|id| agents.machines.get(&id));
        let own = machine.is_some_and(|machine| machine.user == user);
        let run = slot.run.and_then(|id| here.runs.iter().find(|run| run.id == id));
        match status_of(&slot, machine, run, outside(role, &here.waiters, &here.tasks, now), &here.tasks, now) {
            AgentStatus::Working => working += 1,
            AgentStatus::NeedsYou if own => needs_you.asks += 1,
            AgentStatus::GaveUp if own => needs_you.gave_up += 1,
            _ => {}
        }
        if here.owner(role, machine, now) == Some(user) {
            let held = |task: &&Task| {
                task.role == *role && task.state == TaskState::Pending && !may_reach(task, user, slot.shared && own)
            };
            needs_you.approvals += here.tasks.iter().filter(held).count() as u64;
        }
    }
    RoomEntry {
        chatroom_id: room.id,
        instance_id: room.instance,
        name: room.name,
        roles: room.roles,
        entry: room.entry,
        created_at: room.created_at,
        archived_at: room.archived_at,
        last_activity_at: active_at,
        unread,
        needs_you,
        working,
    }
}

/// What is known of the agents of many rooms.
struct Agents {
    rooms: HashMap<RoomId, Here>,
    machines: HashMap<MachineId, Machine>,
}

/// What is known of the agents of one room.
#[derive(Default)]
struct Here {
    slots: Vec<Agent>,
    /// The newest first.
    runs: Vec<Run>,
    waiters: Vec<Waiter>,
    /// Those that are not completed.
    tasks: Vec<Task>,
}

impl Agents {
    async fn of(db: &impl Access, ids: &[RoomId]) -> Result<Self, Error> {
        let mut rooms: HashMap<RoomId, Here> = HashMap::with_capacity(ids.len());
        let mut machines: Vec<MachineId> = Vec::new();
        for slot in chatroom_store::agents::of_rooms(db, ids).await? {
            machines.extend(slot.machine);
            rooms.entry(slot.room).or_default().slots.push(slot);
        }
        for run in chatroom_store::runs::present_in(db, ids).await? {
            rooms.entry(run.room).or_default().runs.push(run);
        }
        for waiter in chatroom_store::waiters::of_rooms(db, ids).await? {
            rooms.entry(waiter.room).or_default().waiters.push(waiter);
        }
        for task in chatroom_store::tasks::active_in(db, ids).await? {
            rooms.entry(task.room).or_default().tasks.push(task);
        }
        machines.sort_unstable();
        machines.dedup();
        let machines = chatroom_store::machines::among(db, &machines).await?;
        Ok(Self { rooms, machines: machines.into_iter().map(|machine| (machine.id, machine)).collect() })
    }

    /// Takes what is known of one room.
    fn here(&mut self, room: RoomId) -> Here {
        self.rooms.remove(&room).unwrap_or_default()
    }
}

impl Here {
    fn slot(&self, room: &Room, role: &Role) -> Agent {
        let known = self.slots.iter().find(|slot| slot.role == *role);
        known.cloned().unwrap_or_else(|| Agent::untouched(room.id, role.clone()))
    }

    /// Returns the person an agent acts for, as [`crate::tasks::wait::owner_of`] does for one.
    fn owner(&self, role: &Role, machine: Option<&Machine>, now: Timestamp) -> Option<UserId> {
        let live = self.runs.iter().find(|run| run.role == *role && run.exited_at.is_none());
        let waiter = || self.waiters.iter().find(|waiter| waiter.role == *role && waiter.present(now));
        live.map(|run| run.user)
            .or_else(|| waiter().map(|waiter| waiter.user))
            .or_else(|| machine.map(|machine| machine.user))
    }
}
