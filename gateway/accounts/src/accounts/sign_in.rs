//! Signing up and signing in: each way ends in a session.

use super::{Accounts, Client, OneTimeSecret, nanos};
use crate::audit::{Event, Outcome};
use crate::config::SignUp;
use crate::error::AccountError;
use crate::guessing::Verdict;
use crate::id::{SessionId, mint_user};
use crate::issuer::Subject;
use crate::password::{self, PasswordHash};
use crate::scope::Role;
use crate::secret_token::{Digest, SecretKind, digest, mint};
use crate::store::{NewSecret, NewSession, UserRecord};
use crate::telegram_login;
use crate::tier::Tier;
use crate::user_name::UserName;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proto::UserId;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::time::Duration;

/// Age from which somebody may sign up.
pub(crate) const MINIMUM_AGE: i16 = 18;
/// A login link is good for so long.
const LINK_LIFE: Duration = Duration::from_secs(15 * 60);
/// Longest password that is looked at, bytes.
const PASSWORD_BYTES: usize = 4 * password::LONGEST;

/// What somebody who signs up tells.
#[derive(Debug)]
pub struct SignUpForm {
    /// The wished name.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// `YYYY-MM-DD`; looked at and not kept.
    pub birth_date: String,
    /// The version of the disclaimer that was shown and accepted.
    pub disclaimer_version: String,
}

/// A session that has begun or goes on.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// For requests.
    pub access_token: SecretString,
    /// When it is no longer good, ns.
    pub expires_ns: u64,
    /// For the next access token.
    pub refresh_token: SecretString,
    /// When it is no longer good, ns.
    pub refresh_expires_ns: u64,
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// The user's name.
    pub name: UserName,
    /// The user's role.
    pub role: Role,
    /// The user's tier.
    pub tier: Tier,
}

/// A fresh user, without anything.
pub(super) fn new_user(name: UserName, role: Role, tier: Tier, now_ns: u64) -> UserRecord {
    UserRecord {
        id: mint_user(now_ns),
        name,
        role,
        tier,
        password: None,
        disabled: false,
        created_ns: now_ns,
        expires_ns: None,
        disclaimer: None,
        totp: None,
        telegram: None,
    }
}

impl Accounts {
    /// Makes an account and signs in.
    ///
    /// # Errors
    /// If sign-up is closed, or which field is not as it must be. That a name is taken cannot be hidden here; the limit of an address
    /// keeps anybody from trying many.
    pub async fn sign_up(&self, form: SignUpForm, client: &Client) -> Result<SignedIn, AccountError> {
        if self.config.sign_up == SignUp::Closed {
            return Err(AccountError::NotOffered { what: "sign-up" });
        }
        self.allow_address(client).await?;
        let name: UserName = form.name.parse().map_err(|error| AccountError::invalid("name", error))?;
        let name = name.choosable().map_err(|error| AccountError::invalid("name", error))?;
        password::check(&form.password, &name).map_err(|error| AccountError::invalid("password", error))?;
        if form.disclaimer_version != self.config.disclaimer.version {
            let message =
                format!("disclaimer_version: the disclaimer is now version {}", self.config.disclaimer.version);
            return Err(AccountError::invalid("disclaimer_version", message));
        }
        let now_ns = self.now_ns();
        if !is_of_age(&form.birth_date, now_ns)? {
            self.audit(Event::SignUp, Outcome::NotAllowed, None, client).await?;
            let message = format!("birth_date: one must be {MINIMUM_AGE} to use DexOrder");
            return Err(AccountError::invalid("birth_date", message));
        }
        let hash = self.hashing.hash(form.password).await?;
        let user = UserRecord {
            password: Some(hash.to_text()),
            disclaimer: Some(form.disclaimer_version),
            ..new_user(name, Role::User, Tier::Free, now_ns)
        };
        if !self.store.add_user(&user).await? {
            return Err(AccountError::Conflict { field: "name", message: "name: taken, choose another" });
        }
        self.begin_session(&user, Event::SignUp, client).await
    }

