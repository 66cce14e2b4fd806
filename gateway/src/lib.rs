//! The gateway: REST, WebSocket and the web page.
