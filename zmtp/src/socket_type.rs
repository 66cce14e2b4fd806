//! Socket types and which of them may talk to each other.

use std::fmt;

/// A ZeroMQ socket type as READY announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the name of the pattern's RFC")]
pub enum SocketType {
    Pub,
    Sub,
    Xpub,
    Xsub,
    Req,
    Rep,
    Dealer,
    Router,
    Push,
    Pull,
    Pair,
}

impl SocketType {
    /// All types that RFC 37 names.
    pub const ALL: [Self; 11] = [
        Self::Pub,
        Self::Sub,
        Self::Xpub,
        Self::Xsub,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
        Self::Push,
        Self::Pull,
        Self::Pair,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Xpub => "XPUB",
            Self::Xsub => "XSUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Push => "PUSH",
            Self::Pull => "PULL",
            Self::Pair => "PAIR",
        }
    }

    /// The type of a wire name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// The types that may connect to this one (RFC 37, "Socket Types").
    #[must_use]
    pub const fn peers(self) -> &'static [Self] {
        match self {
            Self::Pub | Self::Xpub => &[Self::Sub, Self::Xsub],
            Self::Sub | Self::Xsub => &[Self::Pub, Self::Xpub],
            Self::Req => &[Self::Rep, Self::Router],
            Self::Rep => &[Self::Req, Self::Dealer],
            Self::Dealer => &[Self::Rep, Self::Dealer, Self::Router],
            Self::Router => &[Self::Req, Self::Dealer, Self::Router],
            Self::Push => &[Self::Pull],
            Self::Pull => &[Self::Push],
            Self::Pair => &[Self::Pair],
        }
    }

    /// True if the two may talk.
    #[must_use]
    pub fn is_compatible(self, peer: Self) -> bool {
        self.peers().contains(&peer)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_is_symmetric_and_names_round_trip() {
        for a in SocketType::ALL {
            assert_eq!(SocketType::from_name(a.name().as_bytes()), Some(a));
            for b in SocketType::ALL {
                assert_eq!(a.is_compatible(b), b.is_compatible(a), "{a} {b}");
            }
        }
        assert_eq!(SocketType::from_name(b"sub"), None);
    }

    #[test]
    fn subscribers_talk_to_publishers_only() {
        let peers: Vec<_> = SocketType::ALL.into_iter().filter(|t| SocketType::Sub.is_compatible(*t)).collect();
        assert_eq!(peers, [SocketType::Pub, SocketType::Xpub]);
    }
}
