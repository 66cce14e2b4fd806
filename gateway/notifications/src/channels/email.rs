//! Mail over SMTP, one connection a message.

use crate::config::{EmailConfig, SmtpSecurity};
use crate::delivery::{Channel, Delivery};
use crate::notification::Notification;
use crate::preferences::ChannelKind;
use crate::store::Store;
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use proto::UserId;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Time for one answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Why mail cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// The sender's address is none.
    #[error("email.from: {0}")]
    From(#[from] lettre::address::AddressError),
    /// TLS cannot be set up.
    #[error("email: {0}")]
    Tls(#[from] lettre::transport::smtp::Error),
}

/// Sends notifications to the mailbox that the user has set.
#[derive(Debug)]
pub struct EmailChannel {
    store: Store,
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl EmailChannel {
    pub(crate) fn new(store: Store, config: &EmailConfig, password: Option<&SecretString>) -> Result<Self, EmailError> {
        let tls = match config.security {
            SmtpSecurity::Starttls => Tls::Required(TlsParameters::new(config.host.clone())?),
            SmtpSecurity::Tls => Tls::Wrapper(TlsParameters::new(config.host.clone())?),
            SmtpSecurity::None => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host);
        let mut builder = builder.port(config.port).tls(tls).timeout(Some(ANSWER_TIMEOUT));
        if let (Some(user), Some(password)) = (&config.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { store, from: config.from.parse()?, transport: builder.build() })
    }

    fn message(&self, to: Mailbox, notification: &Notification) -> Result<Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        Message::builder()
            .from(self.from.clone())
            .to(to)
            // The same for each try, so that a mailbox can tell a repetition.
            .message_id(Some(format!("<{}@{domain}>", notification.event_id)))
            .subject(format!("DexOrder: {}", notification.title()))
            .header(ContentType::TEXT_PLAIN)
            .body(notification.text())
    }
}

#[async_trait]
impl Channel for EmailChannel {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Email
    }

    async fn deliver(&self, user_id: UserId, notification: &Notification) -> Delivery {
        let address = match self.store.preferences(user_id).await {
            Ok(stored) => stored.preferences.email,
            Err(error) => {
                tracing::warn!(%error, "a mailbox's address cannot be read");
                return Delivery::TryLater { after: None };
            }
        };
        let Some(address) = address.and_then(|address| address.parse().ok()) else { return Delivery::Gone };
        let message = match self.message(Mailbox::new(None, address), notification) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(%user_id, %error, "a notification makes no mail");
                return Delivery::Gone;
            }
        };
        match self.transport.send(message).await {
            Ok(_) => Delivery::Delivered,
            // 5yz: the server will not take it tomorrow either.
            Err(error) if error.is_permanent() => {
                tracing::warn!(%user_id, %error, "a mail was refused");
                Delivery::Gone
            }
            Err(error) => {
                tracing::debug!(%user_id, %error, "a mail was not taken");
                Delivery::TryLater { after: None }
            }
        }
    }
}
