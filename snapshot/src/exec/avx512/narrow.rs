//! One sample at a time through a network no layer of which is wider than a register of words. Values stay in one
//! register from layer to layer, and each group is spread to all lanes from there: by memory, as in [`super::single`],
//! a layer waits for the store of the one before it.

use super::gather;
use super::lane::{CLAMP, Constants, LEAKY, LINES, PARABOLAS};
use super::single::{begun, continued, finished, shifted, sum};
use crate::arith::to_q16;
use crate::exec::pack::{Buffers, LANES, Layer, Packed, Packing};
use crate::parts::{Output, Precision};
use core::arch::x86_64::*;

/// Inputs, or outputs of a hidden layer, at most: two blocks.
const WIDTH: usize = 2 * LANES;

/// Which 32-bit lane of the values holds which group.
type Order = [i32; LANES];

/// Of a row: with 8 bits, words were packed to bytes within each 128 bits; with 12 they stand as they came.
const fn of_row(bits: u8) -> Order {
    let mut order = [0; LANES];
    let mut group = 0;
    while group < LANES {
        order[group] = if bits == 8 { group / 2 % 4 * 4 + group % 2 } else { group } as i32;
        group += 1;
    }
    order
}

/// Of a hidden layer: each 128 bits hold four outputs of the first block, then four of the second.
const fn of_layer(bits: u8) -> Order {
    let mut order = [0; LANES];
    let mut group = 0;
    while group < LANES {
        order[group] = if bits == 8 {
            group % 4 * 4 + group / 4 % 2
        } else {
            group / 2 % 4 * 4 + group / 8 * 2 + group % 2
        } as i32;
        group += 1;
    }
    order
}

/// Whether `packed` is narrow enough.
pub(super) fn fits(packed: &Packed) -> bool {
    packed.inputs <= WIDTH && packed.hidden.iter().all(|layer| layer.outputs <= WIDTH)
}

/// Runs one row of a network that [`fits`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run(packed: &Packed, row: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    match packed.precision {
        Precision::Bits8 => layers::<8>(packed, row, out, buffers),
        Precision::Bits12 => layers::<12>(packed, row, out, buffers),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn layers<const BITS: u8>(packed: &Packed, row: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    let mut values = gather::register::<BITS>(row);
    let mut order = const { &of_row(BITS) };
    for layer in &packed.hidden {
        values = hidden::<BITS>(layer, values, order);
        order = const { &of_layer(BITS) };
    }
    let last = &packed.last;
    let constants = Constants::new(&last.activation);
    for (block, results) in last.blocks.iter().zip(&mut buffers.results) {
        let mut acc = begun(block);
        let mut group = 0;
        while group + 3 < block.weights.len().min(LANES) {
            acc = continued::<BITS>(acc, spread(values, order, group), &block.weights, group);
            group += 4;
        }
        let z = finished(last, block, constants, sum(acc));
        if let ([parts], Output::Linear) = (&packed.outputs[..], packed.output) {
            out[0] = to_q16(parts, _mm_cvtsi128_si32(_mm512_castsi512_si128(z)));
            return;
        }
        results.store(z);
    }
    packed.finish_single(buffers, out);
}

/// `values` through one layer. A layer of one block takes it twice.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn hidden<const BITS: u8>(layer: &Layer, values: __m512i, order: &Order) -> __m512i {
    let [first, rest @ ..] = &layer.blocks[..] else { return values };
    let second = rest.first().unwrap_or(first);
    let (mut a, mut b) = (begun(first), begun(second));
    let weights = &first.weights[..first.weights.len().min(LANES)];
    let others = &second.weights[..weights.len()];
    let mut group = 0;
    while group + 3 < weights.len() {
        let q = spread(values, order, group);
        a = continued::<BITS>(a, q, weights, group);
        b = continued::<BITS>(b, q, others, group);
        group += 4;
    }
    let r = _mm512_packs_epi32(shifted(first, layer.lifts, sum(a)), shifted(second, layer.lifts, sum(b)));
    // As `packs` has put the words.
    let turns = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    let multiplier = _mm512_permutex2var_epi64(first.multiplier.load(), turns, second.multiplier.load());
    let constants = Constants::new(&layer.activation);
    match layer.activation {
        Packing::Lines => {
            let bytes = _mm512_srli_epi16::<5>(constants.activate::<LINES>(r, multiplier));
            _mm512_packus_epi16(bytes, bytes)
        }
        Packing::Parabolas { .. } => {
            let y = _mm512_srai_epi16::<4>(constants.activate::<PARABOLAS>(r, multiplier));
            gather::packed::<BITS>(y)
        }
        Packing::Leaky { .. } => gather::packed::<BITS>(constants.activate::<LEAKY>(r, multiplier)),
        Packing::Clamp { .. } | Packing::Raw => {
            gather::packed::<BITS>(constants.activate::<CLAMP>(r, multiplier))
        }
    }
}

/// Four groups from `group` on, each in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn spread(values: __m512i, order: &Order, group: usize) -> [__m512i; 4] {
    let order = &order[group..][..4];
    [
        _mm512_permutexvar_epi32(_mm512_set1_epi32(order[0]), values),
        _mm512_permutexvar_epi32(_mm512_set1_epi32(order[1]), values),
        _mm512_permutexvar_epi32(_mm512_set1_epi32(order[2]), values),
        _mm512_permutexvar_epi32(_mm512_set1_epi32(order[3]), values),
    ]
}
