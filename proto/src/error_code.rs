//! Error codes of the wire (docs/protocol/03-errors.md).

/// What went wrong, as a number that is the same in each language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// The frames are not a message of this protocol (missing frame, short header, broken protobuf).
    Malformed = 1,
    /// The header version is unknown.
    UnsupportedVersion = 2,
    /// The message kind is unknown or not allowed here.
    UnexpectedKind = 3,
    /// A field is missing or out of its limits; `field` names it.
    InvalidField = 4,
    /// The routing frame and the venue in the message differ.
    RouteMismatch = 5,
    /// No ingestor serves the venue.
    NoIngestor = 6,
    /// The client sent more than its quota allows.
    OverQuota = 7,
    /// The venue does not know the symbol.
    UnknownSymbol = 8,
    /// The venue refused, failed or banned us while fetching.
    VenueFailed = 9,
    /// The venue cannot give this range or interval.
    NotAvailable = 10,
    /// A failure on our side.
    Internal = 11,
    /// The seal is missing, does not fit, or was made with an unknown key.
    Unauthenticated = 12,
    /// The sequence was used for another event, or was never used: the sender's count is not the one we know.
    SequenceConflict = 13,
}

impl ErrorCode {
    /// All codes in numeric order.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::UnsupportedVersion,
        Self::UnexpectedKind,
        Self::InvalidField,
        Self::RouteMismatch,
        Self::NoIngestor,
        Self::OverQuota,
        Self::UnknownSymbol,
        Self::VenueFailed,
        Self::NotAvailable,
        Self::Internal,
        Self::Unauthenticated,
        Self::SequenceConflict,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The code of a number, if known.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }

    /// Its name in docs and REST answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::UnsupportedVersion => "UNSUPPORTED_VERSION",
            Self::UnexpectedKind => "UNEXPECTED_KIND",
            Self::InvalidField => "INVALID_FIELD",
            Self::RouteMismatch => "ROUTE_MISMATCH",
            Self::NoIngestor => "NO_INGESTOR",
            Self::OverQuota => "OVER_QUOTA",
            Self::UnknownSymbol => "UNKNOWN_SYMBOL",
            Self::VenueFailed => "VENUE_FAILED",
            Self::NotAvailable => "NOT_AVAILABLE",
            Self::Internal => "INTERNAL",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::SequenceConflict => "SEQUENCE_CONFLICT",
        }
    }

    /// True if the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::NoIngestor | Self::OverQuota | Self::VenueFailed | Self::Internal)
    }

    /// The error as a message; the text is cut at the limit of the wire.
    #[must_use]
    pub fn detail(self, field: &str, message: &str) -> crate::wire::ErrorDetail {
        let mut end = message.len().min(crate::limits::ERROR_TEXT_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        crate::wire::ErrorDetail { code: self.code(), field: field.to_owned(), message: message[..end].to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_a_bijection() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
        }
        assert_eq!(ErrorCode::from_code(0), None);
        assert_eq!(ErrorCode::from_code(14), None);
    }
}
