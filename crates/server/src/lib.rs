//! The control plane: accounts, rooms, tasks, machines, commands, and the HTTP
//! API over them.
//!
//! What the product does lives in the modules named for its nouns and knows no
//! HTTP; `http/` is the edge that reads, begins, acts, commits and answers.

pub mod accounts;
pub mod admin;
pub mod agents;
pub mod app;
pub mod commands;
pub mod config;
pub mod descriptors;
pub mod error;
pub mod health;
pub mod http;
pub mod limits;
pub mod machines;
pub mod retention;
pub mod rooms;
pub mod secrets;
pub mod serve;
pub mod tasks;
pub mod transcripts;

pub use app::App;
pub use error::Error;
