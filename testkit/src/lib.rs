//! Builders, fake venues, whole-platform tests and the tidy test.
