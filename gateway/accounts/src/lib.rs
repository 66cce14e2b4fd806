//! Who somebody is and what they may do: accounts, sessions, tokens, keys, limits, audit (docs/protocol/13-accounts.md).
//!
//! The pure core (passwords, codes, waits, rotation, chain, tiers) knows no clock and no store. [`Accounts`] joins it with a store
//! that several replicas share, and [`http`] makes routes of it. What this crate does not do: it starts no container, it knows
//! no model and no chart, and it never sees an order.
//!
//! Invariants: a secret is stored as its digest only, and is in no log, error or `Debug`; whatever is good once is decided by the
//! database, over all replicas; a [`Caller`] exists only where a credential was checked.

pub mod audit;
pub mod guessing;
pub mod password;
pub mod refresh;
pub mod telegram_login;
pub mod totp;

mod accounts;
mod address;
mod caller;
mod config;
mod error;
#[cfg(test)]
mod fixtures;
mod hashing;
pub mod http;
mod id;
mod issuer;
mod keys;
pub mod limits;
mod metrics;
mod rfc3339;
mod scope;
mod secret_token;
mod store;
mod tier;
mod user_name;

pub use accounts::{
    AccountErasure, AccountExport, Accounts, ApiKeyView, AuditPage, AuditView, Client, LimitsView, NewApiKey,
    OneTimeSecret, Profile, SessionView, SignUpForm, SignedIn, TelegramCode, TotpSetup, UserPatch, UserView,
};
pub use address::ClientAddress;
pub use caller::{Caller, How};
pub use config::{
    AccountsConfig, AccountsSecrets, AnonymousConfig, CookiePolicy, Disclaimer, HashingConfig, SignUp, StoreConfig,
};
pub use error::{AccountError, Code};
pub use id::{BadId, SessionId};
pub use issuer::{AccessClaims, Issuer, TokenError};
pub use keys::KeyError;
pub use metrics::AccountsMetrics;
pub use rfc3339::Rfc3339;
pub use scope::{Role, Scope, Scopes, UnknownRole, UnknownScope};
pub use store::StoreError;
pub use tier::{ContainerSize, Quota, Rate, Tier, UnknownTier};
pub use user_name::{NameError, UserName};
