//! What the kernel says of a network interface under a virtual device.

use nix::libc;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// `ETHTOOL_GCHANNELS`, `ETHTOOL_GGRO` and `ETHTOOL_GFLAGS` of linux/ethtool.h, and the last one's bit for LRO.
const GET_CHANNELS: u32 = 0x3c;
const GET_GRO: u32 = 0x2b;
const GET_FLAGS: u32 = 0x25;
const FLAG_LRO: u32 = 1 << 15;

/// A network interface of the calling thread's network namespace.
pub struct Interface {
    /// Any socket will do to ask about interfaces.
    socket: UdpSocket,
    request: libc::ifreq,
}

/// How many queues an interface has that both receive and send, as `ethtool -l` shows them under `Combined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CombinedChannels {
    /// Now.
    pub now: u32,
    /// At most; 0 where its queues are of another kind, or not told.
    pub max: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct EthtoolChannels {
    command: u32,
    /// Receive, transmit, other, combined.
    max: [u32; 4],
    now: [u32; 4],
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

impl Interface {
    /// The interface of this name.
    ///
    /// # Errors
    /// The name is too long for one, or there is no socket to ask through.
    pub fn named(name: &str) -> io::Result<Interface> {
        // SAFETY: all zeros are a valid `ifreq`: an empty name, and a union of plain numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        Ok(Interface {
            socket: UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?,
            request,
        })
    }

    /// Largest IP packet, in bytes.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn mtu(&mut self) -> io::Result<u32> {
        // SAFETY: the request is a valid `ifreq` with a NUL-terminated name; the call writes its `ifr_mtu`.
        let answer =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFMTU as _, &mut self.request) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just written this member, a plain number.
        Ok(unsafe { self.request.ifr_ifru.ifru_mtu } as u32)
    }

    /// Whether the interface puts received frames together into longer ones (GRO or LRO), before anybody sees them.
    ///
    /// # Errors
    /// There is no such interface, or it cannot be asked.
    pub fn merges_received_frames(&mut self) -> io::Result<bool> {
        Ok(self.ethtool(GET_GRO)? != 0 || self.ethtool(GET_FLAGS)? & FLAG_LRO != 0)
    }

    /// Its combined channels.
    ///
    /// # Errors
    /// There is no such interface, or it cannot be asked.
    pub fn combined_channels(&mut self) -> io::Result<CombinedChannels> {
        let mut channels = EthtoolChannels { command: GET_CHANNELS, ..EthtoolChannels::default() };
        // SAFETY: `struct ethtool_channels` is what this command reads and writes.
        match unsafe { self.ask(&mut channels) } {
            Ok(()) => Ok(CombinedChannels { now: channels.now[3], max: channels.max[3] }),
            // A device without the call tells of none.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(CombinedChannels::default()),
            Err(error) => Err(error),
        }
    }

    fn ethtool(&mut self, command: u32) -> io::Result<u32> {
        let mut value = EthtoolValue { command, data: 0 };
        // SAFETY: `struct ethtool_value` is what the commands of both callers read and write.
        unsafe { self.ask(&mut value) }.map(|()| value.data)
    }

    /// # Safety
    /// `T` is the structure of the command that it begins with.
    unsafe fn ask<T>(&mut self, about: &mut T) -> io::Result<()> {
        self.request.ifr_ifru.ifru_data = std::ptr::from_mut(about).cast();
        // SAFETY: the request is a valid `ifreq` whose `ifr_data` points to a structure that outlives the call and, as the
        // caller says, is the command's.
        let answer =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut self.request) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_and_a_missing_interface_does_not() {
        let mut loopback = Interface::named("lo").unwrap();
        assert!(loopback.mtu().unwrap() >= 1_500);
        loopback.merges_received_frames().unwrap();
        assert_eq!(loopback.combined_channels().unwrap(), CombinedChannels::default());
        assert!(Interface::named("no-such-if").unwrap().combined_channels().is_err());
        assert!(Interface::named("no-such-if").unwrap().mtu().is_err());
        assert!(Interface::named("a-name-that-is-too-long").is_err());
    }
}
