//! Both sides, what is on its way between them, and what must hold.

use chatroom_domain::agents::Desired;
use chatroom_protocol::api::commands::{CommandStatus, CommandType};
use chatroom_protocol::api::daemon::{CommandReceipt, PushCommand};
use chatroom_protocol::api::reports::Reports;
use chatroom_protocol::{CommandId, RunId, Timestamp};
use proptest::sample::Index;

use crate::Step;
use crate::daemon::{Daemon, Process};
use crate::server::Server;

/// How old a message can be when it arrives: the longest a call takes.
const CALL_MS: i64 = 30_000;

#[derive(Debug, Clone)]
enum Message {
    Push(Box<PushCommand>),
    Receipt(CommandId, CommandReceipt),
    Reports(Reports),
    Applied { epoch: u64, through: u64 },
}

#[derive(Debug, Clone)]
struct Sent {
    at: Timestamp,
    message: Message,
}

#[derive(Debug)]
pub struct Pair {
    now: Timestamp,
    server: Server,
    daemon: Daemon,
    on_the_way: Vec<Sent>,
}

impl Default for Pair {
    fn default() -> Self {
        let mut pair = Self {
            now: Timestamp(1_000_000),
            server: Server::default(),
            daemon: Daemon::default(),
            on_the_way: Vec::new(),
        };
        pair.daemon.begin(None, pair.now);
        pair
    }
}

impl Pair {
    fn send(&mut self, message: Message) {
        self.on_the_way.push(Sent { at: self.now, message });
    }

    /// Nobody waits any more for what is older than a call.
    fn forget_old(&mut self) {
        let now = self.now;
        self.on_the_way.retain(|sent| now.millis_since(sent.at) <= CALL_MS);
    }

    fn pick(&mut self, index: Index) -> Option<usize> {
        self.forget_old();
        (!self.on_the_way.is_empty()).then(|| index.index(self.on_the_way.len()))
    }

    pub fn happens(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Ask(kind) => self.server.ask(*kind, now),
            Step::Push => {
                for push in self.server.push(now) {
                    self.send(Message::Push(Box::new(push)));
                }
            }
            Step::Deliver(index) => {
                if let Some(place) = self.pick(*index) {
                    let sent = self.on_the_way.remove(place);
                    self.arrives(sent.message);
                }
            }
            Step::Double(index) => {
                if let Some(place) = self.pick(*index) {
                    let sent = self.on_the_way[place].clone();
                    self.on_the_way.push(sent);
                }
            }
            Step::Lose(index) => {
                if let Some(place) = self.pick(*index) {
                    self.on_the_way.remove(place);
                }
            }
            Step::Report => self.report(),
            Step::Go => {
                self.daemon.go(&self.server.slot(), now);
            }
            Step::Crash(lives) => self.daemon.begin(*lives, now),
            Step::Cut => self.on_the_way.retain(|sent| matches!(sent.message, Message::Push(_))),
            Step::Compare => self.compare(),
            Step::Expire => self.server.expire(now),
            Step::ToolEnds => self.daemon.tool_ends(now),
            Step::Wait(millis) => self.now = now.plus_millis(i64::from(*millis)),
        }
    }

    fn arrives(&mut self, message: Message) {
        let now = self.now;
        match message {
            Message::Push(push) => {
                let id = push.command_id;
                let receipt = self.daemon.receive(*push, now);
                self.send(Message::Receipt(id, receipt));
            }
            Message::Receipt(id, receipt) => self.server.receipt(id, receipt, now),
            Message::Reports(body) => {
                let epoch = body.epoch;
                let through = self.server.reports(body, now);
                self.send(Message::Applied { epoch, through });
            }
            // Who asked is gone with the daemon it was.
            Message::Applied { epoch, through } if epoch == self.daemon.epoch => self.daemon.applied(through, now),
            Message::Applied { .. } => {}
        }
    }

    fn deliver_all(&mut self) {
        self.forget_old();
        while !self.on_the_way.is_empty() {
            let sent = self.on_the_way.remove(0);
            self.arrives(sent.message);
        }
    }

    fn report(&mut self) {
        let reports = self.daemon.reports();
        if !reports.is_empty() {
            let journal_id = self.daemon.state().journal_id.clone();
            self.send(Message::Reports(Reports { epoch: self.daemon.epoch, journal_id, reports }));
        }
    }

    fn compare(&mut self) {
        self.server.compare(self.daemon.state().live_runs(), self.now);
    }

    fn running(&self) -> Vec<RunId> {
        let running = self.daemon.processes.iter().filter(|(_, process)| **process == Process::Running);
        running.map(|(run, _)| *run).collect()
    }

    /// What holds at every moment.
    pub fn check(&self) {
        assert!(self.running().len() <= 1, "two processes for one agent: {:?}", self.daemon.processes);
        for (run, starts) in &self.daemon.starts {
            assert_eq!(starts.len(), 1, "{run} was started more than once");
            let command = self.server.commands.values().find(|command| command.run == Some(*run)).unwrap();
            let latest = command.deadline_at.plus_millis(CALL_MS);
            assert!(starts[0] < latest, "{} was begun after its deadline", command.id);
        }
        for (id, times) in &self.server.outcomes {
            assert_eq!(*times, 1, "{id} has more than one outcome");
        }
        let state = self.daemon.state();
        assert!(self.server.watermark.applied <= state.last_seq, "the server applied what was never written");
    }

    /// Lets everything that is under way come to its end, and checks what must hold then.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            self.happens(&Step::Push);
            self.deliver_all();
            while self.daemon.go(&self.server.slot(), self.now) {}
            self.report();
            self.deliver_all();
            self.compare();
            self.now = self.now.plus_millis(2_000);
            self.happens(&Step::Expire);
            self.check();
        }
        self.check_settled();
    }

    fn check_settled(&self) {
        for command in self.server.commands.values() {
            assert!(command.status.is_terminal(), "without an outcome: {command:?}");
            assert_eq!(self.server.outcomes.get(&command.id), Some(&1), "{command:?}");
        }
        let running = self.running();
        let wanted: Vec<_> =
            self.server.agent.run.filter(|_| self.server.agent.desired == Desired::Running).into_iter().collect();
        assert!(running.iter().all(|run| wanted.contains(run)), "{running:?} runs, {wanted:?} is wanted");
        let known: Vec<_> = self.server.runs.iter().filter(|(_, run)| run.live).map(|(id, _)| *id).collect();
        assert_eq!(known, running, "what is known is what runs");
        let last = self
            .server
            .commands
            .values()
            .rfind(|command| command.run.is_some() || command.kind == CommandType::StopAgent);
        if last.is_some_and(|command| command.kind == CommandType::StopAgent)
            && self.server.agent.desired == Desired::Stopped
        {
            assert_eq!(running, [], "an explicit stop wins");
        }
        let state = self.daemon.state();
        assert!(state.unreported.is_empty(), "something was never told");
        assert_eq!(self.server.watermark.applied, state.last_seq);
        for command in self.server.commands.values().filter(|command| command.status == CommandStatus::Expired) {
            assert!(command.run.is_none_or(|run| !running.contains(&run)), "expired, and it runs: {command:?}");
        }
    }
}
