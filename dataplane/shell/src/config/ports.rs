//! What a port may be, read from its string.

use super::error::ConfigError;
use super::schema::PortKeys;
use super::source::Source;
use std::fmt;
use std::path::PathBuf;

/// Where frames come from and go to. Both ports are of one kind: a capture has no clock to share with a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortsPlan {
    /// Two DPDK devices, by side.
    Devices([Device; 2]),
    /// Two capture files in and two out, by side.
    Captures([CapturePair; 2]),
}

/// A DPDK device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// By PCI address, in full: `0000:03:00.0`.
    Pci(String),
    /// A virtual device with its arguments, as DPDK's `--vdev` takes them.
    Virtual(String),
}

impl Device {
    /// The name that DPDK knows the device by.
    pub fn name(&self) -> &str {
        match self {
            Device::Pci(address) => address,
            Device::Virtual(spec) => spec.split(',').next().unwrap_or(spec),
        }
    }

    /// For a driver that is told its number of queue pairs: the argument that does, and what it says (`None` when that is no
    /// number). Other devices have as many as they have.
    pub fn queues(&self) -> Option<(&'static str, Option<u64>)> {
        let driver = self.name().trim_end_matches(|c: char| c.is_ascii_digit());
        let argument = match driver {
            "net_af_packet" => "qpairs",
            "net_af_xdp" => "queue_count",
            "net_virtio_user" | "net_vhost" => "queues",
            _ => return None,
        };
        Some((argument, self.argument(argument).map_or(Some(1), |value| value.parse().ok())))
    }

    /// The value of one argument of a virtual device.
    pub fn argument(&self, key: &str) -> Option<&str> {
        match self {
            Device::Pci(_) => None,
            Device::Virtual(spec) => spec
                .split(',')
                .skip(1)
                .filter_map(|pair| pair.split_once('='))
                .find(|(k, _)| *k == key)
                .map(|(_, v)| v),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Pci(text) | Device::Virtual(text) => f.write_str(text),
        }
    }
}

/// One side's capture files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturePair {
    /// Frames that arrive on this side.
    pub input: PathBuf,
    /// Where frames that leave on this side are written.
    pub output: PathBuf,
}

const EXPECTED: &str = "expected a PCI address such as \"0000:03:00.0\", a DPDK virtual device such as \
     \"net_af_packet0,iface=eth1\", or \"pcap:in=FILE,out=FILE\"";

enum Port {
    Device(Device),
    Capture(CapturePair),
}

impl PortsPlan {
    pub(super) fn check(keys: &PortKeys, source: &Source) -> Result<PortsPlan, ConfigError> {
        let inside = port(&keys.inside, source).map_err(|reason| source.error("ports.inside", reason))?;
        let outside = port(&keys.outside, source).map_err(|reason| source.error("ports.outside", reason))?;
        match (inside, outside) {
            (Port::Device(inside), Port::Device(outside)) => {
                if inside.name() == outside.name() {
                    let reason =
                        format!("expected another device than ports.inside, found {:?} twice", inside.name());
                    return Err(source.error("ports.outside", reason));
                }
                Ok(PortsPlan::Devices([inside, outside]))
            }
            (Port::Capture(inside), Port::Capture(outside)) => {
                if inside.output == outside.output {
                    return Err(source
                        .error("ports.outside", "expected another output file than that of ports.inside"));
                }
                for pair in [&inside, &outside] {
                    if [&inside.input, &outside.input].contains(&&pair.output) {
                        let reason = format!("{} is both input and output", pair.output.display());
                        return Err(source.error("ports.outside", reason));
                    }
                }
                Ok(PortsPlan::Captures([inside, outside]))
            }
            _ => Err(source.error(
                "ports.outside",
                "expected the same kind of port on both sides: two capture files or two devices",
            )),
        }
    }
}

fn port(text: &str, source: &Source) -> Result<Port, String> {
    if let Some(arguments) = text.strip_prefix("pcap:") {
        return capture(arguments, source).map(Port::Capture);
    }
    if is_pci_address(text) {
        return Ok(Port::Device(Device::Pci(text.to_ascii_lowercase())));
    }
    let name = text.split(',').next().unwrap_or_default();
    let named = name
        .strip_prefix("net_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if named && text.split(',').skip(1).all(|argument| !argument.is_empty()) {
        return Ok(Port::Device(Device::Virtual(text.to_owned())));
    }
    Err(format!("{EXPECTED}, found {text:?}"))
}

fn capture(arguments: &str, source: &Source) -> Result<CapturePair, String> {
    let (mut input, mut output) = (None, None);
    for argument in arguments.split(',') {
        match argument.split_once('=') {
            Some(("in", file)) if !file.is_empty() => input = Some(source.resolve(file)),
            Some(("out", file)) if !file.is_empty() => output = Some(source.resolve(file)),
            _ => return Err(format!("expected \"pcap:in=FILE,out=FILE\", found {argument:?} in it")),
        }
    }
    match (input, output) {
        (Some(input), Some(output)) => Ok(CapturePair { input, output }),
        _ => Err("expected \"pcap:in=FILE,out=FILE\" with both files named".to_owned()),
    }
}

/// `dddd:bb:dd.f`, as lspci -D prints it.
fn is_pci_address(text: &str) -> bool {
    const SHAPE: &[u8] = b"hhhh:hh:hh.o";
    text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'h' => byte.is_ascii_hexdigit(),
            b'o' => (b'0'..=b'7').contains(&byte),
            _ => byte == *shape,
        })
}
