//! Stories about the store, each on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod accounts;
mod events;
mod machines;
mod rooms;
mod runs;
mod writer;

use chatroom_store::{Place, Store};
use chatroom_testkit::postgres;

/// Tells a story once on each database.
async fn on_both<F: Future<Output = ()>>(story: impl Fn(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Store::open(&Place::Sqlite(folder.path().join("chatroom.db"))).await.unwrap();
    story(sqlite).await;
    let url = postgres::fresh_database().await.unwrap();
    let postgres = Store::open(&Place::Postgres(url.to_string())).await.unwrap();
    story(postgres).await;
}
