//! `/api/v1/account`, `/api/v1/sessions`, `/api/v1/api-keys`, `/api/v1/ws-tickets`: the own account.

use super::answer::ErrorBody;
use super::input::{Id, Json};
use super::{Answer, Api};
use crate::accounts::{ApiKeyView, Client, OneTimeSecret, Profile, SessionView};
use crate::caller::Caller;
use crate::error::AccountError;
use crate::rfc3339::Rfc3339;
use crate::scope::Scope;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    /// The present one; empty if none is set.
    #[schema(value_type = String, format = Password)]
    current: SecretString,
    /// The new one.
    #[schema(value_type = String, format = Password)]
    new: SecretString,
}

/// A code of the authenticator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeBody {
    /// Six digits.
    code: String,
}

/// What an authenticator app needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotpBody {
    /// Base32.
    secret: String,
    /// `otpauth://…`.
    url: String,
}

/// A code for the bot.
#[derive(Serialize, ToSchema)]
pub(crate) struct TelegramCodeBody {
    /// To be sent as `/start CODE`.
    code: String,
    /// When it is no longer good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
}

/// A ticket for a WebSocket.
#[derive(Serialize, ToSchema)]
pub(crate) struct TicketBody {
    /// For `?ticket=`, once.
    ticket: String,
    /// When it is no longer good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
}

/// Open sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsBody {
    /// The last used first.
    sessions: Vec<SessionView>,
}

/// Good keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeysBody {
    /// The newest first.
    api_keys: Vec<ApiKeyView>,
}

/// A wished key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyBody {
    /// 1 to 64 characters.
    name: String,
    /// What it is to be good for: of `market`, `chat`, `mcp`, `account:read`.
    scopes: Vec<Scope>,
    /// RFC 3339; without it, until it is revoked.
    expires_at: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKeyBody {
    /// The key, this once.
    key: String,
    #[serde(flatten)]
    view: ApiKeyView,
}

/// An answer that holds a secret is kept nowhere.
pub(super) fn secret(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[utoipa::path(get, path = "/api/v1/account", tag = "account",
    responses((status = 200, body = Profile), (status = "default", body = ErrorBody)))]
pub(crate) async fn profile(State(api): State<Api>, caller: Caller) -> Answer<axum::Json<Profile>> {
    Ok(axum::Json(api.accounts.profile(&caller).await?))
}

#[utoipa::path(put, path = "/api/v1/account/password", tag = "account", request_body = PasswordBody,
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn password(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Json(body): Json<PasswordBody>,
) -> Answer<StatusCode> {
    api.accounts.set_password(&caller, body.current, body.new, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/account/totp", tag = "account",
    responses((status = 200, body = TotpBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn prepare_totp(State(api): State<Api>, caller: Caller, client: Client) -> Answer<Response> {
    let setup = api.accounts.prepare_totp(&caller, &client).await?;
    let (totp, url) = (setup.secret.expose_secret().to_owned(), setup.url.expose_secret().to_owned());
    Ok(secret(StatusCode::OK, TotpBody { secret: totp, url }))
}

#[utoipa::path(post, path = "/api/v1/account/totp/confirm", tag = "account", request_body = CodeBody,
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn confirm_totp(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Json(body): Json<CodeBody>,
) -> Answer<StatusCode> {
    api.accounts.confirm_totp(&caller, &body.code, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/api/v1/account/totp", tag = "account", request_body = CodeBody,
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn remove_totp(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Json(body): Json<CodeBody>,
) -> Answer<StatusCode> {
    api.accounts.remove_totp(&caller, &body.code, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/account/telegram-codes", tag = "account",
    responses((status = 201, body = TelegramCodeBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn telegram_code(State(api): State<Api>, caller: Caller) -> Answer<Response> {
    let OneTimeSecret { secret: code, expires_ns } = api.accounts.telegram_code(&caller).await?;
    let code = code.expose_secret().to_owned();
    Ok(secret(StatusCode::CREATED, TelegramCodeBody { code, expires_at: Rfc3339(expires_ns) }))
}

#[utoipa::path(delete, path = "/api/v1/account/telegram", tag = "account",
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn unlink_telegram(State(api): State<Api>, caller: Caller, client: Client) -> Answer<StatusCode> {
    api.accounts.unlink_telegram(&caller, Some(&client)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/api/v1/sessions", tag = "account",
    responses((status = 200, body = SessionsBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn sessions(State(api): State<Api>, caller: Caller) -> Answer<axum::Json<SessionsBody>> {
    Ok(axum::Json(SessionsBody { sessions: api.accounts.sessions(&caller).await? }))
}

#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn end_session(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Id(id): Id,
) -> Answer<StatusCode> {
    let id = id.parse().map_err(|_| AccountError::NotFound { what: "session" })?;
    api.accounts.end_session(&caller, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/api/v1/api-keys", tag = "account",
    responses((status = 200, body = ApiKeysBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn api_keys(State(api): State<Api>, caller: Caller) -> Answer<axum::Json<ApiKeysBody>> {
    Ok(axum::Json(ApiKeysBody { api_keys: api.accounts.api_keys(&caller).await? }))
}

#[utoipa::path(post, path = "/api/v1/api-keys", tag = "account", request_body = NewKeyBody,
    responses((status = 201, body = MadeKeyBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn make_api_key(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Json(body): Json<NewKeyBody>,
) -> Answer<Response> {
    let expires_ns = body.expires_at.as_deref().map(expiry).transpose()?;
    let scopes = body.scopes.into_iter().collect();
    let made = api.accounts.make_api_key(&caller, &body.name, scopes, expires_ns, &client).await?;
    let key = made.key.expose_secret().to_owned();
    Ok(secret(StatusCode::CREATED, MadeKeyBody { key, view: made.view }))
}

fn expiry(text: &str) -> Result<u64, AccountError> {
    let time = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    let within = time.filter(|time_ns| *time_ns <= i64::MAX.unsigned_abs());
    within.ok_or_else(|| AccountError::invalid("expires_at", "expires_at: not a time as 2030-01-31T12:00:00Z"))
}

#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn revoke_api_key(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Id(id): Id,
) -> Answer<StatusCode> {
    api.accounts.revoke_api_key(&caller, &id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/ws-tickets", tag = "account",
    responses((status = 201, body = TicketBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn ticket(State(api): State<Api>, caller: Caller) -> Answer<Response> {
    let OneTimeSecret { secret: ticket, expires_ns } = api.accounts.ticket(&caller).await?;
    let ticket = ticket.expose_secret().to_owned();
    Ok(secret(StatusCode::CREATED, TicketBody { ticket, expires_at: Rfc3339(expires_ns) }))
}
