//! The life of commands, between a server and a daemon that may crash at any step
//! and a network that delays, doubles and loses what they say.
//!
//! What is decided is decided by the product's own functions: `domain::commands`,
//! `domain::agents`, `domain::machines::Watermark`, the daemon's journal state and
//! its decisions about commands. Only tables, files, processes and sockets are
//! stood in for, so that a story takes microseconds and any order can be had.
//!
//! A message is never older than the call it belongs to may last: what is
//! delivered later than that was sent by nobody who still waits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod daemon;
mod pair;
mod server;

use chatroom_protocol::api::commands::CommandType;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use pair::Pair;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// A person asks for something.
    Ask(CommandType),
    /// The server sends what waits.
    Push,
    /// A message arrives.
    Deliver(Index),
    /// A message will arrive once more.
    Double(Index),
    /// A message is lost.
    Lose(Index),
    /// The daemon sends what is not applied yet.
    Report,
    /// The daemon goes one step further with what it does.
    Go,
    /// The daemon is killed, and started again; the new one may be killed after a few writes of its recovery.
    Crash(Option<u8>),
    /// The server is killed: what was on its way to it is lost.
    Cut,
    /// The server compares what lives with what is wanted.
    Compare,
    /// The server ends what is overdue.
    Expire,
    /// An agent program ends by itself.
    ToolEnds,
    /// Time passes.
    Wait(u32),
}

struct Orders;

impl ReferenceStateMachine for Orders {
    type State = ();
    type Transition = Step;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Step> {
        let kind = prop_oneof![
            4 => Just(CommandType::StartAgent),
            3 => Just(CommandType::StopAgent),
            2 => Just(CommandType::RestartAgent),
            1 => Just(CommandType::Ping),
        ];
        prop_oneof![
            4 => kind.prop_map(Step::Ask),
            6 => Just(Step::Push),
            8 => any::<Index>().prop_map(Step::Deliver),
            2 => any::<Index>().prop_map(Step::Double),
            2 => any::<Index>().prop_map(Step::Lose),
            4 => Just(Step::Report),
            10 => Just(Step::Go),
            1 => prop::option::of(0u8..4).prop_map(Step::Crash),
            1 => Just(Step::Cut),
            1 => Just(Step::Compare),
            1 => Just(Step::Expire),
            1 => Just(Step::ToolEnds),
            2 => (0u32..3_000).prop_map(Step::Wait),
            1 => (0u32..200_000).prop_map(Step::Wait),
        ]
        .boxed()
    }

    fn apply((): (), _: &Step) {}
}

struct Life;

impl StateMachineTest for Life {
    type SystemUnderTest = Pair;
    type Reference = Orders;

    fn init_test((): &()) -> Pair {
        Pair::default()
    }

    fn apply(mut pair: Pair, (): &(), step: Step) -> Pair {
        pair.happens(&step);
        pair
    }

    fn check_invariants(pair: &Pair, (): &()) {
        pair.check();
    }

    fn teardown(mut pair: Pair, (): ()) {
        pair.settle();
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(600), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_on_the_way_a_command_is_done_once_or_not_at_all(sequential 1..120 => Life);
}
