//! The generated protobuf messages (schema: `proto/dexorder.proto`), and their conversion to and from [`crate::Decimal`].
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/dexorder.v1.rs"));
