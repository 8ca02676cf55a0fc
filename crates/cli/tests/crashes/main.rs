//! What is left when the server or a daemon is killed at any step of a start, a stop or a restart.

mod journal;
mod matrix;
mod plant;
mod rounds;
mod transcripts;
