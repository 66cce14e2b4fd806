//! From a credential to a caller: access tokens, API keys, tickets.
//!
//! What the store says is kept for a few seconds, so that a session that another replica ended is refused soon, and a page that makes
//! many requests does not ask the store for each. What is ended here is forgotten here at once.

use super::{Accounts, Client, OneTimeSecret, nanos};
use crate::audit::{Event, Outcome};
use crate::caller::{Caller, How};
use crate::error::AccountError;
use crate::id::SessionId;
use crate::issuer::TokenError;
use crate::scope::Scopes;
use crate::secret_token::{Digest, SecretKind, api_key, digest, is_api_key, mint};
use crate::store::{NewSecret, UserRecord};
use proto::UserId;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A ticket is good for so long.
const TICKET_LIFE: Duration = Duration::from_secs(30);
/// Tickets of a user that are good at one time.
const TICKETS: u32 = 32;
/// Callers that are known at one time.
const KNOWN: usize = 10_000;
/// The use of an API key is noted so often.
const TOUCHED: Duration = Duration::from_secs(60);
/// And audited so often.
const AUDITED: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Credential {
    Session(SessionId),
    ApiKey(Digest),
}

/// Callers that the store confirmed a moment ago.
#[derive(Debug)]
pub(super) struct Known {
    callers: Mutex<HashMap<Credential, (Caller, u64)>>,
    life: Duration,
}

impl Known {
    pub(super) fn new(life: Duration) -> Self {
        Self { callers: Mutex::default(), life }
    }

    fn get(&self, credential: &Credential, now_ns: u64) -> Option<Caller> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.get(credential).filter(|(_, until_ns)| now_ns < *until_ns).map(|(caller, _)| caller.clone())
    }

    fn insert(&self, credential: Credential, caller: Caller, now_ns: u64) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= KNOWN {
            callers.retain(|_, (_, until_ns)| now_ns < *until_ns);
        }
        // Still full: this one is asked for again next time.
        if callers.len() < KNOWN {
            callers.insert(credential, (caller, now_ns.saturating_add(nanos(self.life))));
        }
    }

    pub(super) fn forget_session(&self, session: SessionId) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.remove(&Credential::Session(session));
    }

    pub(super) fn forget_user(&self, user: UserId) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|_, (caller, _)| caller.user != user);
    }
}

impl Accounts {
    /// Who presents this bearer credential: an access token or an API key.
    ///
    /// # Errors
    /// Why it is refused; [`AccountError::Store`] if nobody can tell now.
    pub async fn authenticate(&self, bearer: &SecretString, client: &Client) -> Result<Caller, AccountError> {
        let caller = if is_api_key(bearer.expose_secret()) {
            self.authenticate_key(bearer, client).await
        } else {
            self.authenticate_token(bearer).await
        };
        match &caller {
            Err(AccountError::Token(error)) => self.metrics.token_refused(*error),
            Err(AccountError::Store(_)) => {
                self.metrics.store_failures.inc();
            }
            _ => {}
        }
        caller
    }

    async fn authenticate_token(&self, token: &SecretString) -> Result<Caller, AccountError> {
        let claims = self.issuer.verify(token.expose_secret(), self.now_ns())?;
        let caller = self.live_session(claims.sid).await?.ok_or(TokenError::Ended)?;
        // The signature covers both; a session of somebody else can only be a fault of ours.
        if caller.user == claims.user()? { Ok(caller) } else { Err(TokenError::Claims.into()) }
    }

    /// The caller behind a session, if it lives. Whoever holds a WebSocket open asks this again from time to time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn live_session(&self, session: SessionId) -> Result<Option<Caller>, AccountError> {
        let now_ns = self.now_ns();
        let credential = Credential::Session(session);
        if let Some(caller) = self.known.get(&credential, now_ns) {
            return Ok(Some(caller));
        }
        let Some(user) = self.store.live_session(session, now_ns).await? else { return Ok(None) };
        let Some(caller) = self.caller(user, Scopes::all(), How::Session(session)) else { return Ok(None) };
        self.known.insert(credential, caller.clone(), now_ns);
        Ok(Some(caller))
    }

    async fn authenticate_key(&self, bearer: &SecretString, client: &Client) -> Result<Caller, AccountError> {
        let (id, digest) = api_key(bearer).ok_or(TokenError::Malformed)?;
        let now_ns = self.now_ns();
        let credential = Credential::ApiKey(digest.clone());
        if let Some(caller) = self.known.get(&credential, now_ns) {
            return Ok(caller);
        }
        let found = self.store.live_api_key(id, &digest, now_ns).await?;
        let Some((key, user)) = found else {
            self.allow_address(client).await?;
            self.audit(Event::ApiKey, Outcome::Wrong, None, client).await?;
            return Err(TokenError::Ended.into());
        };
        let unused = key.last_used_ns.map_or(u64::MAX, |used_ns| now_ns.saturating_sub(used_ns));
        if unused > nanos(AUDITED) {
            self.audit(Event::ApiKey, Outcome::Granted, Some(&user), client).await?;
        }
        if unused > nanos(TOUCHED) {
            self.store.touch_api_key(id, now_ns).await?;
        }
        let caller = self.caller(user, key.scopes, How::ApiKey(id.to_owned())).ok_or(TokenError::Ended)?;
        self.known.insert(credential, caller.clone(), now_ns);
        Ok(caller)
    }

    /// The caller that a user is; none if the account is disabled or has ended.
    pub(super) fn caller(&self, user: UserRecord, scopes: Scopes, how: How) -> Option<Caller> {
        let ended = user.is_shut(self.now_ns());
        let UserRecord { id, name, role, tier, .. } = user;
        (!ended).then_some(Caller { user: id, name, role, tier, scopes, how })
    }

    /// A ticket with which the caller opens one WebSocket.
    ///
    /// # Errors
    /// If the caller has no session, or too many tickets.
    pub async fn ticket(&self, caller: &Caller) -> Result<OneTimeSecret, AccountError> {
        let session = Some(caller.require_session()?);
        let now_ns = self.now_ns();
        let expires_ns = now_ns.saturating_add(nanos(TICKET_LIFE));
        let (secret, digest) = mint(SecretKind::Ticket);
        let new = NewSecret { kind: SecretKind::Ticket, digest, user: caller.user, session, expires_ns };
        if !self.store.add_secret(&new, TICKETS, now_ns).await? {
            return Err(AccountError::TooMany { what: "tickets", most: TICKETS });
        }
        Ok(OneTimeSecret { secret, expires_ns })
    }

    /// Redeems a ticket: of all who present it, over all replicas, one is let in, if the session behind it still lives.
    ///
    /// # Errors
    /// [`AccountError::Wrong`].
    pub async fn redeem_ticket(&self, ticket: &SecretString) -> Result<Caller, AccountError> {
        let wrong = AccountError::Wrong { what: "ticket" };
        let Some(digest) = digest(SecretKind::Ticket, ticket.expose_secret()) else { return Err(wrong) };
        let redeemed = self.store.redeem(SecretKind::Ticket, &digest, self.now_ns()).await?;
        let Some(session) = redeemed.and_then(|redeemed| redeemed.session) else { return Err(wrong) };
        self.live_session(session).await?.ok_or(wrong)
    }
}
