//! The stream aggregator: dedup, candles, lake writer and publisher.
