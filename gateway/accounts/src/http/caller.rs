//! Who calls, from the headers of a request; and whether its page is ours.

use crate::accounts::{Accounts, Client};
use crate::address::ClientAddress;
use crate::caller::Caller;
use crate::error::AccountError;
use crate::tier::Quota;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use secrecy::SecretString;
use std::convert::Infallible;
use std::sync::Arc;

/// Most bytes of a credential.
const BEARER_BYTES: usize = 4096;

/// Which origins are ours. The gateway knows: `(origin, headers, uri) -> bool`.
#[derive(Clone)]
pub struct Origins(Arc<OriginCheck>);

type OriginCheck = dyn Fn(&str, &HeaderMap, &Uri) -> bool + Send + Sync;

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Origins(..)")
    }
}

/// What a request says of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nothing: no page sent it.
    Absent,
    /// A page of ours.
    Ours,
    /// Another page, or one that will not say.
    Foreign,
}

impl Origins {
    /// Asks `is_ours` about the `Origin` of a request.
    #[must_use]
    pub fn new(is_ours: impl Fn(&str, &HeaderMap, &Uri) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_ours))
    }

    fn of(&self, parts: &Parts) -> Origin {
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Origin::Absent,
            (Some(origin), None) => match origin.to_str() {
                Ok(origin) if (self.0)(origin, &parts.headers, &parts.uri) => Origin::Ours,
                _ => Origin::Foreign,
            },
            (Some(_), Some(_)) => Origin::Foreign,
        }
    }

    /// Refuses a request of a foreign page. One that no page sent passes.
    pub(super) fn refuse_foreign(&self, parts: &Parts) -> Result<(), AccountError> {
        if self.of(parts) == Origin::Foreign { Err(AccountError::ForbiddenOrigin) } else { Ok(()) }
    }

    /// Refuses a request that does not prove to be of a page of ours: for what a cookie alone would allow.
    pub(super) fn require_ours(&self, parts: &Parts) -> Result<(), AccountError> {
        if self.of(parts) == Origin::Ours { Ok(()) } else { Err(AccountError::ForbiddenOrigin) }
    }
}

impl Client {
    /// The client of a request.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        let address = parts.extensions.get::<ClientAddress>().copied().unwrap_or(ClientAddress::UNKNOWN);
        let agent = parts.headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        Self::new(address, &agent.unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// The bearer credential of a request, of whatever kind.
#[derive(Debug, Clone)]
pub struct Credential(pub SecretString);

impl Credential {
    /// Reads `Authorization: Bearer …`; none if the header is absent.
    ///
    /// # Errors
    /// [`AccountError::NoCredential`] if there are several, or it is something else.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, AccountError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
        let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
        match bearer {
            Some((scheme, token)) if rest.is_none() && scheme.eq_ignore_ascii_case("bearer") => {
                let token = token.trim();
                let fits = !token.is_empty() && token.len() <= BEARER_BYTES;
                if fits {
                    Ok(Some(Self(SecretString::from(token.to_owned()))))
                } else {
                    Err(AccountError::NoCredential)
                }
            }
            _ => Err(AccountError::NoCredential),
        }
    }
}

async fn caller(parts: &Parts) -> Result<Option<Caller>, AccountError> {
    let Some(Credential(bearer)) = Credential::of(&parts.headers)? else { return Ok(None) };
    let accounts = parts.extensions.get::<Arc<Accounts>>().cloned();
    let accounts = accounts.expect("the router has the accounts as an extension");
    let caller = accounts.authenticate(&bearer, &Client::of(parts)).await?;
    accounts.allow(&caller, Quota::Requests).await?;
    Ok(Some(caller))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = AccountError;

    /// The proven caller, within the quota of requests. Needs `Extension<Arc<Accounts>>` on the router.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AccountError> {
        caller(parts).await?.ok_or(AccountError::NoCredential)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = AccountError;

    /// None without a credential; a bad one is refused all the same.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AccountError> {
        caller(parts).await
    }
}
