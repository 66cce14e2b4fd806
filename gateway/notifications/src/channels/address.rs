//! Where a webhook may go: addresses are judged after they are resolved, and only what was judged is connected to.

use crate::config::WebhookTargets;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Why an address is never called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL.
    #[error("not a URL")]
    Url,
    /// Not `https`.
    #[error("must begin with https://")]
    Scheme,
    /// User and password in the URL would be sent to whoever answers.
    #[error("must not contain user or password")]
    Credentials,
    /// An address of this machine, this network or no host at all.
    #[error("the address is not public")]
    NotPublic,
}

/// Reads and checks the URL of a webhook. A name is judged when it is resolved, each time.
pub(crate) fn check_url(text: &str, targets: WebhookTargets) -> Result<Url, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::Url)?;
    let scheme_holds = url.scheme() == "https" || (url.scheme() == "http" && targets == WebhookTargets::Any);
    if !scheme_holds {
        return Err(AddressError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    let public = match url.host() {
        None => return Err(AddressError::Url),
        // The parser has already read 0x7f.1, 2130706433 and the like as the address they are.
        Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_public_name(name),
    };
    if public || targets == WebhookTargets::Any { Ok(url) } else { Err(AddressError::NotPublic) }
}

/// Names that never leave a machine or a cluster. What else a name means shows when it is resolved.
fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let inner = ["localhost", "local", "internal", "svc", "cluster.local", "home.arpa", "lan"];
    name.contains('.') && !inner.iter().any(|suffix| name == *suffix || name.ends_with(&format!(".{suffix}")))
}

/// Whether an address is a host of the public Internet (IANA's special-purpose registries).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        // This network; shared (carrier) space; protocol assignments; 6to4 relays; benchmarks; reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let low = |at: usize| {
        let [a, b] = segments[at].to_be_bytes();
        let [c, d] = segments[at + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // An IPv4 address in one of its clothes: mapped, translated, 6to4. It is judged as what it is.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(low(6)),
        [0x2002, ..] => is_public_v4(low(1)),
        // Local-use translation, Teredo, ORCHID and the other protocol assignments, documentation.
        [0x64, 0xff9b, 1, ..] | [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        // Only global unicast is left: everything else is local, multicast or not given out.
        [first, ..] => (0x2000..=0x3ffe).contains(&first),
    }
}

/// Resolves names and leaves out what may not be called. The connection is made to what this returns, so a name cannot
/// mean something else a moment later.
#[derive(Debug)]
pub(super) struct PublicResolver {
    pub(super) targets: WebhookTargets,
}

/// All addresses of a name are in this network.
#[derive(Debug, thiserror::Error)]
#[error("the address is not public")]
pub(super) struct NotPublic;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.targets;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |address: &SocketAddr| targets == WebhookTargets::Any || is_public(address.ip());
            let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
            if addresses.is_empty() {
                return Err(Box::new(NotPublic).into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_https_addresses_without_credentials_are_called() {
        let refused = [
            ("http://example.org/", AddressError::Scheme),
            ("ftp://example.org/", AddressError::Scheme),
            ("file:///etc/passwd", AddressError::Scheme),
            ("gopher://example.org/", AddressError::Scheme),
            ("https://user:password@example.org/", AddressError::Credentials),
            ("https://127.0.0.1@example.org/", AddressError::Credentials),
            ("https:///", AddressError::Url),
            ("nonsense", AddressError::Url),
        ];
        for (url, expected) in refused {
            assert_eq!(check_url(url, WebhookTargets::Public), Err(expected), "{url}");
        }
        for url in ["https://example.org/hook?a=b", "https://93.184.216.34:8443/", "https://[2606:2800:220:1::1]/"] {
            assert!(check_url(url, WebhookTargets::Public).is_ok(), "{url}");
        }
    }

    /// Ways to write an address of this machine, of this network, or of nobody.
    const INNER: &str = "
        127.0.0.1 127.1 127.255.255.254 0x7f.0.0.1 0x7f000001 2130706433 0177.0.0.1 017700000001 0 0.0.0.0
        0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 0xa9fea9fe
        2852039166 100.64.0.1 100.127.255.255 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255
        198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 [::] [::1]
        [::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::ffff:10.0.0.1] [::127.0.0.1] [64:ff9b::7f00:1]
        [64:ff9b::a9fe:a9fe] [64:ff9b:1::1] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2001::1] [2001:db8::1]
        [2001:10::1] [fc00::1] [fd00:ec2::254] [fe80::1] [fec0::1] [ff02::1] [100::1] [3fff::1] [5f00::1]
        localhost LOCALHOST. a.localhost metadata.google.internal kubernetes.default.svc
        kubernetes.default.svc.cluster.local printer.local gateway nas.lan x.home.arpa 127。0。0。1 ①②⑦.0.0.1";

    #[test]
    fn each_way_to_write_an_inner_address_is_refused() {
        assert!(INNER.split_whitespace().count() > 60);
        for host in INNER.split_whitespace() {
            let url = format!("https://{host}/");
            assert_eq!(check_url(&url, WebhookTargets::Public), Err(AddressError::NotPublic), "{url}");
        }
    }

    #[test]
    fn public_neighbours_of_inner_ranges_are_allowed() {
        for address in ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        assert!(is_public("64:ff9b::808:808".parse().unwrap()) && is_public("::ffff:8.8.8.8".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_refused_after_it_is_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = PublicResolver { targets: WebhookTargets::Public }.resolve(name()).await;
        assert_eq!(refused.err().map(|error| error.to_string()).as_deref(), Some("the address is not public"));
        let mut allowed = PublicResolver { targets: WebhookTargets::Any }.resolve(name()).await.unwrap();
        assert!(allowed.next().unwrap().ip().is_loopback());
    }
}
