//! The description of the routes, to be merged into the gateway's `/openapi.json`.

use super::{account, admin, sign_in};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    paths(
        sign_in::options, sign_in::sign_up, sign_in::login, sign_in::link, sign_in::anonymous, sign_in::telegram,
        sign_in::refresh, sign_in::logout, account::profile, account::password, account::prepare_totp,
        account::remove_totp, account::confirm_totp, account::telegram_code, account::unlink_telegram,
        account::sessions, account::end_session, account::api_keys, account::make_api_key, account::revoke_api_key,
        account::ticket, admin::users, admin::make_user, admin::change_user, admin::login_link, admin::audit,
        admin::verify
    ),
    tags(
        (name = "account", description = "Signing in, and the own account (docs/protocol/13-accounts.md)"),
        (name = "admin", description = "Users and the audit trail, for admins")
    )
)]
struct Document;

/// The description of the routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documented_paths_are_those_of_the_router() {
        let document = openapi();
        let documented: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(documented, super::super::paths().collect());
    }

    #[test]
    fn every_reference_in_the_document_resolves() {
        let text = openapi().to_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let target = reference.split('"').next().unwrap();
            assert!(json.pointer(target.strip_prefix('#').unwrap()).is_some(), "{target}");
        }
    }
}
