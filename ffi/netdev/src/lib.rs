//! What the kernel says and no file does: which offloads of a network interface are on, and why netlink refuses something.
//!
//! Two system calls, `SIOCETHTOOL` of `netdevice(7)`, which reads, and a socket option of `netlink(7)`. They need no
//! privilege.
#![allow(unsafe_code, reason = "an ioctl and a setsockopt; the calls say why they cannot harm")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::net::UnixDatagram;

/// Offloads that make what a packet socket sees differ from what is on the wire. `true`: on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Checksums are left to the device.
    pub tx_checksum: bool,
    /// Segments of a whole window are left to the device.
    pub tso: bool,
    /// The same, in the kernel.
    pub gso: bool,
    /// Segments are merged before anybody sees them.
    pub gro: bool,
}

/// Commands of `linux/ethtool.h` that read one switch each.
const GET_TX_CHECKSUM: u32 = 0x16;
const GET_TSO: u32 = 0x1e;
const GET_GSO: u32 = 0x23;
const GET_GRO: u32 = 0x2b;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// The offloads of an interface in the caller's network namespace.
///
/// # Errors
/// There is no such interface.
pub fn offloads(interface: &str) -> io::Result<Offloads> {
    // Any socket will do to reach the namespace's devices.
    let socket = UnixDatagram::unbound()?;
    let get = |command| match switch(&socket, interface, command) {
        Ok(on) => Ok(on),
        // A device that cannot do something does not do it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(error),
    };
    Ok(Offloads {
        tx_checksum: get(GET_TX_CHECKSUM)?,
        tso: get(GET_TSO)?,
        gso: get(GET_GSO)?,
        gro: get(GET_GRO)?,
    })
}

fn switch(socket: &UnixDatagram, interface: &str, command: u32) -> io::Result<bool> {
    let mut name = [0; libc::IFNAMSIZ];
    // The last byte stays NUL.
    if interface.is_empty() || interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (cell, byte) in name.iter_mut().zip(interface.bytes()) {
        *cell = byte as libc::c_char;
    }
    let mut value = Value { command, data: 0 };
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
    };
    // SAFETY: the descriptor is open for as long as `socket` is borrowed. `request` is a whole `ifreq` whose name ends in a
    // NUL and whose data points to a `struct ethtool_value`, which is what these commands read and write; both live
    // beyond the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data != 0) }
}

/// From here on a refusal on a netlink socket carries the kernel's words, where it has any (`NETLINK_EXT_ACK`).
///
/// # Errors
/// The socket is not one of netlink's.
pub fn explain_refusals(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the kernel reads `length` bytes at `on`, which is
    // as long and lives beyond the call.
    let done = unsafe {
        libc::setsockopt(fd, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, (&raw const on).cast(), length)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_netlink_socket_explains() {
        let other = UnixDatagram::unbound().expect("a socket");
        assert!(explain_refusals(&other).is_err());
    }

    #[test]
    fn loopback_has_its_offloads_on_and_a_stranger_has_none() {
        let lo = offloads("lo").expect("every namespace has a loopback interface");
        assert!(lo.tso && lo.gso, "{lo:?}");
        assert_eq!(offloads("no-such-if").map_err(|error| error.raw_os_error()), Err(Some(libc::ENODEV)));
        for name in ["", "a-name-that-is-too-long-for-any"] {
            assert_eq!(offloads(name).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput));
        }
    }
}
