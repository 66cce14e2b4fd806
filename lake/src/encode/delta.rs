//! DELTA_BINARY_PACKED of the Parquet format: blocks of 128 deltas in four miniblocks of 32.

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Appends the encoding of `values` to `out`.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint(MINIBLOCKS as u64, out);
    varint(values.len() as u64, out);
    let Some((&first, rest)) = values.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(first), out);
    let mut previous = first;
    let mut deltas = [0i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        let mut least = i64::MAX;
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(previous);
            least = least.min(*delta);
            previous = value;
        }
        encode_block(&mut deltas[..block.len()], least, out);
    }
}

fn encode_block(deltas: &mut [i64], least: i64, out: &mut Vec<u8>) {
    varint(zigzag(least), out);
    let widths_at = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    for (miniblock, deltas) in deltas.chunks(MINIBLOCK).enumerate() {
        let mut offsets = [0u64; MINIBLOCK];
        let mut all = 0;
        for (offset, delta) in offsets.iter_mut().zip(deltas) {
            *offset = delta.wrapping_sub(least).cast_unsigned();
            all |= *offset;
        }
        let width = u64::BITS - all.leading_zeros();
        out[widths_at + miniblock] = width.to_le_bytes()[0];
        pack(&offsets, width, out);
    }
}

/// Packs 32 values of `width` bits, least significant bit first.
fn pack(values: &[u64; MINIBLOCK], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u128, 0u32);
    for value in values {
        bits |= u128::from(*value) << held;
        held += width;
        if held >= u64::BITS {
            out.extend_from_slice(&low_bytes(bits));
            bits >>= u64::BITS;
            held -= u64::BITS;
        }
    }
    out.extend_from_slice(&low_bytes(bits)[..(held / 8) as usize]);
}

fn low_bytes(bits: u128) -> [u8; 8] {
    let bytes = bits.to_le_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends an unsigned LEB128 number.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
