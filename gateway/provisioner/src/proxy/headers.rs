//! Which headers pass: only those that the protocol names. Credentials, hops, hosts and everything unknown stay outside.

use axum::http::{HeaderMap, HeaderName, header};

/// Of a request.
const OUTGOING: [HeaderName; 4] =
    [header::ACCEPT, header::CONTENT_TYPE, header::USER_AGENT, HeaderName::from_static("last-event-id")];
/// Of an answer.
const INCOMING: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ALLOW,
    header::RETRY_AFTER,
    HeaderName::from_static("x-accel-buffering"),
];
/// `Mcp-Session-Id`, `Mcp-Protocol-Version`, `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`, and what a later revision adds.
const PROTOCOL: &str = "mcp-";
/// W3C trace context.
const TRACE: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// The headers of a request that reach the container.
pub(super) fn outgoing(headers: &HeaderMap) -> HeaderMap {
    only(headers, |name| is_protocol(name) || OUTGOING.contains(name) || TRACE.contains(name))
}

/// The headers of an answer that reach the caller.
pub(super) fn incoming(headers: &HeaderMap) -> HeaderMap {
    only(headers, |name| is_protocol(name) || INCOMING.contains(name))
}

fn is_protocol(name: &HeaderName) -> bool {
    name.as_str().starts_with(PROTOCOL)
}

fn only(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let passing = headers.iter().filter(|(name, _)| passes(name));
    passing.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn no_credential_no_hop_and_no_host_passes() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "proxy-authorization",
            "host",
            "origin",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
            "forwarded",
            "x-forwarded-for",
            "x-api-key",
            "accept-encoding",
            "accept",
            "content-type",
            "last-event-id",
            "mcp-session-id",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-param-symbol",
            "traceparent",
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let passing = [
            "accept",
            "content-type",
            "last-event-id",
            "mcp-method",
            "mcp-name",
            "mcp-param-symbol",
            "mcp-protocol-version",
            "mcp-session-id",
            "traceparent",
        ];
        assert_eq!(names(&outgoing(&headers)), passing);
        // Twice is twice: what the protocol makes of it is the container's matter.
        headers.append("mcp-name", HeaderValue::from_static("y"));
        assert_eq!(outgoing(&headers).get_all("mcp-name").iter().count(), 2);
    }

    #[test]
    fn an_answer_tells_nothing_of_the_container() {
        let mut headers = HeaderMap::new();
        for name in
            ["www-authenticate", "set-cookie", "server", "location", "content-type", "mcp-session-id", "content-length"]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        assert_eq!(names(&incoming(&headers)), ["content-type", "mcp-session-id"]);
    }
}
