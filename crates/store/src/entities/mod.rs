//! One table each. Rows never leave this crate: every function returns `domain` types.

pub(crate) mod agent_configs;
pub(crate) mod agents;
pub(crate) mod attachments;
pub(crate) mod commands;
pub(crate) mod device_logins;
pub(crate) mod events;
pub(crate) mod instances;
pub(crate) mod machines;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod one_time_codes;
pub(crate) mod permissions;
pub(crate) mod prompts;
pub(crate) mod read_marks;
pub(crate) mod rooms;
pub(crate) mod runs;
pub(crate) mod sessions;
pub(crate) mod tasks;
pub(crate) mod users;
pub(crate) mod waiters;
