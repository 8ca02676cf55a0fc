//! The main job with the real agent programs: a signed-in person starts one over HTTP on a machine
//! with a real daemon, it gets its task, works, and hands the result on. Only the model is scripted.

#![expect(clippy::print_stdout, reason = "what soak repeats says how often it held")]

mod attachments;
mod joining;
mod laptop;
mod members;
mod steering;
mod stops;
mod stories;
mod transcripts;
mod trees;
mod user_stories;
mod web;
