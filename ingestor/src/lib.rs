//! Market data intake: venues to the event log, live and history.
