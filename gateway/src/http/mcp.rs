//! `/mcp`: a user's external MCP clients, passed on to that user's container.

use crate::http::chat::Refused;
use crate::people::People;
use accounts::{AccountError, Accounts, Caller, Quota, Scope};
use axum::RequestPartsExt;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// A request of an MCP client: with a token or an API key of scope `mcp`, or told where to get one.
pub(crate) async fn any(State(people): State<People>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match parts.extract::<Caller>().await {
        Ok(caller) => caller,
        Err(error @ (AccountError::NoCredential | AccountError::Token(_))) => {
            let problem = (!matches!(error, AccountError::NoCredential)).then(|| error.to_string());
            return provisioner::unauthorized(people.mcp.config(), problem.as_deref());
        }
        Err(error) => return error.into_response(),
    };
    if let Err(error) = allowed(&people.accounts, &caller).await {
        return error.into_response();
    }
    people.mcp.handle(caller.user, Request::from_parts(parts, body)).await
}

async fn allowed(accounts: &Arc<Accounts>, caller: &Caller) -> Result<(), Refused> {
    caller.require(Scope::Mcp)?;
    Ok(accounts.allow(caller, Quota::Mcp).await?)
}

/// Where a client without a token gets one (RFC 9728).
pub(crate) async fn metadata(State(people): State<People>) -> Response {
    axum::Json(provisioner::metadata(people.mcp.config())).into_response()
}
