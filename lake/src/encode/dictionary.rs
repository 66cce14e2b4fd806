//! Finds the distinct values of a column chunk, giving up when they are too many to pay off.

/// Distinct values in ascending order, and for each row the index of its value.
pub(super) struct Dictionary {
    pub(super) values: Vec<i128>,
    pub(super) keys: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;

impl Dictionary {
    /// The dictionary of `rows`; none if it would have more than `most` values.
    pub(super) fn of(rows: &[i128], most: usize) -> Option<Self> {
        let slots = (most * 2).next_power_of_two().max(16);
        let (mask, mut table) = (slots - 1, vec![EMPTY; slots]);
        let mut values: Vec<i128> = Vec::new();
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let mut slot = hash(*row) & mask;
            let key = loop {
                match table[slot] {
                    EMPTY => {
                        if values.len() == most {
                            return None;
                        }
                        let key = u32::try_from(values.len()).ok()?;
                        table[slot] = key;
                        values.push(*row);
                        break key;
                    }
                    key if values[key as usize] == *row => break key,
                    _ => slot = (slot + 1) & mask,
                }
            };
            keys.push(key);
        }
        Some(Self { values, keys }.sorted())
    }

    /// Neighbouring values get neighbouring keys, which compress better.
    fn sorted(mut self) -> Self {
        let mut order: Vec<u32> = (0u32..).take(self.values.len()).collect();
        order.sort_unstable_by_key(|key| self.values[*key as usize]);
        let mut rank = vec![0u32; order.len()];
        for (position, key) in (0u32..).zip(&order) {
            rank[*key as usize] = position;
        }
        self.values = order.iter().map(|key| self.values[*key as usize]).collect();
        for key in &mut self.keys {
            *key = rank[*key as usize];
        }
        self
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hash may drop bits")]
fn hash(value: i128) -> usize {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let folded = (value as u64) ^ ((value >> 64) as u64).wrapping_mul(MIX);
    (folded.wrapping_mul(MIX) >> 29) as usize
}
