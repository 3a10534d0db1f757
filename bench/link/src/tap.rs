//! A tap device, opened in any network namespace. The one `unsafe` of this crate: `TUNSETIFF` has no safe
//! wrapper.
#![allow(unsafe_code)] // TUNSETIFF, the only way to attach to a tap device, is a raw ioctl.

use std::ffi::{c_int, c_short};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use nix::libc::{IFF_NO_PI, IFF_TAP, IFNAMSIZ, O_NONBLOCK};
use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps its namespaces.
const NETNS_DIR: &str = "/run/netns";

/// The head of `struct ifreq` (linux/if.h) as TUNSETIFF reads it: a name, flags, and the rest of a union, 40
/// bytes in all.
#[repr(C)]
struct IfReq {
    name: [u8; IFNAMSIZ],
    flags: c_short,
    rest: [u8; 22],
}
const _: () = assert!(size_of::<IfReq>() == 40);

nix::ioctl_write_ptr_bad!(
    /// Attaches a file of /dev/net/tun to a device, which it makes.
    tun_set_iff,
    nix::request_code_write!(b'T', 202, size_of::<c_int>()),
    IfReq
);

/// A device's name and, unless it is the caller's own, its namespace: `c0` or `c0@client`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapName {
    /// Interface name, 1 to 15 bytes.
    pub device: String,
    /// Namespace as `ip netns` names it.
    pub netns: Option<String>,
}

impl FromStr for TapName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (device, netns) = match text.split_once('@') {
            Some((device, netns)) => (device, Some(netns)),
            None => (text, None),
        };
        // The kernel's rule (dev_valid_name), less the `%` that would make it choose a number.
        let valid = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', ':', '%', ' ']);
        if !valid(device) || device.len() >= IFNAMSIZ {
            return Err(format!("{device:?} is no interface name (1 to {} bytes)", IFNAMSIZ - 1));
        }
        if netns.is_some_and(|netns| !valid(netns)) {
            return Err(format!("{text:?} names no namespace after the @"));
        }
        Ok(TapName { device: device.to_owned(), netns: netns.map(str::to_owned) })
    }
}

impl fmt::Display for TapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.device)?;
        self.netns.iter().try_for_each(|netns| write!(f, "@{netns}"))
    }
}

/// An open tap device. It exists for as long as this does, and is removed with it.
#[derive(Debug)]
pub(crate) struct Tap {
    file: File,
}

impl Tap {
    /// Makes the device, inside its namespace from the start, so that its name need not be free anywhere else.
    ///
    /// # Errors
    /// No /dev/net/tun, no such namespace, not permitted, or the name is taken.
    pub(crate) fn open(name: &TapName) -> io::Result<Tap> {
        let Some(netns) = &name.netns else { return Tap::open_here(&name.device) };
        let home = File::open("/proc/thread-self/ns/net")?;
        let there = File::open(Path::new(NETNS_DIR).join(netns))?;
        setns(there, CloneFlags::CLONE_NEWNET)?;
        let tap = Tap::open_here(&name.device);
        // A thread that cannot come home must not go on: everything it opened would land in the wrong place.
        setns(home, CloneFlags::CLONE_NEWNET)?;
        tap
    }

    fn open_here(device: &str) -> io::Result<Tap> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open("/dev/net/tun")?;
        let mut request =
            IfReq { name: [0; IFNAMSIZ], flags: (IFF_TAP | IFF_NO_PI) as c_short, rest: [0; 22] };
        // `TapName` left room for the terminating zero.
        request.name[..device.len()].copy_from_slice(device.as_bytes());
        // SAFETY: the descriptor is open for the whole call; `request` is an initialised `repr(C)` struct of the
        // 40 bytes that TUNSETIFF copies in and out, and outlives the call. (The wrapper passes `*const`; the
        // kernel writes the device's name back, hence the exclusive borrow here.)
        unsafe { tun_set_iff(file.as_raw_fd(), &raw mut request) }?;
        Ok(Tap { file })
    }

    /// Takes one frame; `None` when there is none now.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match io::Read::read(&mut &self.file, buffer) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands one frame to the kernel.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        io::Write::write(&mut &self.file, frame).map(|_| ())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_on_the_command_line() {
        let name: TapName = "c0@weir-1-client".parse().unwrap();
        assert_eq!((name.device.as_str(), name.netns.as_deref()), ("c0", Some("weir-1-client")));
        assert_eq!(name.to_string(), "c0@weir-1-client");
        assert_eq!("weir-out".parse::<TapName>().unwrap().netns, None);
        for text in ["", "@ns", "a/b", "sixteen-bytes-xx", "tap%d", "c0@", "c0@../x"] {
            assert!(text.parse::<TapName>().is_err(), "{text:?}");
        }
    }
}
