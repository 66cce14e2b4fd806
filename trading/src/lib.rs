//! The pure domain core: instruments and indicators.
