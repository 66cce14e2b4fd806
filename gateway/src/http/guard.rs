//! Who may talk to us: against DNS rebinding (a foreign name that resolves to this machine) and foreign pages that open our
//! WebSocket.

use axum::http::{HeaderMap, Uri, header};

/// The authority of the request: `Host`, or the one of an absolute URI. `None` if there is none or it is not text.
pub(crate) fn authority<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => uri.authority().map(axum::http::uri::Authority::as_str),
        // Two hosts: whoever sends that wants to confuse somebody.
        (Some(_), Some(_)) => None,
    }
}

/// The name in an authority, without port and brackets, in lower case.
fn name(authority: &str) -> Option<String> {
    let name = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            if !(port.is_empty() || port.starts_with(':')) {
                return None;
            }
            name
        }
        None => authority.split_once(':').map_or(authority, |(name, _port)| name),
    };
    let valid = !name.is_empty() && !authority.contains(['@', '/', '\\', ' ']);
    valid.then(|| name.trim_end_matches('.').to_ascii_lowercase())
}

/// True if a request for this authority is meant for us. On loopback only names of this machine are, and those allowed by
/// config; elsewhere, only those allowed, if any are.
pub(crate) fn host_is_ours(authority: &str, loopback: bool, allowed: &[String]) -> bool {
    let Some(name) = name(authority) else { return false };
    let local = matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1");
    let listed = allowed.iter().any(|host| host.eq_ignore_ascii_case(&name));
    if loopback { local || listed } else { listed || allowed.is_empty() }
}

/// True if a page of this origin may open our WebSocket: it is our own page (same authority) or allowed by config.
pub(crate) fn origin_is_ours(origin: &str, authority: &str, allowed: &[String]) -> bool {
    if allowed.iter().any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    let of_page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of_page.is_some_and(|of_page| of_page.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_this_machine_are_ours() {
        let desk = ["desk.example".to_owned()];
        for (authority, ours) in [
            ("localhost", true),
            ("localhost:3000", true),
            ("LOCALHOST:3000", true),
            ("localhost.:3000", true),
            ("127.0.0.1:80", true),
            ("[::1]:3000", true),
            ("[::1]", true),
            ("desk.example:3000", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:3000", false),
            ("user@localhost", false),
            ("evil.example/localhost", false),
            ("[::1]evil", false),
            ("[::1", false),
            ("0.0.0.0:3000", false),
            ("", false),
            (":3000", false),
        ] {
            assert_eq!(host_is_ours(authority, true, &desk), ours, "{authority}");
        }
    }

    #[test]
    fn elsewhere_any_host_is_ours_unless_some_are_listed() {
        assert!(host_is_ours("trade.example", false, &[]));
        assert!(!host_is_ours("trade.example", false, &["desk.example".to_owned()]));
        assert!(host_is_ours("desk.example:443", false, &["desk.example".to_owned()]));
    }

    #[test]
    fn a_page_of_another_origin_may_not_connect() {
        let vite = ["http://localhost:5173".to_owned()];
        for (origin, ours) in [
            ("http://127.0.0.1:3000", true),
            ("https://127.0.0.1:3000", true),
            ("http://localhost:5173", true),
            ("http://localhost:3000", false),
            ("http://127.0.0.1", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
            ("127.0.0.1:3000", false),
            ("http://127.0.0.1:3000.evil.example", false),
        ] {
            assert_eq!(origin_is_ours(origin, "127.0.0.1:3000", &vite), ours, "{origin}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("/x");
        assert_eq!(authority(&headers, &uri), None);
        headers.append(header::HOST, "localhost".parse().unwrap());
        assert_eq!(authority(&headers, &uri), Some("localhost"));
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert_eq!(authority(&headers, &uri), None);
        assert_eq!(authority(&HeaderMap::new(), &Uri::from_static("http://a.example/x")), Some("a.example"));
    }
}
