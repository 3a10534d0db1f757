//! How a port is named: by PCI address, or as a virtual device with its driver's arguments.

use crate::DeviceError;
use std::ffi::CString;
use std::fmt;
use std::str::FromStr;

/// A device string in DPDK's syntax, checked for its form (whether such a device exists shows when a port is
/// configured): `0000:03:00.0`, `03:00.0,key=value`, `net_af_packet0,iface=eth1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    name: String,
    /// With its leading comma, or empty.
    arguments: String,
    pci: bool,
}

impl Device {
    /// The name that the device's port has: the full PCI address, or the driver and its number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is a PCI device, which EAL must be told of at its start.
    pub fn is_pci(&self) -> bool {
        self.pci
    }

    /// Name and arguments, for C. The parser refused NUL.
    pub(crate) fn devargs(&self) -> CString {
        CString::new(self.to_string()).unwrap_or_default()
    }

    /// The name alone, for C.
    pub(crate) fn c_name(&self) -> CString {
        CString::new(self.name.as_str()).unwrap_or_default()
    }

    /// What to do when the device does not open.
    pub(crate) fn advice(&self) -> String {
        if self.name.starts_with("net_memif") {
            return "if its address is in use, another server listens there, or one that was killed has left its socket's \
                    file: remove that; without socket-abstract=no there is none to leave"
                .to_owned();
        }
        if !self.pci {
            return "check the driver's name (net_af_packet, net_af_xdp, net_tap, net_memif, net_ring, net_null, ...), \
                    its arguments, and that the interface or file they name exists"
                .to_owned();
        }
        let driver = std::fs::read_link(format!("/sys/bus/pci/devices/{}/driver", self.name));
        match driver.as_deref().map(|path| path.file_name().unwrap_or_default().to_string_lossy()) {
            Ok(driver) => format!(
                "its kernel driver is {driver}; DPDK needs vfio-pci: `dpdk-devbind.py --bind=vfio-pci {}`, and the device \
                 in the configuration at start",
                self.name
            ),
            Err(_) => format!(
                "no kernel driver holds it, or it does not exist: see `dpdk-devbind.py --status`, then \
                 `dpdk-devbind.py --bind=vfio-pci {}`",
                self.name
            ),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.arguments)
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Device, DeviceError> {
        let refuse = || DeviceError { text: text.to_owned() };
        let (name, arguments) = text.split_at(text.find(',').unwrap_or(text.len()));
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) || arguments == "," {
            return Err(refuse());
        }
        let arguments = arguments.to_owned();
        if let Some(name) = pci_address(name) {
            return Ok(Device { name, arguments, pci: true });
        }
        let virtual_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.ends_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // The longest name that ethdev keeps is 63 bytes.
        if !virtual_name || name.len() > 63 {
            return Err(refuse());
        }
        Ok(Device { name: name.to_owned(), arguments, pci: false })
    }
}

/// `domain:bus:device.function` in hexadecimal, lower case; a missing domain is 0000, as DPDK reads it.
fn pci_address(text: &str) -> Option<String> {
    let hex = |digits: &str, width: usize, max: u32| {
        let valid = digits.len() == width && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|&value| valid && value <= max)
    };
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    Some(format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        hex(domain, 4, 0xffff)?,
        hex(bus, 2, 0xff)?,
        hex(device, 2, 0x1f)?,
        hex(function, 1, 7)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_brought_to_the_ports_name() {
        for (text, name, whole) in [
            ("0000:03:00.0", "0000:03:00.0", "0000:03:00.0"),
            ("3F:1a.7", "0000:3f:1a.7", "0000:3f:1a.7"),
            ("00:03.0,a=1", "0000:00:03.0", "0000:00:03.0,a=1"),
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!((device.name(), device.is_pci(), device.to_string().as_str()), (name, true, whole));
        }
    }

    #[test]
    fn virtual_devices_keep_their_arguments() {
        let device: Device = "net_af_packet0,iface=weir-in,blocksz=65536".parse().unwrap();
        assert_eq!((device.name(), device.is_pci()), ("net_af_packet0", false));
        assert_eq!(device.devargs().to_str(), Ok("net_af_packet0,iface=weir-in,blocksz=65536"));
    }

    #[test]
    fn what_is_neither_is_refused_by_its_text() {
        for text in [
            "",
            ",",
            "net_null",
            "net_null0,",
            "eth 0",
            "net_null0\0",
            "00:20.0",
            "00:1f.8",
            "0:0:0.0",
            "--no-pci",
        ] {
            let error = text.parse::<Device>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }
}
