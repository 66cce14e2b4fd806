//! The Python module `dexorder`.
