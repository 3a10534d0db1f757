//! Probes on paths, as the engine sends them: test packets of RFC 8762 to a host at the path's other end, which answers by the
//! path on which they came. A frame's payload is not stored here, so the port that a probe comes from says which path and
//! which of the last probes it is.

use crate::fabric::{FabricConfig, PATH_VLAN};
use crate::frame::{Envelope, HostId, SimFrame};
use weir_engine::balance::{PORT_FIRST, PORTS_PER_PATH, PROBE_LEN, REFLECTOR_PORT as REFLECTOR};
use weir_engine::time::Ns;
use weir_engine::wire::IpVersion;

/// How paths are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Each path, this often.
    pub interval: Ns,
    /// In packets of this version.
    pub version: IpVersion,
}

/// What a UDP frame is to a host that has paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// It asks.
    Request,
    /// It answers what went by this spine with a number that ends so.
    Answer { spine: u16, low: u16 },
}

/// The host under a leaf that answers a host's probes: the one in its own place.
pub(crate) fn peer(host: HostId, leaf: u16, fabric: &FabricConfig) -> HostId {
    HostId(leaf * fabric.hosts_per_leaf + host.0 % fabric.hosts_per_leaf.max(1))
}

/// A probe by a spine.
pub(crate) fn request(
    version: IpVersion,
    (from, to): (HostId, HostId),
    spine: u16,
    sequence: u32,
) -> SimFrame {
    let port = PORT_FIRST + PORTS_PER_PATH * spine + sequence as u16 % PORTS_PER_PATH;
    frame(version, (from, port), (to, REFLECTOR), spine)
}

/// What a UDP frame with these ports is, if it is a test packet.
pub(crate) fn read(from: u16, to: u16) -> Option<Test> {
    match (from, to) {
        (_, REFLECTOR) => Some(Test::Request),
        (REFLECTOR, PORT_FIRST..) => {
            let at = to - PORT_FIRST;
            Some(Test::Answer { spine: at / PORTS_PER_PATH, low: at % PORTS_PER_PATH })
        }
        _ => None,
    }
}

/// The answer to a probe that came from this host and port.
pub(crate) fn answer(version: IpVersion, own: HostId, (to, port): (HostId, u16)) -> SimFrame {
    let spine = port.saturating_sub(PORT_FIRST) / PORTS_PER_PATH;
    frame(version, (own, REFLECTOR), (to, port), spine)
}

/// The number of which these are the last bits, the newest being `last`.
pub(crate) fn whole(low: u16, last: u32) -> u32 {
    last.wrapping_sub((last as u16).wrapping_sub(low) as u32 % u32::from(PORTS_PER_PATH))
}

fn frame(version: IpVersion, from: (HostId, u16), to: (HostId, u16), spine: u16) -> SimFrame {
    let mut frame = SimFrame::udp(&Envelope { version, from, to, ecn: 0, flow_label: 0 }, PROBE_LEN as u32);
    frame.push_vlan(PATH_VLAN + spine);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_which_probe_it_answers() {
        let fabric = FabricConfig::default();
        let (host, version) = (HostId(13), IpVersion::V6);
        let other = peer(host, 3, &fabric);
        assert_eq!(other, HostId(29));
        for sequence in [0, 63, 64, 1_000, u32::MAX] {
            let probe = request(version, (host, other), 2, sequence);
            let ports = |frame: &SimFrame| {
                let route = frame.route().unwrap();
                let [a, b, c, d] = *route.ports() else { unreachable!() };
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            };
            let (from, to) = ports(&probe);
            assert_eq!(read(from, to), Some(Test::Request));
            let reply = answer(version, other, (probe.source().unwrap(), from));
            assert_eq!(reply.route().unwrap().vlan, Some(PATH_VLAN + 2));
            let (from, to) = ports(&reply);
            let Some(Test::Answer { spine: 2, low }) = read(from, to) else { unreachable!() };
            for later in 0..64 {
                assert_eq!(whole(low, sequence.wrapping_add(later)), sequence);
            }
        }
        assert_eq!(read(9, 9), None);
    }
}
