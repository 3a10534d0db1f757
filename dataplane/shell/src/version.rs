//! What this build is.

use std::sync::LazyLock;

/// The DPDK that this build is linked to, or `none`.
#[cfg(feature = "dpdk")]
pub const DPDK: &str = weir_dpdk::DPDK_VERSION;
/// The DPDK that this build is linked to, or `none`.
#[cfg(not(feature = "dpdk"))]
pub const DPDK: &str = "none";

static LONG: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\ndpdk {DPDK}\nsnapshot format {}\ntarget {}-{}",
        env!("CARGO_PKG_VERSION"),
        weir_snapshot::FORMAT_VERSION,
        std::env::consts::ARCH,
        std::env::consts::OS
    )
});

/// Version, DPDK, snapshot format and target, each on a line.
pub fn long() -> &'static str {
    &LONG
}
