//! What a machine, command, room, task, message or secret *is*, and which
//! changes are allowed.
//!
//! Pure: no clock, no randomness, no I/O. Time and random bytes come in as
//! arguments, so every rule can be tested as a table.

pub mod access;
pub mod accounts;
pub mod agents;
pub mod attachments;
pub mod commands;
pub mod machines;
pub mod messages;
pub mod rooms;
pub mod secrets;
pub mod tasks;
