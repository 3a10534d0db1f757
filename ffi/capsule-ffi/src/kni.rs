//! The kernel network interface. Its kernel module left DPDK's tree, Debian builds without it, and nothing here calls
//! it: each function fails in the way that its caller expects, and the error's text says what to do instead.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint};
use weir_dpdk_sys::{rte_mbuf, rte_mempool};

/// The number of the error: "KNI" in ASCII, far from errno's and DPDK's own (which end at 2 000).
pub const ABSENT: c_int = 0x004b_4e49;

/// Its text.
pub const REASON: &CStr =
    c"KNI is not in this DPDK: leave `kni` out of the port, and reach the kernel by a net_tap or net_virtio_user port";

thread_local! {
    /// Whether the last failure on this thread was KNI's, and nobody has asked for its number.
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn take_failure() -> Option<c_int> {
    FAILED.replace(false).then_some(ABSENT)
}

/// An interface. There is none.
#[derive(Debug)]
#[repr(C)]
pub struct rte_kni {
    none: [u8; 0],
}

/// How one would have to be.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct rte_kni_conf {
    /// Its name, NUL-terminated.
    pub name: [c_char; 32],
    /// Its group.
    pub group_id: u16,
    /// Bytes of a buffer.
    pub mbuf_size: u32,
    /// Its Ethernet address.
    pub mac_addr: [u8; 6],
}

/// What it would ask of the application.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct rte_kni_ops {
    /// The port that it belongs to.
    pub port_id: u16,
    /// Another MTU.
    pub change_mtu: Option<unsafe extern "C" fn(u16, c_uint) -> c_int>,
    /// Up or down.
    pub config_network_if: Option<unsafe extern "C" fn(u16, u8) -> c_int>,
    /// Another address.
    pub config_mac_address: Option<unsafe extern "C" fn(u16, *mut u8) -> c_int>,
    /// Promiscuous or not.
    pub config_promiscusity: Option<unsafe extern "C" fn(u16, u8) -> c_int>,
}

/// Fails.
///
/// # Safety
/// None is needed, here and below; capsule calls them so. No pointer is followed.
pub unsafe fn rte_kni_init(_max: c_uint) -> c_int {
    -ABSENT
}

/// Gives none.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_alloc(
    _pool: *mut rte_mempool,
    _conf: *const rte_kni_conf,
    _ops: *mut rte_kni_ops,
) -> *mut rte_kni {
    FAILED.set(true);
    std::ptr::null_mut()
}

/// Fails.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_release(_kni: *mut rte_kni) -> c_int {
    FAILED.set(true);
    -1
}

/// The empty name.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_get_name(_kni: *const rte_kni) -> *const c_char {
    c"".as_ptr()
}

/// Fails.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_handle_request(_kni: *mut rte_kni) -> c_int {
    FAILED.set(true);
    -1
}

/// Receives nothing.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_rx_burst(_kni: *mut rte_kni, _frames: *mut *mut rte_mbuf, _room: c_uint) -> c_uint {
    0
}

/// Takes nothing: the frames stay the caller's.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_tx_burst(_kni: *mut rte_kni, _frames: *mut *mut rte_mbuf, _count: c_uint) -> c_uint {
    0
}

/// Does nothing.
///
/// # Safety
/// None is needed.
pub unsafe fn rte_kni_close() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{_rte_errno, rte_strerror};

    #[test]
    fn every_call_fails_and_the_error_says_what_to_do() {
        // SAFETY: none is needed.
        unsafe {
            let text = |number| CStr::from_ptr(rte_strerror(number)).to_str().unwrap();
            assert!(text(-rte_kni_init(1)).contains("net_tap"));
            let none = rte_kni_alloc(std::ptr::null_mut(), &rte_kni_conf::default(), std::ptr::null_mut());
            assert!(none.is_null() && text(_rte_errno()).starts_with("KNI is not in this DPDK"));
            // Once: the next failure is another's.
            assert_ne!(_rte_errno(), ABSENT);
            assert!(rte_kni_release(none) < 0 && _rte_errno() == ABSENT);
            assert!(rte_kni_handle_request(none) < 0 && _rte_errno() == ABSENT);
            assert_eq!(rte_kni_rx_burst(none, std::ptr::null_mut(), 32), 0);
            assert_eq!(rte_kni_tx_burst(none, std::ptr::null_mut(), 32), 0);
            assert!(CStr::from_ptr(rte_kni_get_name(none)).is_empty());
            rte_kni_close();
        }
    }

    #[test]
    fn other_numbers_mean_what_they_mean_to_dpdk() {
        // SAFETY: none is needed.
        let text = unsafe { CStr::from_ptr(rte_strerror(22)) };
        assert_eq!(text, c"Invalid argument");
    }
}