    /// Signs in with name and password, and a code if a second factor is set up. A name that nobody has takes as long, and is
    /// answered as one with another password.
    ///
    /// # Errors
    /// [`AccountError::Wrong`], [`AccountError::TotpRequired`], [`AccountError::Waiting`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: SecretString,
        totp: Option<&str>,
        client: &Client,
    ) -> Result<SignedIn, AccountError> {
        self.allow_address(client).await?;
        let (typed, address) = (self.name_subject(name), address_subject(client));
        let user = match name.parse::<UserName>() {
            Ok(name) => self.store.user_by_name(&name).await?,
            Err(_) => None,
        };
        self.admit(&typed, &address, user.as_ref(), client).await?;
        let matches = self.check_password(user.as_ref(), password).await;
        let now_ns = self.now_ns();
        if matches.is_err() {
            self.store.forgive_guess(&typed, now_ns).await?;
        }
        let (true, Some(user)) = (matches?, user.as_ref()) else {
            self.store.count_guess(&address, now_ns).await?;
            self.audit(Event::Password, Outcome::Wrong, user.as_ref(), client).await?;
            return Err(AccountError::Wrong { what: "name or password" });
        };
        if user.disabled {
            self.audit(Event::Password, Outcome::Disabled, Some(user), client).await?;
            return Err(AccountError::Disabled);
        }
        if user.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            let Some(code) = totp else {
                self.store.forgive_guess(&typed, now_ns).await?;
                self.audit(Event::Password, Outcome::TotpRequired, Some(user), client).await?;
                return Err(AccountError::TotpRequired);
            };
            if !self.use_code(user, code).await? {
                self.store.count_guess(&address, now_ns).await?;
                self.audit(Event::Password, Outcome::Wrong, Some(user), client).await?;
                return Err(AccountError::Wrong { what: "totp" });
            }
        }
        self.store.forget_guesses(&typed).await?;
        self.begin_session(user, Event::Password, client).await
    }

    /// Signs in with a login link.
    ///
    /// # Errors
    /// [`AccountError::Wrong`] if it was used, has expired or never was.
    pub async fn sign_in_with_link(&self, token: &SecretString, client: &Client) -> Result<SignedIn, AccountError> {
        use secrecy::ExposeSecret;
        self.allow_address(client).await?;
        let redeemed = match digest(SecretKind::LoginLink, token.expose_secret()) {
            Some(digest) => self.store.redeem(SecretKind::LoginLink, &digest, self.now_ns()).await?,
            None => None,
        };
        let user = match redeemed {
            Some(redeemed) => self.store.user(redeemed.user).await?,
            None => None,
        };
        let Some(user) = user else {
            self.audit(Event::LoginLink, Outcome::Wrong, None, client).await?;
            return Err(AccountError::Wrong { what: "link" });
        };
        self.begin_session(&user, Event::LoginLink, client).await
    }

    /// Makes an account without a name that ends by itself, and signs in.
    ///
    /// # Errors
    /// If there are none here, or as many as there may be.
    pub async fn sign_in_anonymously(&self, client: &Client) -> Result<SignedIn, AccountError> {
        let most = self.config.anonymous.most;
        if most == 0 {
            return Err(AccountError::NotOffered { what: "anonymous use" });
        }
        self.allow_address(client).await?;
        let now_ns = self.now_ns();
        let mut user = new_user(UserName::anonymous(UserId::from_bits(0)), Role::User, Tier::Anonymous, now_ns);
        user.name = UserName::anonymous(user.id);
        user.expires_ns = Some(now_ns.saturating_add(nanos(self.config.anonymous.life)));
        if !self.store.add_anonymous(&user, most, now_ns).await? {
            return Err(AccountError::TooMany { what: "anonymous users", most });
        }
        self.begin_session(&user, Event::Anonymous, client).await
    }

    /// Signs in with the fields of Telegram's login widget, each set of which is good once, if that Telegram account is linked.
    ///
    /// # Errors
    /// If the fields are refused, or the account is linked to nobody.
    pub async fn sign_in_with_telegram(
        &self,
        fields: &BTreeMap<String, String>,
        client: &Client,
    ) -> Result<SignedIn, AccountError> {
        let Some(bot_token) = &self.bot_token else { return Err(AccountError::NotOffered { what: "Telegram" }) };
        self.allow_address(client).await?;
        let now_ns = self.now_ns();
        let checked = telegram_login::check(fields, bot_token, now_ns);
        let person = match checked {
            Ok(person) => person,
            Err(error) => {
                self.audit(Event::Telegram, Outcome::Wrong, None, client).await?;
                return match error {
                    telegram_login::TelegramLoginError::Field { field } => Err(AccountError::invalid(field, error)),
                    _ => Err(AccountError::Wrong { what: "Telegram's signature" }),
                };
            }
        };
        let signature =
            Digest::of(&format!("telegram:{}", fields.get("hash").map_or("", String::as_str).to_ascii_lowercase()));
        let expires_ns = person.expires_s.saturating_mul(1_000_000_000);
        let user = self.store.user_by_telegram(person.id).await?;
        if !self.store.use_once(&signature, expires_ns, now_ns).await? {
            self.audit(Event::Telegram, Outcome::Reused, user.as_ref(), client).await?;
            return Err(AccountError::Wrong { what: "Telegram's signature" });
        }
        let Some(user) = user else {
            self.audit(Event::Telegram, Outcome::NotAllowed, None, client).await?;
            return Err(AccountError::Forbidden { needs: "a linked Telegram account: sign in and link it first" });
        };
        self.begin_session(&user, Event::Telegram, client).await
    }

    /// A link that signs a user in once; earlier ones of the user are no longer good.
    pub(super) async fn make_link(&self, user: UserId) -> Result<OneTimeSecret, AccountError> {
        let expires_ns = self.now_ns().saturating_add(nanos(LINK_LIFE));
        let (secret, digest) = mint(SecretKind::LoginLink);
        let new = NewSecret { kind: SecretKind::LoginLink, digest, user, session: None, expires_ns };
        self.store.replace_secret(&new).await?;
        Ok(OneTimeSecret { secret, expires_ns })
    }

    /// Under which wrong passwords of a name are counted. What somebody types as a name may be a password: it is not kept.
    pub(super) fn name_subject(&self, typed: &str) -> String {
        format!("name:{}", self.sealer.fingerprint(typed))
    }

    /// Lets a try be looked at, or tells how long to wait. The name's count goes up before the look, so that many tries at one
    /// moment are no way around; an address, behind which many people may be, counts what was wrong.
    async fn admit(
        &self,
        typed: &str,
        address: &str,
        user: Option<&UserRecord>,
        client: &Client,
    ) -> Result<(), AccountError> {
        let now_ns = self.now_ns();
        let mut verdict = self.store.guesses(address).await?.judge(now_ns);
        if matches!(verdict, Verdict::Look(_)) {
            verdict = self.store.count_guess(typed, now_ns).await?;
        }
        let Verdict::Wait(retry_after) = verdict else { return Ok(()) };
        self.audit(Event::Password, Outcome::Waiting, user, client).await?;
        Err(AccountError::Waiting { retry_after })
    }

    /// True if it is the user's password; takes as long if there is no user, or none that has a password.
    pub(super) async fn check_password(
        &self,
        user: Option<&UserRecord>,
        password: SecretString,
    ) -> Result<bool, AccountError> {
        use secrecy::ExposeSecret;
        let hash = user.and_then(|user| user.password.as_deref()).map(PasswordHash::from_text).transpose();
        let hash = hash.map_err(|_| AccountError::Corrupt { what: "password" })?;
        if password.expose_secret().len() > PASSWORD_BYTES {
            return self.hashing.matches(None, SecretString::default()).await;
        }
        self.hashing.matches(hash, password).await
    }

    /// Begins a session of a user who proved to be it.
    async fn begin_session(&self, user: &UserRecord, event: Event, client: &Client) -> Result<SignedIn, AccountError> {
        let now_ns = self.now_ns();
        if user.is_shut(now_ns) {
            self.audit(event, Outcome::Disabled, Some(user), client).await?;
            return Err(AccountError::Disabled);
        }
        self.audit(event, Outcome::Granted, Some(user), client).await?;
        let (refresh_token, digest) = mint(SecretKind::Refresh);
        let expires_ns = self.lifetimes().expires_ns(now_ns, now_ns);
        let session = SessionId::mint(now_ns);
        let new = NewSession {
            id: session,
            user: user.id,
            created_ns: now_ns,
            expires_ns,
            client: client.agent.clone(),
            address: client.address.to_string(),
            digest,
        };
        self.store.add_session(&new, user.tier.sessions()).await?;
        self.signed_in(user, session, refresh_token)
    }

    /// The tokens of a session.
    pub(super) fn signed_in(
        &self,
        user: &UserRecord,
        session: SessionId,
        refresh_token: SecretString,
    ) -> Result<SignedIn, AccountError> {
        let now_ns = self.now_ns();
        let subject = Subject { user: user.id, session, role: user.role, tier: user.tier };
        let (access_token, expires_ns) = self.issuer.access_token(subject, now_ns)?;
        Ok(SignedIn {
            access_token,
            expires_ns,
            refresh_token,
            refresh_expires_ns: now_ns.saturating_add(nanos(self.config.session_idle)),
            session,
            user: user.id,
            name: user.name.clone(),
            role: user.role,
            tier: user.tier,
        })
    }
}

