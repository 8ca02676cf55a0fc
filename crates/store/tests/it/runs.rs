//! Runs, prompts and questions, on both databases.

use chatroom_domain::access::Caller;
use chatroom_domain::agents::{Agent, Desired, Permission, Prompt, PromptPurpose, PromptState, Run};
use chatroom_domain::secrets::TokenHash;
use chatroom_protocol::api::agents::{PermissionMode, RunActivity, RunForm};
use chatroom_protocol::{CommandId, PermissionId, PromptId, RunId, TaskId, Tool};
use chatroom_store::{Store, agents, machines, permissions, prompts, runs};

use crate::machines::{Cast, NOW, after, role};
use crate::on_both;

fn run(cast: &Cast, n: u128) -> Run {
    Run {
        id: RunId::from_parts(NOW, n),
        room: cast.room.id,
        role: role("builder"),
        machine: cast.laptop.id,
        user: cast.alice,
        command: CommandId::from_parts(NOW, n),
        tool: Tool::Claude,
        model: None,
        working_dir: "/srv".into(),
        mode: PermissionMode::Ask,
        form: RunForm::Managed,
        activity: RunActivity::Starting,
        pid: None,
        start_time: None,
        conversation: None,
        awaiting_handoff: false,
        created_at: after(i64::try_from(n).unwrap()),
        exited_at: None,
        exit: None,
        crashed: false,
        trouble: None,
    }
}

async fn write(store: &Store, run: &Run, token: &str) {
    let tx = store.begin().await.unwrap();
    runs::insert(&tx, run, &TokenHash::of(token), after(1000)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_runs_token_is_a_lease_and_dies_with_it() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let mut one = run(&cast, 1);
        write(&store, &one, "one").await;
        let reader = store.reader();
        let by = async |token: &str, at| runs::by_token(&reader, &TokenHash::of(token), at).await.unwrap();
        let caller = Caller::Run {
            run: one.id,
            room: cast.room.id,
            role: role("builder"),
            user: cast.alice,
            form: RunForm::Managed,
        };
        assert_eq!(by("one", after(999)).await, Some(caller.clone()));
        assert_eq!(by("one", after(1000)).await, None);
        assert_eq!(by("two", NOW).await, None);

        let tx = store.begin().await.unwrap();
        runs::renew_tokens(&tx, &[cast.laptop.id, cast.server.id], after(5000)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(by("one", after(4999)).await, Some(caller));

        one.activity = RunActivity::Exited;
        one.exited_at = Some(after(9));
        one.exit = Some("exit code 1".into());
        let tx = store.begin().await.unwrap();
        runs::update(&tx, &one).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(by("one", after(10)).await, None);
        assert_eq!(runs::of(&reader, one.id).await.unwrap(), Some(one));
    })
    .await;
}

#[tokio::test]
async fn live_runs_are_found_by_place_and_machine() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let (mut one, two) = (run(&cast, 1), run(&cast, 2));
        write(&store, &one, "one").await;
        write(&store, &two, "two").await;
        let reader = store.reader();
        let place = (cast.room.id, role("builder"));
        assert_eq!(runs::live_in(&reader, place.0, &place.1).await.unwrap(), [two.clone(), one.clone()]);
        assert_eq!(runs::live_in(&reader, place.0, &role("reviewer")).await.unwrap(), []);
        assert_eq!(runs::live_on(&reader, cast.laptop.id).await.unwrap(), [one.clone(), two.clone()]);
        assert_eq!(runs::live_on(&reader, cast.server.id).await.unwrap(), []);
        assert_eq!(runs::on_machine(&reader, cast.server.id, one.id).await.unwrap(), None);

        one.pid = Some(u32::MAX);
        one.start_time = Some(88);
        one.awaiting_handoff = true;
        one.activity = RunActivity::WaitingPermission;
        let tx = store.begin().await.unwrap();
        runs::update(&tx, &one).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(runs::on_machine(&reader, cast.laptop.id, one.id).await.unwrap(), Some(one.clone()));

        let tx = store.begin().await.unwrap();
        machines::remove(&tx, cast.laptop.id, cast.alice).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(runs::of(&reader, one.id).await.unwrap(), None, "gone with its machine");
    })
    .await;
}

fn prompt(run: &Run, n: u128, purpose: PromptPurpose) -> Prompt {
    Prompt {
        id: PromptId::from_parts(NOW, n),
        run: run.id,
        purpose,
        text: format!("do {n} é\n"),
        state: PromptState::Pending,
        created_at: after(i64::try_from(n).unwrap()),
    }
}

