//! The dexorder command: every process as a subcommand, up, replay, doctor, topics and tail.
