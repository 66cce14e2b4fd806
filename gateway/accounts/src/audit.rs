//! The audit trail: one entry for each access attempt, chained by hashes, so that a changed, removed or inserted entry shows.
//!
//! Names and addresses are personal data, which a user may have erased; the chain must stay whole then. So an entry's hash covers
//! only a commitment to them (a salted digest): erasing takes away name, address and salt, and leaves the commitment. The
//! entry itself, with its time, outcome and user id, stays for ever. What nobody has erased is checked against its commitment.

use crate::secret_token::hex;
use proto::UserId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];
const SALT_BYTES: usize = 16;

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Event {
    SignUp,
    Password,
    LoginLink,
    Anonymous,
    Telegram,
    Refresh,
    SignOut,
    ApiKey,
    PasswordChanged,
    TotpPrepared,
    TotpConfirmed,
    TotpRemoved,
    TelegramLinked,
    TelegramUnlinked,
    ApiKeyMade,
    ApiKeyRevoked,
    SessionEnded,
    LoginLinkMade,
    UserMade,
    UserChanged,
    Exported,
    Erased,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As wished.
    Granted,
    /// A wrong, unknown or expired secret.
    Wrong,
    /// A right password, and a second factor is missing.
    TotpRequired,
    /// Too many wrong secrets before.
    Waiting,
    /// The account is disabled.
    Disabled,
    /// A secret that was used before.
    Reused,
    /// The rules do not allow it.
    NotAllowed,
}

impl Event {
    /// All.
    pub const ALL: [Self; 22] = [
        Self::SignUp,
        Self::Password,
        Self::LoginLink,
        Self::Anonymous,
        Self::Telegram,
        Self::Refresh,
        Self::SignOut,
        Self::ApiKey,
        Self::PasswordChanged,
        Self::TotpPrepared,
        Self::TotpConfirmed,
        Self::TotpRemoved,
        Self::TelegramLinked,
        Self::TelegramUnlinked,
        Self::ApiKeyMade,
        Self::ApiKeyRevoked,
        Self::SessionEnded,
        Self::LoginLinkMade,
        Self::UserMade,
        Self::UserChanged,
        Self::Exported,
        Self::Erased,
    ];

    /// Name in the store, the chain and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Password => "password",
            Self::LoginLink => "login_link",
            Self::Anonymous => "anonymous",
            Self::Telegram => "telegram",
            Self::Refresh => "refresh",
            Self::SignOut => "sign_out",
            Self::ApiKey => "api_key",
            Self::PasswordChanged => "password_changed",
            Self::TotpPrepared => "totp_prepared",
            Self::TotpConfirmed => "totp_confirmed",
            Self::TotpRemoved => "totp_removed",
            Self::TelegramLinked => "telegram_linked",
            Self::TelegramUnlinked => "telegram_unlinked",
            Self::ApiKeyMade => "api_key_made",
            Self::ApiKeyRevoked => "api_key_revoked",
            Self::SessionEnded => "session_ended",
            Self::LoginLinkMade => "login_link_made",
            Self::UserMade => "user_made",
            Self::UserChanged => "user_changed",
            Self::Exported => "exported",
            Self::Erased => "erased",
        }
    }
}

impl Outcome {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Granted, Self::Wrong, Self::TotpRequired, Self::Waiting, Self::Disabled, Self::Reused, Self::NotAllowed];

    /// Name in the store, the chain and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Wrong => "wrong",
            Self::TotpRequired => "totp_required",
            Self::Waiting => "waiting",
            Self::Disabled => "disabled",
            Self::Reused => "reused",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// What can be erased of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// Random, so that the commitment does not tell a guesser what it is of. In hexadecimal.
    pub salt: String,
    /// The account's name; empty if there is no such account. What else somebody typed into the field may be a password.
    pub name: String,
    /// The client's address.
    pub address: String,
}

/// An entry, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What.
    pub event: Event,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose account, if there is one.
    pub user: Option<UserId>,
    /// Who did it, if that was somebody else.
    pub by: Option<UserId>,
    /// The account's name; empty if there is none.
    pub name: String,
    /// The client's address.
    pub address: String,
}

