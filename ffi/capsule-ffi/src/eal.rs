//! The start of EAL, and what went wrong.

use crate::kni;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use weir_dpdk_sys as sys;

/// Options that capsule writes and DPDK has renamed since 19.11.
const RENAMED: [(&str, &str); 2] = [("--master-lcore", "--main-lcore"), ("--pci-whitelist", "--allow")];

/// Starts EAL from a command line of 19.11.
///
/// # Safety
/// `words` are `count` NUL-terminated strings. As DPDK's function: once per process, before any other.
pub unsafe fn rte_eal_init(count: c_int, words: *mut *mut c_char) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    let word = |at| {
        // SAFETY: `at` is below `count`, and the caller's promise.
        unsafe { CStr::from_ptr(words.add(at).read()) }
    };
    // EAL permutes the pointers and keeps some of the strings; capsule frees its own. These stay for ever.
    let mut owned: Vec<*mut c_char> =
        (0..count).map(|at| today(word(at)).into_raw()).chain([std::ptr::null_mut()]).collect();
    let start = owned.as_mut_ptr();
    std::mem::forget(owned);
    // SAFETY: `count` strings and a null, none of which is ever freed.
    unsafe { sys::rte_eal_init(count as c_int, start) }
}

fn today(word: &CStr) -> CString {
    let renamed = RENAMED.iter().find(|(then, _)| then.as_bytes() == word.to_bytes());
    renamed.and_then(|(_, now)| CString::new(*now).ok()).unwrap_or_else(|| word.to_owned())
}

/// Why the thread's last call has failed.
///
/// # Safety
/// None is needed; capsule calls it so.
pub unsafe fn _rte_errno() -> c_int {
    kni::take_failure().unwrap_or_else(|| {
        // SAFETY: reads a thread-local variable of DPDK's.
        unsafe { sys::weir_errno() }
    })
}

/// What an error's number means.
///
/// # Safety
/// None is needed; as DPDK's own, whose text for an unknown number lasts until the thread's next call.
pub unsafe fn rte_strerror(number: c_int) -> *const c_char {
    if number == kni::ABSENT {
        return kni::REASON.as_ptr();
    }
    // SAFETY: takes any number.
    unsafe { sys::rte_strerror(number) }
}

/// The NUMA node of a CPU, as the kernel has it; 0 where it says nothing, as EAL does.
///
/// # Safety
/// None is needed; capsule calls it so.
pub unsafe fn numa_node_of_cpu(cpu: c_int) -> c_int {
    let folder = Path::new("/sys/devices/system/cpu").join(format!("cpu{cpu}"));
    let nodes = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok();
    nodes.filter_map(number).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_options_have_todays_names_and_others_stay() {
        for (then, now) in [
            (c"--master-lcore", c"--main-lcore"),
            (c"--pci-whitelist", c"--allow"),
            (c"--no-huge", c"--no-huge"),
            (c"\xff", c"\xff"),
        ] {
            assert_eq!(today(then).as_c_str(), now);
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_on_the_first_node() {
        // SAFETY: none is needed.
        assert_eq!(unsafe { numa_node_of_cpu(1 << 20) }, 0);
    }
}