#[tokio::test]
async fn a_prompt_goes_out_once_its_run_has_a_process() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let mut one = run(&cast, 1);
        write(&store, &one, "one").await;
        let reader = store.reader();
        let task = TaskId::from_parts(NOW, 1);
        let (first, second) = (PromptPurpose::Task(task), PromptPurpose::FollowUp { by: None });
        let (first, second) = (prompt(&one, 1, first), prompt(&one, 2, second));
        let tx = store.begin().await.unwrap();
        for prompt in [&second, &first] {
            prompts::insert(&tx, prompt).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(prompts::pending(&reader, cast.laptop.id).await.unwrap(), []);
        one.pid = Some(1);
        let tx = store.begin().await.unwrap();
        runs::update(&tx, &one).await.unwrap();
        tx.commit().await.unwrap();
        let pending = prompts::pending(&reader, cast.laptop.id).await.unwrap();
        assert_eq!(pending, [first.clone(), second.clone()]);
        assert_eq!(prompts::find(&reader, one.id, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(prompts::find(&reader, RunId::from_parts(NOW, 9), first.id).await.unwrap(), None);

        let tx = store.begin().await.unwrap();
        prompts::set_state(&tx, first.id, PromptState::Accepted).await.unwrap();
        assert!(prompts::insert(&tx, &prompt(&one, 3, PromptPurpose::Task(task))).await.unwrap_err().is_duplicate());
        drop(tx);
        let tx = store.begin().await.unwrap();
        prompts::set_state(&tx, first.id, PromptState::Accepted).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(prompts::pending(&reader, cast.laptop.id).await.unwrap(), [second]);
        assert_eq!(prompts::open(&reader, one.id).await.unwrap().len(), 2);
        let tx = store.begin().await.unwrap();
        prompts::set_text(&tx, first.id, "other words").await.unwrap();
        prompts::set_state(&tx, first.id, PromptState::Sent).await.unwrap();
        prompts::set_text(&tx, first.id, "too late").await.unwrap();
        tx.commit().await.unwrap();
        let known = prompts::find(&reader, one.id, first.id).await.unwrap();
        assert_eq!(known.map(|prompt| prompt.text).as_deref(), Some("other words"));
        let made = async |purpose| prompts::was_made(&reader, one.id, &purpose).await.unwrap();
        assert!(made(PromptPurpose::Task(task)).await);
        assert!(made(PromptPurpose::FollowUp { by: None }).await);
        assert!(!made(PromptPurpose::Reminder(task)).await);

        let tx = store.begin().await.unwrap();
        prompts::finish_all(&tx, one.id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(prompts::open(&reader, one.id).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_question_is_asked_and_closed_once() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        let one = run(&cast, 1);
        write(&store, &one, "one").await;
        let reader = store.reader();
        let question = |n: u128| Permission {
            id: PermissionId::from_parts(NOW, n),
            run: one.id,
            title: format!("bash {n}"),
            input: "{}".into(),
            always: (n > 1).then(|| "exactly this command".to_owned()),
            digest: "d".into(),
            asked_at: after(i64::try_from(n).unwrap()),
            outcome: None,
        };
        let tx = store.begin().await.unwrap();
        assert!(permissions::insert(&tx, &question(1)).await.unwrap());
        assert!(permissions::insert(&tx, &question(2)).await.unwrap());
        let other = Permission { title: "other".into(), ..question(1) };
        assert!(!permissions::insert(&tx, &other).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(permissions::open(&reader, one.id).await.unwrap(), [question(1), question(2)]);

        let tx = store.begin().await.unwrap();
        let close =
            async |outcome| permissions::close(&tx, one.id, question(1).id, outcome, Some(cast.alice)).await.unwrap();
        assert!(close("allowed").await);
        assert!(!close("denied").await, "it is closed");
        permissions::withdraw_all(&tx, one.id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(permissions::open(&reader, one.id).await.unwrap(), []);
        let outcome = async |n| permissions::find(&reader, one.id, question(n).id).await.unwrap().unwrap().outcome;
        assert_eq!(outcome(1).await.as_deref(), Some("allowed"));
        assert_eq!(outcome(2).await.as_deref(), Some("withdrawn"));
    })
    .await;
}

#[tokio::test]
async fn old_runs_and_waits_are_forgotten_but_an_agents_last_run_is_kept() {
    on_both(|store| async move {
        let cast = Cast::meet(&store).await;
        for n in 1..=5 {
            let run = run(&cast, n);
            write(&store, &run, &format!("token {n}")).await;
            let tx = store.begin().await.unwrap();
            prompts::insert(&tx, &prompt(&run, n, PromptPurpose::FollowUp { by: None })).await.unwrap();
            // The fourth ended late, the fifth lives.
            let exited_at = match n {
                1..=3 => Some(after(100)),
                4 => Some(after(10_000)),
                _ => None,
            };
            let activity = if exited_at.is_some() { RunActivity::Exited } else { RunActivity::Idle };
            runs::update(&tx, &Run { exited_at, activity, ..run.clone() }).await.unwrap();
            if n == 3 {
                let slot = Agent {
                    counted_from: NOW,
                    restart_at: None,
                    room: cast.room.id,
                    role: role("builder"),
                    desired: Desired::Stopped,
                    machine: Some(cast.laptop.id),
                    run: Some(run.id),
                    shared: false,
                    gave_up: None,
                };
                agents::put(&tx, &slot).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
        let tx = store.begin().await.unwrap();
        assert_eq!(runs::prune(&tx, after(100), 10).await.unwrap(), 0);
        assert_eq!(runs::prune(&tx, after(101), 1).await.unwrap(), 1);
        assert_eq!(runs::prune(&tx, after(101), 10).await.unwrap(), 1);
        assert_eq!(runs::prune(&tx, after(101), 10).await.unwrap(), 0);
        tx.commit().await.unwrap();
        let reader = store.reader();
        let all: Vec<RunId> = (1..=5).map(|n| RunId::from_parts(NOW, n)).collect();
        let mut known = runs::known(&reader, &all).await.unwrap();
        known.sort();
        assert_eq!(known, all[2..]);
        for n in 1..=5 {
            let kept = runs::of(&reader, RunId::from_parts(NOW, n)).await.unwrap().is_some();
            assert_eq!(kept, n > 2, "run {n}");
        }
    })
    .await;
}
