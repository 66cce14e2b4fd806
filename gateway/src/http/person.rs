//! Everything of one user: export it, or erase it everywhere and prove it by counts.

use crate::error::{ApiError, Code, ErrorBody};
use crate::http::chat::Refused;
use crate::http::notifications::unavailable;
use crate::people::People;
use accounts::{Caller, Client, Scope};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Turns of one page of an export.
const PAGE: usize = 100;
/// Turns of an export; those before are in the memory, which has its own.
const TURNS: usize = 500;

/// The account and the turns of the caller. Files and memory have exports of their own.
#[utoipa::path(
    get, path = "/api/v1/account/export", tag = "accounts",
    responses((status = 200, description = "`{account, turns}`", body = Object), (status = 401, description = "Not signed in", body = ErrorBody))
)]
pub(crate) async fn export(
    State(people): State<People>,
    caller: Caller,
    client: Client,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Account)?;
    let account = people.accounts.export_account(&caller, &client).await?;
    let (mut turns, mut after) = (Vec::new(), None);
    loop {
        let page = people.harness.export(caller.user, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.turn_id);
        turns.extend(page);
        if turns.len() >= TURNS {
            break;
        }
    }
    Ok(Json(json!({"account": account, "turns": turns})))
}

/// A wish to be forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureBody {
    /// The name of the account, typed again.
    confirm: String,
}

/// Erases the caller everywhere: turns, container and files, account. Counts before and after prove it.
#[utoipa::path(
    delete, path = "/api/v1/account", tag = "accounts", request_body = ErasureBody,
    responses(
        (status = 200, description = "`{before, after}`", body = Object),
        (status = 400, description = "`confirm` is not the name", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
    )
)]
pub(crate) async fn erase(
    State(people): State<People>,
    caller: Caller,
    body: Result<Json<ErasureBody>, JsonRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Account)?;
    let Json(body) = body.map_err(|error| ApiError::new(Code::Malformed, error.body_text()))?;
    let user = caller.user;
    // Refused before anything is gone.
    people.accounts.check_erasure(&caller, &body.confirm).await?;
    // The account goes last: until then the person can ask again for what could not be erased.
    let turns = people.harness.erase(user).await?;
    let container = people.containers.provisioner().erase(user).await;
    let container = container.map_err(|error| ApiError::from(provisioner::ClientError::from(error)))?;
    let told = people.notifications.erase(user).await.map_err(|error| unavailable(&error))?;
    let turns_left = people.harness.count(user).await?;
    let account = people.accounts.erase_account(&caller, &body.confirm).await?;
    let before = json!({"turns": turns, "files": container.files_before, "file_bytes": container.bytes_before, "notifications": told.before, "account": account.before});
    let after = json!({"turns": turns_left, "files": container.files_after, "notifications": told.after, "account": account.after});
    Ok(Json(json!({"before": before, "after": after})))
}