fn address_subject(client: &Client) -> String {
    format!("address:{}", client.address.network())
}

/// True if somebody born on this day is of age today (UTC).
fn is_of_age(birth_date: &str, now_ns: u64) -> Result<bool, AccountError> {
    let refuse = || AccountError::invalid("birth_date", "birth_date: not a date as 1990-12-31");
    let well_formed = birth_date.len() == 10;
    let born: Date = birth_date.parse().ok().filter(|_| well_formed).ok_or_else(refuse)?;
    let now = Timestamp::from_nanosecond(i128::from(now_ns)).map_err(|_| refuse())?;
    let today = now.to_zoned(TimeZone::UTC).date();
    if born > today || born.year() < 1900 {
        return Err(refuse());
    }
    let of_age = born.checked_add(i64::from(MINIMUM_AGE).years()).map_err(|_| refuse())?;
    Ok(of_age <= today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_of_age_from_the_eighteenth_birthday_on() {
        let now = 1_700_000_000_000_000_000; // 2023-11-14
        for (birth_date, expected) in [
            ("2005-11-14", Some(true)),
            ("2005-11-15", Some(false)),
            ("1904-02-29", Some(true)),
            ("2023-11-14", Some(false)),
            ("2023-11-15", None),
            ("1899-12-31", None),
            ("2005-02-30", None),
            ("14.11.2005", None),
            ("2005-11-14T00:00", None),
            ("", None),
        ] {
            assert_eq!(is_of_age(birth_date, now).ok(), expected, "{birth_date}");
        }
        let leap_day_of_2024 = 1_709_164_800_000_000_000;
        assert_eq!(is_of_age("2006-02-28", leap_day_of_2024).ok(), Some(true));
        assert_eq!(is_of_age("2006-03-01", leap_day_of_2024).ok(), Some(false));
    }
}
