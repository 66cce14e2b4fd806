//! The routes of accounts (docs/protocol/13-accounts.md §2). The gateway adds the layers of all its routes around them, and two
//! extensions to each request: [`Accounts`] and [`ClientAddress`](crate::ClientAddress).

mod account;
mod admin;
mod answer;
mod caller;
mod cookie;
mod input;
mod openapi;
mod sign_in;

pub use answer::ErrorBody;
pub use caller::{Credential, Origins};
pub use openapi::openapi;

use crate::accounts::Accounts;
use crate::error::{AccountError, Code};
use answer::ApiError;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use std::sync::Arc;

/// No request here needs a larger body.
const BODY_BYTES: usize = 8 << 10;

type MakeRoute = fn() -> MethodRouter<Api>;

/// What the routes share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    accounts: Arc<Accounts>,
    origins: Origins,
}

/// All routes. The OpenAPI document describes exactly these.
const ROUTES: [(&str, MakeRoute); 20] = [
    ("/api/v1/auth/options", || get(sign_in::options)),
    ("/api/v1/auth/sign-up", || post(sign_in::sign_up)),
    ("/api/v1/auth/login", || post(sign_in::login)),
    ("/api/v1/auth/link", || post(sign_in::link)),
    ("/api/v1/auth/anonymous", || post(sign_in::anonymous)),
    ("/api/v1/auth/telegram", || post(sign_in::telegram)),
    ("/api/v1/auth/refresh", || post(sign_in::refresh)),
    ("/api/v1/auth/logout", || post(sign_in::logout)),
    ("/api/v1/account", || get(account::profile)),
    ("/api/v1/account/password", || put(account::password)),
    ("/api/v1/account/totp", || post(account::prepare_totp).delete(account::remove_totp)),
    ("/api/v1/account/totp/confirm", || post(account::confirm_totp)),
    ("/api/v1/account/telegram-codes", || post(account::telegram_code)),
    ("/api/v1/account/telegram", || delete(account::unlink_telegram)),
    ("/api/v1/sessions", || get(account::sessions)),
    ("/api/v1/sessions/{id}", || delete(account::end_session)),
    ("/api/v1/api-keys", || get(account::api_keys).post(account::make_api_key)),
    ("/api/v1/api-keys/{id}", || delete(account::revoke_api_key)),
    ("/api/v1/ws-tickets", || post(account::ticket)),
    ("/api/v1/admin/users", || get(admin::users).post(admin::make_user)),
];

/// Those of them that only admins may use, besides the list of users.
const ADMIN_ROUTES: [(&str, MakeRoute); 4] = [
    ("/api/v1/admin/users/{id}", || patch(admin::change_user)),
    ("/api/v1/admin/users/{id}/login-link", || post(admin::login_link)),
    ("/api/v1/admin/audit", || get(admin::audit)),
    ("/api/v1/admin/audit/verify", || get(admin::verify)),
];

/// All routes but `GET /api/v1/account/export` and `DELETE /api/v1/account`, which join several rooms and are the gateway's.
pub fn router(accounts: Arc<Accounts>, origins: Origins) -> Router {
    let api = Api { accounts: accounts.clone(), origins };
    ROUTES
        .into_iter()
        .chain(ADMIN_ROUTES)
        .fold(Router::new(), |router, (path, make)| router.route(path, make().fallback(method_not_allowed)))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(axum::Extension(accounts))
        .with_state(api)
}

/// The paths of [`router`].
pub fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().chain(&ADMIN_ROUTES).map(|(path, _)| *path)
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this path has other methods")
}

type Answer<T> = Result<T, AccountError>;

#[cfg(test)]
mod tests;
