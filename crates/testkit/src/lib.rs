//! For tests only: a real server, a real daemon, a fresh database, a scripted model.

pub mod agents;
pub mod connect_proxy;
pub mod disk;
pub mod fake_daemon;
pub mod model;
pub mod postgres;
pub mod world;
