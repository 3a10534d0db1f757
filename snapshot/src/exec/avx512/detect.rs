//! Whether this machine can run the executor. Written out because `is_x86_feature_detected` needs `std`.

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// Leaf 1, ECX: the operating system has switched on XSAVE, so XGETBV may be asked.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 7, EBX: AVX-512 F, DQ and BW.
const AVX512_F_DQ_BW: u32 = 1 << 16 | 1 << 17 | 1 << 30;
/// Leaf 7, ECX.
const AVX512_VNNI: u32 = 1 << 11;
/// XCR0: the operating system saves SSE, AVX, mask and all of the 512-bit registers.
const STATE: u64 = 0xE6;

/// Processor and operating system both support AVX-512 F, DQ, BW and VNNI.
pub(in crate::exec) fn is_available() -> bool {
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: OSXSAVE is set, so XGETBV exists and is allowed.
    let state = unsafe { _xgetbv(0) };
    let leaf = __cpuid_count(7, 0);
    state & STATE == STATE && leaf.ebx & AVX512_F_DQ_BW == AVX512_F_DQ_BW && leaf.ecx & AVX512_VNNI != 0
}
