//! Tests of the accounts over SQLite and PostgreSQL, by what they are about.

mod audit;
mod erasure;
mod limits;
mod lockout;
mod races;
mod secrecy;
mod sessions;
mod sign_up;
mod tenants;
