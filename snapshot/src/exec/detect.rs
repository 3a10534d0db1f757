//! What this machine can run. Written out because `is_x86_feature_detected` needs `std`.
#![allow(unsafe_code, reason = "XGETBV, once OSXSAVE says that it is there")]

use super::executor::Reason;
use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// Leaf 1, ECX: the operating system has switched on XSAVE, so XGETBV may be asked.
const OSXSAVE: u32 = 1 << 27;
/// XCR0: the operating system saves SSE and AVX registers.
const AVX_STATE: u64 = 0x06;
/// XCR0: and mask and all of the 512-bit registers.
const AVX512_STATE: u64 = 0xE6;

/// Processor and operating system both support AVX2.
pub(super) fn avx2() -> Result<(), Reason> {
    let (ebx, _) = leaf7();
    extensions(&[(ebx, 5, "AVX2")])?;
    registers(AVX_STATE, "256-bit")
}

/// Processor and operating system both support AVX-512 F, BW and VNNI.
pub(super) fn avx512_vnni() -> Result<(), Reason> {
    let (ebx, ecx) = leaf7();
    extensions(&[(ebx, 16, "AVX-512 F"), (ebx, 30, "AVX-512 BW"), (ecx, 11, "AVX-512 VNNI")])?;
    registers(AVX512_STATE, "512-bit")
}

/// EBX and ECX of leaf 7.
fn leaf7() -> (u32, u32) {
    if __cpuid(0).eax < 7 {
        return (0, 0);
    }
    let leaf = __cpuid_count(7, 0);
    (leaf.ebx, leaf.ecx)
}

/// Each extension is a word, the bit in it that must be set, and a name.
fn extensions(needed: &[(u32, u32, &'static str)]) -> Result<(), Reason> {
    match needed.iter().find(|(word, bit, _)| word >> bit & 1 == 0) {
        Some(&(_, _, name)) => Err(Reason::Processor(name)),
        None => Ok(()),
    }
}

fn registers(state: u64, name: &'static str) -> Result<(), Reason> {
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return Err(Reason::System(name));
    }
    // SAFETY: OSXSAVE is set, so XGETBV exists and is allowed.
    if unsafe { _xgetbv(0) } & state == state { Ok(()) } else { Err(Reason::System(name)) }
}
