//! The bytes of a snapshot. All integers are little endian; `docs/snapshot-format.md` draws the same picture.
//!
//! ```text
//! offset  size  field
//!      0     8  magic        "WEIRSNAP"
//!      8     2  version      1
//!     10     1  function     0 pacing, 1 balance, 2 schedule
//!     11     1  precision    8 or 12
//!     12     1  output       0 linear, 1 softmax, 2 argmax
//!     13     1  layer_count  1..=8
//!     14     2  input_count  1..=256
//!     16     8  schema_hash
//!     24     4  length       of the whole file, checksum included
//!     28    32  name         printable ASCII, zero padded
//!     60        input_count x { multiplier i32, offset i32, clip_lo i32, clip_hi i32, shift u32 }
//!               layer_count x { inputs u16, outputs u16, activation u16, first i16, second i16,
//!                               shift i8[outputs], multiplier i16[outputs], bias i32[outputs],
//!                               weights i8[outputs][inputs] (8-bit) or i16[outputs][inputs] (12-bit) }
//!               outputs of the last layer x { multiplier i32, shift u32, offset i32, lo i32, hi i32 }
//!      end - 4  checksum     CRC-32C of all bytes before it
//! ```
//!
//! There is one encoding of each snapshot: padding and fields without a meaning are zero, nothing trails.

mod crc32c;
mod decode;
mod encode;

pub(crate) use decode::decode;
pub use encode::encode;

use crate::parts::{LAYERS, WIDTH_MAX};

/// The version of the layout, which lives apart from the product's.
pub const FORMAT_VERSION: u16 = 1;
/// The length of the largest snapshot in bytes; longer input is refused unread.
pub const FILE_BYTES_MAX: usize =
    HEAD_BYTES + 2 * WIDTH_MAX * RECORD_BYTES + *LAYERS.end() * LAYER_BYTES_MAX + CHECKSUM_BYTES;

const MAGIC: [u8; 8] = *b"WEIRSNAP";
const HEAD_BYTES: usize = 60;
const LENGTH_AT: usize = 24;
const CHECKSUM_BYTES: usize = 4;
/// An input's record and an output's.
const RECORD_BYTES: usize = 20;
const LAYER_HEAD_BYTES: usize = 10;
/// Shift, multiplier and bias.
const PER_OUTPUT_BYTES: usize = 1 + 2 + 4;
const LAYER_BYTES_MAX: usize = LAYER_HEAD_BYTES + WIDTH_MAX * (PER_OUTPUT_BYTES + 2 * WIDTH_MAX);
