//! Tests of the routes over a real listener.

mod admin;
mod hostile;
mod journey;

use crate::accounts::Accounts;
use crate::address::ClientAddress;
use crate::fixtures::{PASSWORD, Platform};
use crate::http::{Origins, router};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinHandle;

const OURS: &str = "https://dex.example";

struct Server {
    platform: Platform,
    accounts: Arc<Accounts>,
    url: String,
    client: reqwest::Client,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        if status.is_client_error() || status.is_server_error() {
            let error = body["error"].as_object().expect("an error has the form of all errors");
            let members: Vec<&str> = error.keys().map(String::as_str).collect();
            assert_eq!(members, ["code", "field", "message", "retryable"]);
            assert_eq!(headers["cache-control"], "no-store");
        }
        Self { status, headers, body }
    }

    fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["error"]["code"].as_str().unwrap_or(""))
    }

    fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("{member} in {}", self.body)).to_owned()
    }

    /// The refresh token that the cookie is set to.
    fn cookie(&self) -> Option<String> {
        let text = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(text.strip_prefix("dexorder_refresh=").unwrap().split(';').next().unwrap().to_owned())
    }
}

impl Server {
    async fn start() -> Self {
        Self::of(Platform::sqlite().await).await
    }

    async fn of(platform: Platform) -> Self {
        // Another test of this process may have installed it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let accounts = platform.replica().await;
        let origins = Origins::new(|origin, _, _| origin == OURS);
        let address = async |mut request: Request, next: Next| {
            request.extensions_mut().insert(ClientAddress([203, 0, 113, 77].into()));
            next.run(request).await
        };
        let routes = router(accounts.clone(), origins).layer(from_fn(address));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { platform, accounts, url, client: reqwest::Client::new(), task }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).bearer_auth(token)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        Answer::of(self.request(method, path).bearer_auth(token).json(body)).await
    }

    async fn sign_up(&self, name: &str) -> Answer {
        let body = json!({"name": name, "password": PASSWORD, "birth_date": "1990-12-31", "disclaimer_version": "1", "cookie": false});
        let answer = self.post("/api/v1/auth/sign-up", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    /// An access token of the first admin.
    async fn admin(&self) -> String {
        let (_, link) = self.accounts.first_admin_link().await.unwrap();
        let token = secrecy::ExposeSecret::expose_secret(&link.secret);
        self.post("/api/v1/auth/link", &json!({"token": token})).await.text("access_token")
    }
}
