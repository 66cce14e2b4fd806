//! What tells a client without a token where to get one: RFC 9728, and the challenge of a 401.

use crate::config::ProxyConfig;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Scheme and host of a URL, and its path.
fn split(url: &str) -> (&str, &str) {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let slash = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url.split_at(slash)
}

/// The path under which the gateway serves [`metadata`], e.g. `/.well-known/oauth-protected-resource/mcp`.
#[must_use]
pub fn metadata_path(config: &ProxyConfig) -> String {
    let (_, path) = split(&config.resource);
    format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))
}

/// The document of RFC 9728 §2.
#[must_use]
pub fn metadata(config: &ProxyConfig) -> Value {
    json!({
        "resource": config.resource,
        "authorization_servers": [config.authorization_server],
        "scopes_supported": ["mcp"],
        "bearer_methods_supported": ["header"],
        "resource_name": "DexOrder",
    })
}

/// Whoever has no good token learns where to get one. `problem` says what was wrong with the one that came, if one came.
#[must_use]
pub fn unauthorized(config: &ProxyConfig, problem: Option<&str>) -> Response {
    let (host, _) = split(&config.resource);
    let mut challenge = format!("Bearer resource_metadata=\"{host}{}\", scope=\"mcp\"", metadata_path(config));
    let message = match problem {
        None => "a bearer token or an API key is required".to_owned(),
        Some(problem) => {
            let safe = |letter: &char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\');
            let told: String = problem.chars().filter(safe).take(200).collect();
            challenge.push_str(&format!(", error=\"invalid_token\", error_description=\"{told}\""));
            told
        }
    };
    let body = json!({"error": {"code": "UNAUTHORIZED", "field": "", "message": message, "retryable": false}});
    let mut response = (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(resource: &str) -> ProxyConfig {
        serde_json::from_value(json!({"resource": resource, "authorization_server": "https://trade.example"})).unwrap()
    }

    #[test]
    fn the_metadata_stand_before_the_path() {
        for (resource, path) in [
            ("https://trade.example/mcp", "/.well-known/oauth-protected-resource/mcp"),
            ("https://trade.example/a/mcp/", "/.well-known/oauth-protected-resource/a/mcp"),
            ("https://trade.example", "/.well-known/oauth-protected-resource"),
        ] {
            assert_eq!(metadata_path(&config(resource)), path);
            assert_eq!(metadata(&config(resource))["resource"], resource);
        }
    }

    #[test]
    fn a_challenge_names_the_metadata_and_cannot_be_broken_out_of() {
        let config = config("https://trade.example/mcp");
        let challenge =
            |problem| unauthorized(&config, problem).headers()["www-authenticate"].to_str().unwrap().to_owned();
        let known =
            r#"Bearer resource_metadata="https://trade.example/.well-known/oauth-protected-resource/mcp", scope="mcp""#;
        assert_eq!(challenge(None), known);
        let hostile = challenge(Some("bad\", realm=\"x\r\n\u{1}ü"));
        assert_eq!(hostile, format!("{known}, error=\"invalid_token\", error_description=\"bad, realm=x\""));
        assert_eq!(unauthorized(&config, None).status(), StatusCode::UNAUTHORIZED);
    }
}
