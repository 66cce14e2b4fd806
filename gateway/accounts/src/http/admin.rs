//! `/api/v1/admin/…`: users and the audit trail, for admins.

use super::account::secret;
use super::answer::ErrorBody;
use super::input::{Id, Json, Query};
use super::{Answer, Api};
use crate::accounts::{AuditPage, Client, UserPatch, UserView};
use crate::audit::Verdict;
use crate::caller::Caller;
use crate::error::AccountError;
use crate::rfc3339::Rfc3339;
use crate::tier::Tier;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use proto::UserId;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a list of users goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersQuery {
    /// The last id of the page before.
    #[serde(default)]
    after: String,
}

/// Where the audit trail goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// `next` of the page before.
    before: Option<u64>,
    /// At most 200; 100 without it.
    limit: Option<u32>,
}

/// Users, in the order of their ids, at most 200.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersBody {
    users: Vec<UserView>,
}

/// A user to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUserBody {
    /// 3 to 32 of `a-z0-9_-`, beginning with a letter.
    name: String,
    /// `free` without it.
    #[serde(default)]
    tier: Tier,
}

/// A login link.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoginLinkBody {
    /// For `POST /api/v1/auth/link`, once.
    token: String,
    /// When it is no longer good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
}

fn user(id: &str) -> Result<UserId, AccountError> {
    id.parse().map_err(|_| AccountError::NotFound { what: "user" })
}

#[utoipa::path(get, path = "/api/v1/admin/users", tag = "admin", params(("after" = Option<String>, Query)),
    responses((status = 200, body = UsersBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn users(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Answer<axum::Json<UsersBody>> {
    Ok(axum::Json(UsersBody { users: api.accounts.users(&caller, &query.after).await? }))
}

#[utoipa::path(post, path = "/api/v1/admin/users", tag = "admin", request_body = NewUserBody,
    responses((status = 201, body = UserView), (status = "default", body = ErrorBody)))]
pub(crate) async fn make_user(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Json(body): Json<NewUserBody>,
) -> Answer<Response> {
    let user = api.accounts.make_user(&caller, &body.name, body.tier, &client).await?;
    Ok((StatusCode::CREATED, axum::Json(user)).into_response())
}

#[utoipa::path(patch, path = "/api/v1/admin/users/{id}", tag = "admin", params(("id" = String, Path)), request_body = UserPatch,
    responses((status = 200, body = UserView), (status = "default", body = ErrorBody)))]
pub(crate) async fn change_user(
    State(api): State<Api>,
    caller: Caller,
    client: Client,
    Id(id): Id,
    Json(patch): Json<UserPatch>,
) -> Answer<axum::Json<UserView>> {
    caller.require_admin()?;
    Ok(axum::Json(api.accounts.change_user(&caller, user(&id)?, patch, &client).await?))
}

#[utoipa::path(post, path = "/api/v1/admin/users/{id}/login-link", tag = "admin", params(("id" = String, Path)),
    responses((status = 201, body = LoginLinkBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn login_link(State(api): State<Api>, caller: Caller, client: Client, Id(id): Id) -> Answer<Response> {
    caller.require_admin()?;
    let link = api.accounts.login_link(&caller, user(&id)?, &client).await?;
    let (token, expires_at) = (link.secret.expose_secret().to_owned(), Rfc3339(link.expires_ns));
    Ok(secret(StatusCode::CREATED, LoginLinkBody { token, expires_at }))
}

#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "admin", params(("before" = Option<u64>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = AuditPage), (status = "default", body = ErrorBody)))]
pub(crate) async fn audit(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Answer<axum::Json<AuditPage>> {
    let before = query.before.map(|before| before.min(i64::MAX.unsigned_abs()));
    Ok(axum::Json(api.accounts.audit_page(&caller, before, query.limit.unwrap_or(100)).await?))
}

#[utoipa::path(get, path = "/api/v1/admin/audit/verify", tag = "admin",
    responses((status = 200, body = Verdict), (status = "default", body = ErrorBody)))]
pub(crate) async fn verify(State(api): State<Api>, caller: Caller) -> Answer<axum::Json<Verdict>> {
    Ok(axum::Json(api.accounts.verify_audit(&caller).await?))
}
