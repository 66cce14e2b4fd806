//! `GET /ws`: the upgrade (docs/protocol/10-websocket.md §2).

use crate::error::{ApiError, Code};
use crate::http::App;
use crate::http::guard::{authority, origin_is_ours};
use crate::live::session;
use crate::metrics::Refusal;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{RequestExt, http::HeaderMap};
use std::sync::Arc;

/// Read buffer of a socket: what clients send is short.
const READ_BUFFER: usize = 1 << 10;
/// Write buffer of a socket; a session flushes before it is full.
const WRITE_BUFFER: usize = 32 << 10;

pub(crate) async fn get(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    if !origin_allowed(&app, request.headers(), request.uri()) {
        app.metrics.refuse(Refusal::Origin);
        return Err(ApiError::new(Code::ForbiddenOrigin, "this page may not connect; see http.allowed_origins"));
    }
    let upgrade: WebSocketUpgrade = request
        .extract()
        .await
        .map_err(|_| ApiError::new(Code::UpgradeRequired, "this path speaks WebSocket (RFC 6455, version 13)"))?;
    let Ok(client) = app.hub.join() else {
        app.metrics.refuse(Refusal::Sockets);
        return Err(ApiError::new(Code::Overloaded, "too many WebSockets are open; try again later"));
    };
    let most = app.config.live.client_message;
    let (context, hub, lost) = (app.sessions.clone(), app.hub.clone(), client.clone());
    // Held by the session: the drain waits for it.
    let running = app.tracker.token();
    let response = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(most)
        .max_frame_size(most)
        .on_failed_upgrade(move |_error| hub.leave(&lost))
        .on_upgrade(move |socket| async move {
            session::serve(socket, client, context).await;
            drop(running);
        });
    Ok(response.into_response())
}

fn origin_allowed(app: &App, headers: &HeaderMap, uri: &axum::http::Uri) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => match (origin.to_str(), authority(headers, uri)) {
            (Ok(origin), Some(authority)) => origin_is_ours(origin, authority, &app.config.http.allowed_origins),
            _ => false,
        },
        (Some(_), Some(_)) => false,
    }
}
