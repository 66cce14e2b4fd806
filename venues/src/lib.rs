//! One folder per venue: subscribe, normalise and history requests, all pure.
