//! libpcap's functions and structures (pcap.h 1.10), for capsule's feature `pcap-dump`. Nothing calls them without it.

use std::ffi::{c_char, c_int, c_long, c_uchar};

/// An open capture.
#[derive(Debug)]
#[repr(C)]
pub struct pcap_t {
    opaque: [u8; 0],
}

/// An open file to write frames to.
#[derive(Debug)]
#[repr(C)]
pub struct pcap_dumper_t {
    opaque: [u8; 0],
}

/// A time, as the C library has it on 64-bit Linux.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct timeval {
    /// Seconds.
    pub tv_sec: c_long,
    /// Microseconds.
    pub tv_usec: c_long,
}

/// What stands before a frame in a capture.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct pcap_pkthdr {
    /// When it was captured.
    pub ts: timeval,
    /// Bytes that were kept.
    pub caplen: u32,
    /// Bytes on the wire.
    pub len: u32,
}

#[link(name = "pcap")]
#[allow(missing_docs, reason = "pcap(3) has them")]
unsafe extern "C" {
    pub fn pcap_close(capture: *mut pcap_t);
    pub fn pcap_dump(dumper: *mut c_uchar, header: *const pcap_pkthdr, bytes: *const c_uchar);
    pub fn pcap_dump_close(dumper: *mut pcap_dumper_t);
    pub fn pcap_dump_flush(dumper: *mut pcap_dumper_t) -> c_int;
    pub fn pcap_dump_open(capture: *mut pcap_t, path: *const c_char) -> *mut pcap_dumper_t;
    pub fn pcap_dump_open_append(capture: *mut pcap_t, path: *const c_char) -> *mut pcap_dumper_t;
    pub fn pcap_geterr(capture: *mut pcap_t) -> *mut c_char;
    pub fn pcap_next_ex(
        capture: *mut pcap_t,
        header: *mut *mut pcap_pkthdr,
        bytes: *mut *const c_uchar,
    ) -> c_int;
    pub fn pcap_open_dead(link_type: c_int, kept_max: c_int) -> *mut pcap_t;
    pub fn pcap_open_offline(path: *const c_char, error: *mut c_char) -> *mut pcap_t;
}
