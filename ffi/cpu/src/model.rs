//! What the processor calls itself, for reports.

/// The processor's marketing name, or its architecture where it has none.
pub fn cpu_model() -> String {
    match brand() {
        Some(name) if !name.is_empty() => name,
        _ => std::env::consts::ARCH.to_owned(),
    }
}

/// What the processor says about itself under `leaf` (sub-leaf 0).
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "the intrinsic is safe in newer toolchains than the oldest that builds this")]
pub(crate) fn cpuid(leaf: u32) -> core::arch::x86_64::CpuidResult {
    // SAFETY: CPUID is in the x86-64 baseline; it writes four registers and no memory.
    unsafe { core::arch::x86_64::__cpuid(leaf) }
}

/// CPUID leaves 8000_0002h to 8000_0004h: 48 bytes of ASCII, padded with blanks or NULs.
#[cfg(target_arch = "x86_64")]
fn brand() -> Option<String> {
    if cpuid(0x8000_0000).eax < 0x8000_0004 {
        return None;
    }
    let bytes: Vec<u8> = (0x8000_0002..=0x8000_0004)
        .map(cpuid)
        .flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
        .flat_map(u32::to_le_bytes)
        .take_while(|&byte| byte != 0)
        .collect();
    Some(String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(not(target_arch = "x86_64"))]
fn brand() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_name_is_printable_and_one_line() {
        let name = super::cpu_model();
        assert!(!name.is_empty() && name.chars().all(|c| !c.is_control()), "{name:?}");
    }
}
