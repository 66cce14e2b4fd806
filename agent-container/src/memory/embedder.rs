//! What turns a text into a direction of meaning, and how a direction is kept and compared.

use async_trait::async_trait;

/// Why a text could not be embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The endpoint did not answer in time.
    #[error("the embedding endpoint did not answer in time")]
    Timeout,
    /// The endpoint could not be reached.
    #[error("the embedding endpoint could not be reached")]
    Unreachable,
    /// The endpoint refused the request.
    #[error("the embedding endpoint answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is larger than it may be.
    #[error("the answer of the embedding endpoint has more than {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
    /// The answer is not what was asked for.
    #[error("the embedding endpoint answered wrongly: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Turns texts into directions of meaning.
#[async_trait]
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// Names the embedder. When it changes, all messages are embedded again.
    fn id(&self) -> &str;

    /// The length of each vector.
    fn dimensions(&self) -> usize;

    /// Whether it answers at once and without network, so that a message can be embedded while it is saved.
    fn is_immediate(&self) -> bool {
        false
    }

    /// The least likeness (cosine) at which two texts have anything to do with each other.
    fn floor(&self) -> f32 {
        0.0
    }

    /// One vector of [`Embedder::dimensions`] for each text, in their order.
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// Keeps a vector as one signed byte a dimension, its largest component at 127: a quarter of the space, and the order of
/// results all but the same.
#[allow(clippy::cast_possible_truncation, reason = "the value is within ±127")]
pub(super) fn pack(vector: &[f32]) -> Vec<u8> {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 && largest.is_finite() { 127.0 / largest } else { 0.0 };
    vector.iter().map(|value| ((value * scale).round() as i8).cast_unsigned()).collect()
}

/// The cosine between two packed vectors; zero if one of them is zero or their lengths differ.
pub(super) fn likeness(left: &[u8], right: &[u8]) -> f32 {
    if left.len() != right.len() {
        return 0.0;
    }
    let (mut dot, mut left_square, mut right_square) = (0_i32, 0_i32, 0_i32);
    for (left, right) in left.iter().zip(right) {
        let (left, right) = (i32::from(left.cast_signed()), i32::from(right.cast_signed()));
        dot += left * right;
        left_square += left * left;
        right_square += right * right;
    }
    let product = f64::from(left_square).sqrt() * f64::from(right_square).sqrt();
    #[allow(clippy::cast_possible_truncation, reason = "a cosine needs no more digits")]
    let cosine = if product > 0.0 { (f64::from(dot) / product) as f32 } else { 0.0 };
    cosine
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{likeness, pack};

    proptest! {
        #[test]
        fn packing_keeps_the_likeness(left in proptest::collection::vec(-1.0_f32..1.0, 64), right in proptest::collection::vec(-1.0_f32..1.0, 64)) {
            let dot: f32 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
            let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            let exact = dot / (length(&left) * length(&right)).max(f32::MIN_POSITIVE);
            prop_assert!((likeness(&pack(&left), &pack(&right)) - exact).abs() < 0.02);
        }
    }

    #[test]
    fn a_zero_or_broken_vector_is_like_nothing() {
        assert!(likeness(&pack(&[0.0; 8]), &pack(&[1.0; 8])).abs() < f32::EPSILON);
        assert!(likeness(&pack(&[f32::NAN; 8]), &pack(&[1.0; 8])).abs() < f32::EPSILON);
        assert!(likeness(&pack(&[1.0; 4]), &pack(&[1.0; 8])).abs() < f32::EPSILON);
    }
}
