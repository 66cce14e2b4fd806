//! `GET /openapi.json`: the description of the API, made from the handlers.

use crate::http::{candles, chat, health, history, indicators, instruments, notifications, person, venues, workspace};
use axum::http::header;
use axum::response::IntoResponse;
use std::sync::LazyLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "DexOrder",
        description = "Market data of the DexOrder platform. Live data: the WebSocket at /ws (docs/protocol/10-websocket.md). \
            Prices and sizes are exact decimals as strings; times are RFC 3339 in UTC. Every error has the form \
            {\"error\":{\"code\",\"field\",\"message\",\"retryable\"}}.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        health::get, venues::get, instruments::get, candles::get, indicators::get, history::candles, history::ticks,
        history::requests::post, history::requests::get, chat::post_message, chat::conversations, chat::turns, chat::events,
        chat::stop, chat::prompts, workspace::files, workspace::file, workspace::file_history, workspace::file_diff,
        workspace::memory, workspace::erase_memory, workspace::export_memory, workspace::backtests, workspace::backtest,
        workspace::backtest_page, workspace::container, workspace::wake, notifications::list, notifications::read, person::export, person::erase
    ),
    tags(
        (name = "platform", description = "The platform itself"),
        (name = "market", description = "Market data"),
        (name = "history", description = "Whole series for backtests (docs/protocol/11-history-http.md)"),
        (name = "chat", description = "The assistant (docs/protocol/12-chat.md)"),
        (name = "workspace", description = "The caller's container: files, memory, backtests"),
        (name = "accounts", description = "Accounts, sessions, keys (docs/protocol/13-accounts.md)")
    )
)]
struct ApiDoc;

/// The gateway's own routes and those of the accounts.
fn document() -> utoipa::openapi::OpenApi {
    let mut document = ApiDoc::openapi();
    document.merge(accounts::http::openapi());
    document
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());

pub(crate) async fn get() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], DOCUMENT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::{API_ROUTES, PEOPLE_ROUTES, PERSON_ROUTES, STREAM_ROUTES};
    use std::collections::BTreeSet;

    #[test]
    fn the_documented_paths_are_those_of_the_router() {
        let document = document();
        let documented: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let of_markets = API_ROUTES.iter().chain(&STREAM_ROUTES).map(|(path, _)| *path);
        let of_people = PEOPLE_ROUTES.iter().chain(&PERSON_ROUTES).map(|(path, _)| *path);
        let routed: BTreeSet<&str> = of_markets.chain(of_people).chain(accounts::http::paths()).collect();
        assert_eq!(documented, routed);
        let account = &document.paths.paths["/api/v1/account"];
        assert!(account.get.is_some() && account.delete.is_some(), "methods of two rooms");
    }

    #[test]
    fn the_documented_parameters_are_those_that_are_read() {
        let document = ApiDoc::openapi();
        let read: [(&str, &[&str]); 8] = [
            ("/api/v1/health", &[]),
            ("/api/v1/venues", &[]),
            ("/api/v1/instruments", instruments::PARAMS),
            ("/api/v1/candles", candles::PARAMS),
            ("/api/v1/indicators", indicators::PARAMS),
            ("/api/v1/history/candles", history::CANDLE_PARAMS),
            ("/api/v1/history/ticks", history::TICK_PARAMS),
            ("/api/v1/history/requests/{id}", &["id"]),
        ];
        for (path, read) in read {
            let operation = document.paths.paths[path].get.as_ref().unwrap();
            let documented: Vec<String> = operation.parameters.iter().flatten().map(parameter_name).collect();
            assert_eq!(documented, read, "{path}");
        }
    }

    fn parameter_name(parameter: &impl serde::Serialize) -> String {
        let json = serde_json::to_value(parameter).unwrap();
        json["name"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_reference_in_the_document_resolves() {
        let json: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        let text = DOCUMENT.as_str();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let target = reference.split('"').next().unwrap();
            let pointer = target.strip_prefix('#').unwrap();
            assert!(json.pointer(pointer).is_some(), "{target}");
        }
    }
}
