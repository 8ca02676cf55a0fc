//! Prompts: text on its way to a run, and the receipt that keeps it from being given twice.

use chatroom_domain::agents::{Prompt, PromptPurpose, PromptState};
use chatroom_protocol::{MachineId, PromptId, RunId, TaskId, Timestamp, UserId};
use sea_orm::sea_query::{Condition, Expr, Query};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use crate::entities::{prompts, runs};
use crate::row::{parse, parse_option};
use crate::{Access, StoreError, Tx};

const TABLE: &str = "prompts";

/// Writes a new prompt.
pub async fn insert(tx: &Tx, prompt: &Prompt) -> Result<(), StoreError> {
    let (purpose, task, by) = words(&prompt.purpose);
    prompts::ActiveModel {
        id: Set(prompt.id.to_string()),
        run_id: Set(prompt.run.to_string()),
        purpose: Set(purpose.to_owned()),
        task_id: Set(task.map(|task| task.to_string())),
        body: Set(prompt.text.clone()),
        state: Set(prompt.state.as_str().to_owned()),
        created_at: Set(prompt.created_at.0),
        user_id: Set(by.map(|user| user.to_string())),
    }
    .insert(tx.connection())
    .await?;
    Ok(())
}

/// Looks up a prompt of a run.
pub async fn find(db: &impl Access, run: RunId, id: PromptId) -> Result<Option<Prompt>, StoreError> {
    prompts::Entity::find_by_id(id.to_string())
        .filter(prompts::Column::RunId.eq(run.to_string()))
        .one(db.connection())
        .await?
        .map(prompt)
        .transpose()
}

/// Returns whether a run was ever given a prompt of this purpose.
pub async fn was_made(db: &impl Access, run: RunId, purpose: &PromptPurpose) -> Result<bool, StoreError> {
    let (purpose, task, _) = words(purpose);
    let about = match task {
        Some(task) => prompts::Column::TaskId.eq(task.to_string()),
        None => prompts::Column::TaskId.is_null(),
    };
    let made = prompts::Entity::find()
        .filter(prompts::Column::RunId.eq(run.to_string()))
        .filter(prompts::Column::Purpose.eq(purpose))
        .filter(about)
        .count(db.connection())
        .await?;
    Ok(made > 0)
}

/// Lists the prompts of a run that are not done, the oldest first.
pub async fn open(db: &impl Access, run: RunId) -> Result<Vec<Prompt>, StoreError> {
    let rows = prompts::Entity::find()
        .filter(prompts::Column::RunId.eq(run.to_string()))
        .filter(prompts::Column::State.ne(PromptState::Done.as_str()))
        .order_by_asc(prompts::Column::CreatedAt)
        .order_by_asc(prompts::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(prompt).collect()
}

/// Lists the prompts a machine has not taken yet, the oldest first, for runs whose process is there to take them.
pub async fn pending(db: &impl Access, machine: MachineId) -> Result<Vec<Prompt>, StoreError> {
    let there = Query::select()
        .column(runs::Column::Id)
        .from(runs::Entity)
        .and_where(runs::Column::MachineId.eq(machine.to_string()))
        .and_where(runs::Column::ExitedAt.is_null())
        .cond_where(Condition::any().add(runs::Column::Pid.is_not_null()).add(runs::Column::Activity.ne("starting")))
        .to_owned();
    let rows = prompts::Entity::find()
        .filter(prompts::Column::RunId.in_subquery(there))
        .filter(prompts::Column::State.eq(PromptState::Pending.as_str()))
        .order_by_asc(prompts::Column::CreatedAt)
        .order_by_asc(prompts::Column::Id)
        .all(db.connection())
        .await?;
    rows.into_iter().map(prompt).collect()
}

/// Writes where a prompt is now.
pub async fn set_state(tx: &Tx, id: PromptId, state: PromptState) -> Result<(), StoreError> {
    prompts::Entity::update_many()
        .col_expr(prompts::Column::State, Expr::value(state.as_str()))
        .filter(prompts::Column::Id.eq(id.to_string()))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Writes what is to be told instead, unless the tool has the prompt.
pub async fn set_text(tx: &Tx, id: PromptId, text: &str) -> Result<(), StoreError> {
    let waits = [PromptState::Pending, PromptState::Accepted].map(PromptState::as_str);
    prompts::Entity::update_many()
        .col_expr(prompts::Column::Body, Expr::value(text))
        .filter(prompts::Column::Id.eq(id.to_string()))
        .filter(prompts::Column::State.is_in(waits))
        .exec(tx.connection())
        .await?;
    Ok(())
}

/// Ends every prompt of a run.
pub async fn finish_all(tx: &Tx, run: RunId) -> Result<(), StoreError> {
    prompts::Entity::update_many()
        .col_expr(prompts::Column::State, Expr::value(PromptState::Done.as_str()))
        .filter(prompts::Column::RunId.eq(run.to_string()))
        .exec(tx.connection())
        .await?;
    Ok(())
}

fn words(purpose: &PromptPurpose) -> (&'static str, Option<TaskId>, Option<UserId>) {
    match purpose {
        PromptPurpose::Task(task) => ("task", Some(*task), None),
        PromptPurpose::Reminder(task) => ("reminder", Some(*task), None),
        PromptPurpose::FollowUp { by } => ("follow_up", None, *by),
    }
}

fn prompt(row: prompts::Model) -> Result<Prompt, StoreError> {
    let unknown = |what: &str, word: &str| StoreError::Row { table: TABLE, why: format!("{word:?} is no {what}") };
    let task = parse_option(TABLE, row.task_id.as_deref())?;
    Ok(Prompt {
        id: parse(TABLE, &row.id)?,
        run: parse(TABLE, &row.run_id)?,
        purpose: match (row.purpose.as_str(), task) {
            ("task", Some(task)) => PromptPurpose::Task(task),
            ("reminder", Some(task)) => PromptPurpose::Reminder(task),
            ("follow_up", None) => PromptPurpose::FollowUp { by: parse_option(TABLE, row.user_id.as_deref())? },
            (other, _) => return Err(unknown("purpose", other)),
        },
        text: row.body,
        state: match row.state.as_str() {
            "pending" => PromptState::Pending,
            "accepted" => PromptState::Accepted,
            "sent" => PromptState::Sent,
            "done" => PromptState::Done,
            other => return Err(unknown("state", other)),
        },
        created_at: Timestamp(row.created_at),
    })
}
