//! Whether a request is one: frames in, a valid request or the reason why not out. Pure.

use bytes::Bytes;
use proto::wire::{AckStatus, ErrorDetail};
use proto::{ErrorCode, Frame, HistoryRequest, Kind, TraceContext, Venue, WireError, wire};

/// A message on the requests' port, taken apart. REQ puts an empty frame before its message, a DEALER may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    /// The message began with an empty frame, and so will the answer.
    pub(crate) delimited: bool,
    /// Frame 0, empty if there is none that could be one.
    pub(crate) route: &'a [u8],
    /// Frame 1, if the message has exactly these two frames.
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    /// Opens the envelope around the frames.
    pub(crate) fn open(mut frames: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut first = frames.next();
        let mut second = frames.next();
        let delimited = first == Some(b"") && second.is_some();
        if delimited {
            first = second;
            second = frames.next();
        }
        let body = second.filter(|_| frames.next().is_none());
        let route = first.filter(|route| route.len() <= proto::limits::TOPIC_BYTES).unwrap_or_default();
        Self { delimited, route, body }
    }
}

/// A request that may be handed to an ingestor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) venue: Venue,
    pub(crate) request: wire::HistoryRequest,
    pub(crate) notification_topic: String,
    pub(crate) trace: Option<TraceContext>,
}

/// Why it may not, and to whom to say so.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// Empty if the request does not have a valid one.
    pub(crate) request_id: String,
    pub(crate) status: AckStatus,
    pub(crate) error: ErrorDetail,
    pub(crate) trace: Option<TraceContext>,
}

impl Refusal {
    fn invalid(request_id: &str, error: ErrorDetail, trace: Option<TraceContext>) -> Self {
        // Only an id that is one is echoed, so that nobody can have arbitrary bytes sent back.
        let request_id = request_id.parse::<proto::RequestId>().map_or(String::new(), |id| id.to_string());
        Self { request_id, status: AckStatus::Invalid, error, trace }
    }
}

/// The error code of a frame that could not be read.
fn code(error: &WireError) -> ErrorCode {
    match error {
        WireError::Version(_) => ErrorCode::UnsupportedVersion,
        WireError::Kind(_) | WireError::UnexpectedKind { .. } => ErrorCode::UnexpectedKind,
        WireError::Truncated { .. }
        | WireError::TooLong { .. }
        | WireError::Flags(_)
        | WireError::Reserved
        | WireError::Payload(_) => ErrorCode::Malformed,
    }
}

/// Judges a request by itself; whether an ingestor serves the venue is another question.
pub(crate) fn examine(envelope: &Envelope<'_>) -> Result<Accepted, Refusal> {
    let refuse = |code: ErrorCode, text: &str| Refusal::invalid("", code.detail("", text), None);
    let body =
        envelope.body.ok_or_else(|| refuse(ErrorCode::Malformed, "expected two frames: VENUE: and a request"))?;
    let limit = proto::limits::REQUEST_BYTES;
    if body.len() > limit {
        let error = WireError::TooLong { have: body.len(), limit };
        return Err(refuse(ErrorCode::Malformed, &error.to_string()));
    }
    let frame =
        Frame::decode(&Bytes::copy_from_slice(body)).map_err(|error| refuse(code(&error), &error.to_string()))?;
    let trace = frame.header.trace;
    let message: wire::HistoryRequest = frame
        .message(Kind::HistoryRequest)
        .map_err(|error| Refusal::invalid("", code(&error).detail("", &error.to_string()), trace))?;
    let request = HistoryRequest::try_from(&message)
        .map_err(|error| Refusal::invalid(&message.request_id, error.detail(), trace))?;
    let venue = request.range.venue.clone();
    if proto::TopicPrefix::parse_work(envelope.route).as_ref() != Ok(&venue) {
        let text = format!("frame 0 must be \"{}\"", proto::TopicPrefix::Venue(venue));
        let error = ErrorCode::RouteMismatch.detail("venue", &text);
        return Err(Refusal::invalid(&message.request_id, error, trace));
    }
    let notification_topic = proto::Topic::HistoryReady(request.request_id).to_string();
    Ok(Accepted { venue, request: message, notification_topic, trace })
}

#[cfg(test)]
mod tests;
