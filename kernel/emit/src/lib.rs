//! A checked snapshot as C for the kernel: constant tables, integers only, no SIMD, a stack that does not grow with the
//! network, and golden vectors that say at load time whether the compiled code still computes it.
//!
//! [`source`] writes the C of one snapshot. What it includes is in [`HEADERS`], hand-written and in `kernel/module`: the
//! arithmetic of `docs/snapshot-format.md` and the features of `docs/features.md`. The tests compile all of it in user
//! space and hold it to the scalar executor and to the shared traces, bit for bit.
//!
//! What makes it fast without SIMD is one 64-bit multiply for two to four products: see `lanes.rs`.
#![forbid(unsafe_code)]

mod folder;
mod golden;
mod lanes;
mod layer;
mod source;
mod text;

pub use folder::{MODULES, folder};
pub use source::{module_name, source};

/// The headers that [`source`]'s C includes: name and text.
pub const HEADERS: [(&str, &str); 5] = [
    ("weir_types.h", include_str!("../../module/weir_types.h")),
    ("weir_curves.h", include_str!("../../module/weir_curves.h")),
    ("weir_arith.h", include_str!("../../module/weir_arith.h")),
    ("weir_features.h", include_str!("../../module/weir_features.h")),
    ("weir_snapshot.h", include_str!("../../module/weir_snapshot.h")),
];
