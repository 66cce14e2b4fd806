//! The address of a client, behind proxies that are trusted and others that are not.

use axum::http::HeaderMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Most hops of `X-Forwarded-For` that are looked at.
const HOPS: usize = 16;

/// The address of the client, which the gateway puts into the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Of a request without one: all such requests share their limits.
    pub const UNKNOWN: Self = Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

    /// Finds the client: the peer itself, unless that is a trusted proxy. Then the last address of `X-Forwarded-For` that is no
    /// trusted proxy: what stands before it was written by the client, who may write anything.
    #[must_use]
    pub fn find(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> Self {
        let mut client = peer.to_canonical();
        if !trusted.contains(&client) {
            return Self(client);
        }
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("")).collect();
        for hop in lines.iter().flat_map(|line| line.split(',')).rev().take(HOPS) {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !trusted.contains(&client) {
                break;
            }
        }
        Self(client)
    }

    /// The name under which wrong secrets are counted. One household has a whole /64 of IPv6.
    #[must_use]
    pub fn network(self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpAddr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        ClientAddress::find(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn what_a_stranger_claims_is_not_believed() {
        assert_eq!(found("192.0.2.9", &["10.0.0.1"], &[]), "192.0.2.9");
        assert_eq!(found("192.0.2.9", &["10.0.0.1"], &["192.0.2.1"]), "192.0.2.9");
        assert_eq!(found("::ffff:192.0.2.9", &[], &[]), "192.0.2.9");
    }

    #[test]
    fn a_trusted_proxy_names_its_client_and_what_stands_before_is_not_believed() {
        let trusted = ["192.0.2.1", "192.0.2.2"];
        assert_eq!(found("192.0.2.1", &["203.0.113.5"], &trusted), "203.0.113.5");
        assert_eq!(found("192.0.2.1", &["127.0.0.1, 203.0.113.5, 192.0.2.2"], &trusted), "203.0.113.5");
        assert_eq!(found("192.0.2.1", &["127.0.0.1", "203.0.113.5"], &trusted), "203.0.113.5");
        assert_eq!(found("192.0.2.1", &["203.0.113.5, junk"], &trusted), "192.0.2.1");
        assert_eq!(found("192.0.2.1", &[], &trusted), "192.0.2.1");
    }

    #[test]
    fn a_household_counts_as_one() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8:1:2:aaaa::1"), network("2001:db8:1:2:bbbb::2"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
