//! The command line as people use it: the real program, a real server, a home of its own per test.

mod accounts;
mod admin;
mod agents;
mod credentials;
mod daemon;
mod desk;
mod full_home;
mod help;
mod machines;
mod network;
mod rooms;
mod service;
mod stdin;
mod streams;
mod terminal;
mod transcripts;
mod trouble;
mod up;
mod user_stories;
mod waiting;
mod words;
