//! `/api/v1/auth/…`: signing up, in and out.

use super::answer::ErrorBody;
use super::caller::Credential;
use super::input::{Json, OptionalJson};
use super::{Answer, Api, cookie};
use crate::accounts::{Client, MINIMUM_AGE, SignUpForm, SignedIn};
use crate::caller::Caller;
use crate::config::SignUp;
use crate::error::AccountError;
use crate::rfc3339::Rfc3339;
use crate::scope::Role;
use crate::tier::Tier;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Where the refresh token goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Cookie,
    Body,
}

impl Delivery {
    /// A client that sends `"cookie": false` keeps the token itself.
    const fn wished(cookie: Option<bool>) -> Self {
        match cookie {
            Some(false) => Self::Body,
            _ => Self::Cookie,
        }
    }
}

/// What one can do here before signing in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Options {
    /// Whether strangers may sign up.
    sign_up: bool,
    /// Whether strangers may look around without an account.
    anonymous: bool,
    /// Name of the bot, for Telegram's login widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    telegram_bot: Option<String>,
    /// What one accepts by signing up.
    disclaimer: DisclaimerView,
    /// Age from which one may sign up.
    minimum_age: i16,
}

/// What one accepts by signing up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisclaimerView {
    /// To be sent back with the sign-up.
    version: String,
    /// Plain text.
    text: String,
}

/// Who signs up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpBody {
    /// 3 to 32 of `a-z0-9_-`, beginning with a letter.
    name: String,
    /// 10 to 256 characters.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// `YYYY-MM-DD`; not kept.
    birth_date: String,
    /// The version that was shown and accepted.
    disclaimer_version: String,
    /// False if the client keeps the refresh token itself.
    cookie: Option<bool>,
}

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// The user's name.
    name: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// A code of the authenticator, if one is set up.
    totp: Option<String>,
    /// False if the client keeps the refresh token itself.
    cookie: Option<bool>,
}

/// A login link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBody {
    /// The link's token.
    #[schema(value_type = String)]
    token: SecretString,
    /// False if the client keeps the refresh token itself.
    cookie: Option<bool>,
}

/// Nothing but where the refresh token goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnonymousBody {
    /// False if the client keeps the refresh token itself.
    cookie: Option<bool>,
}

/// A refresh token, for clients that keep it themselves.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    /// Without it, that of the cookie.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
    /// False if the client keeps the refresh token itself.
    cookie: Option<bool>,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// When it is no longer good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
    /// For a client that keeps it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Whose.
    user: SessionUser,
}

/// The user of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionUser {
    /// ULID.
    user_id: String,
    /// Name.
    name: String,
    /// Role.
    role: Role,
    /// Tier.
    tier: Tier,
}

