//! SQL text for many rows at once. Sizes are powers of two, so that the database meets few statements and keeps them prepared.

use std::fmt::Write;

/// Most rows of one statement.
const ROWS: usize = 64;

/// Cuts `items` into slices of 64, 32, 16, … rows.
pub(super) fn slices<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if items.is_empty() {
            return None;
        }
        let size = ROWS.min(1 << items.len().ilog2());
        let (head, tail) = items.split_at(size);
        items = tail;
        Some(head)
    })
}

/// `($1,$2),($3,$4)`, counted on from `first`.
pub(super) fn values(rows: usize, columns: usize, first: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _infallible = write!(text, "{comma}${}", first + row * columns + column);
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        for (count, expected) in [(0, vec![]), (1, vec![1]), (7, vec![4, 2, 1]), (130, vec![64, 64, 2])] {
            let items = vec![(); count];
            assert_eq!(slices(&items).map(<[()]>::len).collect::<Vec<_>>(), expected, "{count}");
        }
        assert_eq!(values(2, 2, 3), "($3,$4),($5,$6)");
    }
}
