//! Which partition a key belongs to: murmur2 as in Kafka's default partitioner, so that both backends agree for ever.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of a key: `(murmur2(key) & 0x7fff_ffff) % partitions`, exactly what Kafka's Java client and librdkafka's
/// `murmur2` partitioner compute for a key. An empty key is hashed like any other.
///
/// # Panics
/// If `partitions` is 0.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// MurmurHash2, 32 bits, little-endian, with Kafka's seed.
#[allow(clippy::cast_possible_truncation, reason = "the hash takes the length modulo 2^32; keys are at most 4 KiB")]
fn murmur2(data: &[u8]) -> u32 {
    let mut h = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test of `Utils.murmur2`.
    #[test]
    fn hashes_equal_those_of_kafka() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn the_partition_of_a_key_never_changes() {
        for (key, partitions, expected) in
            [("BINANCE:BTC/USDT", 4, 3), ("SIM:BTC/USDT", 4, 2), ("", 4, 1), ("BINANCE:BTC/USDT", 1, 0)]
        {
            assert_eq!(partition_of(key.as_bytes(), partitions), expected, "{key}");
        }
    }
}