/// An entry as it is read back; nothing in it is believed before the chain is verified, so all is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place; the first is 1.
    pub position: u64,
    /// When, ns.
    pub at_ns: u64,
    /// What.
    pub event: String,
    /// How it ended.
    pub outcome: String,
    /// Whose account.
    pub user: String,
    /// Who did it.
    pub by: String,
    /// Name and address; `None` when erased.
    pub personal: Option<Personal>,
    /// The commitment to name and address, in hexadecimal.
    pub commitment: String,
    /// The hash of the entry before, in hexadecimal.
    pub previous: String,
    /// Its own hash, in hexadecimal.
    pub hash: String,
}

/// What the chain tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was changed since it was written.
    Intact {
        /// How many entries.
        entries: u64,
        /// The hash of the last one, to be written down elsewhere: who replaces the whole chain cannot keep it.
        head: String,
    },
    /// The first entry that is not what was written.
    Broken {
        /// Its place.
        position: u64,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It does not follow the one before.
    Previous,
    /// Its hash is not that of its content.
    Content,
    /// Name or address are not those committed to.
    Personal,
}

impl Personal {
    /// With fresh salt.
    #[must_use]
    pub fn new(name: &str, address: &str) -> Self {
        use rand::RngCore;
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        Self { salt: hex(&salt), name: name.to_owned(), address: address.to_owned() }
    }

    /// The commitment, in hexadecimal.
    #[must_use]
    pub fn commitment(&self) -> String {
        hex(&digest("dexorder audit personal 1", &[&self.salt, &self.name, &self.address]))
    }
}

impl Entry {
    /// The entry behind `previous`.
    #[must_use]
    pub fn new(position: u64, at_ns: u64, attempt: &Attempt, previous: &str) -> Self {
        let personal = Personal::new(&attempt.name, &attempt.address);
        let id = |user: Option<UserId>| user.map(|user| user.to_string()).unwrap_or_default();
        let mut entry = Self {
            position,
            at_ns,
            event: attempt.event.name().to_owned(),
            outcome: attempt.outcome.name().to_owned(),
            user: id(attempt.user),
            by: id(attempt.by),
            commitment: personal.commitment(),
            personal: Some(personal),
            previous: previous.to_owned(),
            hash: String::new(),
        };
        entry.hash = entry.content_hash();
        entry
    }

    fn content_hash(&self) -> String {
        let (position, at) = (self.position.to_string(), self.at_ns.to_string());
        let fields =
            [&position, &at, &self.event, &self.outcome, &self.user, &self.by, &self.commitment, &self.previous];
        hex(&digest("dexorder audit entry 1", &fields))
    }

    /// What is wrong with it as the entry behind `previous`; nothing if it is what was written.
    #[must_use]
    pub fn fault(&self, position: u64, previous: &str) -> Option<Fault> {
        if self.position != position {
            return Some(Fault::Missing);
        }
        if self.previous != previous {
            return Some(Fault::Previous);
        }
        if self.hash != self.content_hash() {
            return Some(Fault::Content);
        }
        let kept = self.personal.as_ref().is_none_or(|personal| personal.commitment() == self.commitment);
        (!kept).then_some(Fault::Personal)
    }
}

/// Each field with its length before it, so that no two lists of fields look the same.
fn digest(domain: &str, fields: &[&String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(domain.as_bytes());
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().into()
}

/// Checks a chain piece by piece, in order.
#[derive(Debug)]
pub struct Verifier {
    next: u64,
    previous: String,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { next: 1, previous: hex(&GENESIS) }
    }
}

impl Verifier {
    /// Checks the next entry.
    ///
    /// # Errors
    /// The verdict, if it is broken.
    pub fn push(&mut self, entry: &Entry) -> Result<(), Verdict> {
        if let Some(fault) = entry.fault(self.next, &self.previous) {
            return Err(Verdict::Broken { position: self.next, fault });
        }
        self.next += 1;
        self.previous.clone_from(&entry.hash);
        Ok(())
    }

    /// Where the next entry is expected.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The verdict behind the last entry; the head says how many there must be and which hash the last one has.
    #[must_use]
    pub fn finish(self, head_position: u64, head_hash: &str) -> Verdict {
        let entries = self.next - 1;
        if entries == head_position && self.previous == head_hash {
            return Verdict::Intact { entries, head: self.previous };
        }
        // Fewer than the head says: the end was cut off. As many: the last one was replaced with all before.
        let position = self.next.min(head_position + 1);
        Verdict::Broken { position, fault: Fault::Missing }
    }
}

#[cfg(test)]
mod tests;
