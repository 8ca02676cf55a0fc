//! The command line as people use it: the real program, a real server, a home of its own per test.

mod accounts;
mod agents;
mod daemon;
mod desk;
mod help;
mod machines;
mod rooms;
mod stdin;
mod up;
mod user_stories;
mod waiting;
mod words;
