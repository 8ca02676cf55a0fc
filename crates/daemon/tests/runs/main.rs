//! Runs of the real agent programs (and a stand-in for Cursor's) under a real supervisor.

mod launching;
mod lifetime;
mod stories;
mod stubborn;
mod terminal;
mod transcripts;
mod world;
