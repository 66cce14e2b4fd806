//! The whole service over real sockets and real databases: containers, forgers, replicas, channels that misbehave, kills.
//!
//! The scenarios of `scenarios` run over SQLite and over PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

#[path = "service/chaos.rs"]
mod chaos;
#[path = "service/container.rs"]
mod container;
#[path = "service/delivering.rs"]
mod delivering;
#[path = "service/fake_smtp.rs"]
mod fake_smtp;
#[path = "service/fake_webhook.rs"]
mod fake_webhook;
#[path = "service/mail.rs"]
mod mail;
#[path = "service/open_pages.rs"]
mod open_pages;
#[path = "service/postgres.rs"]
mod postgres;
#[path = "service/pyzmq.rs"]
mod pyzmq;
#[path = "service/receiving.rs"]
mod receiving;
#[path = "service/world.rs"]
mod world;
