//! The web page, built by `gateway/web` and compiled in.

use crate::error::{ApiError, Code};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "web/dist/"]
struct Page;

const INDEX: &str = "index.html";
/// Names under here contain a hash of the content, so they never change.
const HASHED: &str = "assets/";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Serves a file of the page; a path that looks like no file is the page itself, which has routes of its own.
pub(crate) async fn get(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return ApiError::new(Code::MethodNotAllowed, "only GET and HEAD are allowed here").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { INDEX } else { path };
    let is_api = path == "api" || path.starts_with("api/");
    let file = match Page::get(path) {
        Some(file) => Some((path, file)),
        None if !is_api && !names_a_file(path) => Page::get(INDEX).map(|file| (INDEX, file)),
        None => None,
    };
    match file {
        Some((path, file)) => respond(path, file, &headers),
        None => ApiError::new(Code::NotFound, "there is nothing at this path").into_response(),
    }
}

fn names_a_file(path: &str) -> bool {
    path.starts_with(HASHED) || path.rsplit('/').next().is_some_and(|last| last.contains('.'))
}

fn respond(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = etag(&file);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(file.data).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type(path));
        response
    };
    let cache = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    if let Ok(etag) = etag.parse() {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn etag(file: &EmbeddedFile) -> String {
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}\"")
}

fn content_type(path: &str) -> HeaderValue {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let text = guess.type_() == mime_guess::mime::TEXT || guess.subtype() == mime_guess::mime::JAVASCRIPT;
    let value = if text { format!("{guess}; charset=utf-8") } else { guess.to_string() };
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(method: Method, path: &str, known: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
        }
        get(method, path.parse().unwrap(), headers).await
    }

    #[tokio::test]
    async fn the_page_answers_on_its_own_routes_and_is_checked_each_time() {
        for path in ["/", "/index.html", "/chart/SIM/BTC"] {
            let response = ask(Method::GET, path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(response.headers()[header::CACHE_CONTROL], ASK_AGAIN);
        }
    }

    #[tokio::test]
    async fn an_unchanged_file_is_not_sent_again() {
        let etag = ask(Method::GET, "/", None).await.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(ask(Method::GET, "/", Some(&etag)).await.status(), StatusCode::NOT_MODIFIED);
        let weak = format!("\"other\", W/{etag}");
        assert_eq!(ask(Method::GET, "/", Some(&weak)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(Method::GET, "/", Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn what_is_not_there_is_an_error_and_never_the_page() {
        for path in ["/assets/index-0000.js", "/favicon.missing", "/api/v1/nothing", "/api", "/../Cargo.toml"] {
            assert_eq!(ask(Method::GET, path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask(Method::POST, "/", None).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn scripts_and_styles_have_their_types() {
        assert_eq!(content_type("assets/x-1.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("assets/x-1.css"), "text/css; charset=utf-8");
        assert_eq!(content_type("icon.svg"), "image/svg+xml");
        assert_eq!(content_type("font.woff2"), "font/woff2");
    }
}
