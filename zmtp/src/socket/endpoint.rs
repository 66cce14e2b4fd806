//! Where to connect or bind: `tcp://host:port`.

use std::fmt;
use std::str::FromStr;

/// A TCP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {0:?} is not tcp://HOST:PORT")]
pub struct EndpointError(String);

impl Endpoint {
    /// Host name or address without brackets; `0.0.0.0` for `*`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose when binding.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.chars().take(200).collect());
        let (host, port) = text.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')).ok_or_else(error)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6,
            None if host.contains(':') => return Err(error()),
            None if host == "*" => "0.0.0.0",
            None => host,
        };
        if host.is_empty() || host.contains(['/', ' ']) || port.starts_with('+') {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| error())? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "tcp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "tcp://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_round_trip_and_the_star_is_any_address() {
        for text in ["tcp://127.0.0.1:5557", "tcp://relay.dexorder-system:5558", "tcp://[::1]:0"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://*:5557".parse::<Endpoint>().unwrap().host(), "0.0.0.0");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "127.0.0.1:1",
            "udp://a:1",
            "tcp://a",
            "tcp://:1",
            "tcp://::1:5",
            "tcp://a:65536",
            "tcp://a:+1",
            "tcp://a/b:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