impl Api {
    fn session(&self, status: StatusCode, session: &SignedIn, delivery: Delivery) -> Response {
        let body = SessionBody {
            access_token: session.access_token.expose_secret().to_owned(),
            expires_at: Rfc3339(session.expires_ns),
            refresh_token: (delivery == Delivery::Body).then(|| session.refresh_token.expose_secret().to_owned()),
            user: SessionUser {
                user_id: session.user.to_string(),
                name: session.name.to_string(),
                role: session.role,
                tier: session.tier,
            },
        };
        let mut response = (status, axum::Json(body)).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if delivery == Delivery::Cookie {
            let cookie = cookie::set(session, self.accounts.now(), self.accounts.config().cookie);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// The refresh token of a request. One in the cookie is used only for a page of ours.
    fn refresh_token(&self, parts: &Parts, body: Option<SecretString>) -> Result<Option<SecretString>, AccountError> {
        self.origins.refuse_foreign(parts)?;
        if body.is_some() {
            return Ok(body);
        }
        let token = cookie::read(&parts.headers);
        if token.is_some() {
            self.origins.require_ours(parts)?;
        }
        Ok(token)
    }
}

#[utoipa::path(get, path = "/api/v1/auth/options", tag = "account", responses((status = 200, body = Options)))]
pub(crate) async fn options(State(api): State<Api>) -> axum::Json<Options> {
    let config = api.accounts.config();
    let disclaimer = &config.disclaimer;
    axum::Json(Options {
        sign_up: config.sign_up == SignUp::Open,
        anonymous: config.anonymous.most > 0,
        telegram_bot: config.telegram_bot.clone(),
        disclaimer: DisclaimerView { version: disclaimer.version.clone(), text: disclaimer.text.clone() },
        minimum_age: MINIMUM_AGE,
    })
}

#[utoipa::path(post, path = "/api/v1/auth/sign-up", tag = "account", request_body = SignUpBody,
    responses((status = 201, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn sign_up(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    Json(body): Json<SignUpBody>,
) -> Answer<Response> {
    api.origins.refuse_foreign(&parts)?;
    let SignUpBody { name, password, birth_date, disclaimer_version, cookie } = body;
    let form = SignUpForm { name, password, birth_date, disclaimer_version };
    let session = api.accounts.sign_up(form, &client).await?;
    Ok(api.session(StatusCode::CREATED, &session, Delivery::wished(cookie)))
}

#[utoipa::path(post, path = "/api/v1/auth/login", tag = "account", request_body = LoginBody,
    responses((status = 200, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn login(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    Json(body): Json<LoginBody>,
) -> Answer<Response> {
    api.origins.refuse_foreign(&parts)?;
    let LoginBody { name, password, totp, cookie } = body;
    let session = api.accounts.sign_in(&name, password, totp.as_deref(), &client).await?;
    Ok(api.session(StatusCode::OK, &session, Delivery::wished(cookie)))
}

#[utoipa::path(post, path = "/api/v1/auth/link", tag = "account", request_body = LinkBody,
    responses((status = 200, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn link(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    Json(body): Json<LinkBody>,
) -> Answer<Response> {
    api.origins.refuse_foreign(&parts)?;
    let session = api.accounts.sign_in_with_link(&body.token, &client).await?;
    Ok(api.session(StatusCode::OK, &session, Delivery::wished(body.cookie)))
}

#[utoipa::path(post, path = "/api/v1/auth/anonymous", tag = "account", request_body = AnonymousBody,
    responses((status = 201, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn anonymous(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    OptionalJson(body): OptionalJson<AnonymousBody>,
) -> Answer<Response> {
    api.origins.refuse_foreign(&parts)?;
    let session = api.accounts.sign_in_anonymously(&client).await?;
    Ok(api.session(StatusCode::CREATED, &session, Delivery::wished(body.cookie)))
}

/// The fields of Telegram's login widget as they are, and `cookie`.
#[utoipa::path(post, path = "/api/v1/auth/telegram", tag = "account", request_body = std::collections::BTreeMap<String, String>,
    responses((status = 200, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn telegram(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    Json(body): Json<BTreeMap<String, Value>>,
) -> Answer<Response> {
    api.origins.refuse_foreign(&parts)?;
    let mut cookie = None;
    let mut fields = BTreeMap::new();
    for (name, value) in body {
        match value {
            Value::Bool(wish) if name == "cookie" => cookie = Some(wish),
            Value::String(text) => drop(fields.insert(name, text)),
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                drop(fields.insert(name, number.to_string()))
            }
            _ => {
                return Err(AccountError::invalid(
                    "fields",
                    "fields: texts and whole numbers as the login widget gives them",
                ));
            }
        }
    }
    let session = api.accounts.sign_in_with_telegram(&fields, &client).await?;
    Ok(api.session(StatusCode::OK, &session, Delivery::wished(cookie)))
}

#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "account", request_body = RefreshBody,
    responses((status = 200, body = SessionBody), (status = "default", body = ErrorBody)))]
pub(crate) async fn refresh(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Answer<Response> {
    let from_body = body.refresh_token.is_some();
    let token = api.refresh_token(&parts, body.refresh_token)?.ok_or(AccountError::NoCredential)?;
    let session = api.accounts.refresh(&token, &client).await;
    let delivery =
        if from_body { Delivery::wished(body.cookie.or(Some(false))) } else { Delivery::wished(body.cookie) };
    match session {
        Ok(session) => Ok(api.session(StatusCode::OK, &session, delivery)),
        Err(error @ AccountError::Wrong { .. }) if !from_body => {
            // A cookie that is no longer good would be sent again and again.
            let cookie = cookie::clear(api.accounts.config().cookie);
            Ok(([(header::SET_COOKIE, cookie)], error).into_response())
        }
        Err(error) => Err(error),
    }
}

#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "account", request_body = RefreshBody,
    responses((status = 204), (status = "default", body = ErrorBody)))]
pub(crate) async fn logout(
    State(api): State<Api>,
    client: Client,
    parts: Parts,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Answer<Response> {
    if let Some(token) = api.refresh_token(&parts, body.refresh_token)? {
        api.accounts.sign_out(&token, &client).await?;
    }
    // The session of the access token too, which is the same one for a page of ours. One that is no longer good is out already.
    if let Some(Credential(bearer)) = Credential::of(&parts.headers)? {
        let caller = api.accounts.authenticate(&bearer, &client).await;
        if let Ok(caller @ Caller { .. }) = caller
            && let Some(session) = caller.session()
        {
            match api.accounts.end_session(&caller, session, &client).await {
                Ok(()) | Err(AccountError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let cookie = cookie::clear(api.accounts.config().cookie);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
