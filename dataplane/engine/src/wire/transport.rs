//! What follows the IP header: TCP is read, the rest is told apart.

use super::read::header;
use super::{Ecn, Endpoint, IpVersion, Malformed, Stop, TcpFrame, Tuple, Untracked, icmp, tcp};

const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// What the IP header said.
pub(super) struct Ip {
    pub(super) version: IpVersion,
    pub(super) offset: usize,
    pub(super) ecn: Ecn,
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
}

impl Ip {
    #[inline]
    pub(super) fn tuple(&self, source_port: u16, destination_port: u16) -> Tuple {
        Tuple {
            source: Endpoint { address: self.source, port: source_port },
            destination: Endpoint { address: self.destination, port: destination_port },
            version: self.version,
        }
    }

    /// The owner of a packet whose ports nobody can read: the protocol stands for both.
    pub(super) fn pair(&self, protocol: u8) -> Tuple {
        self.tuple(protocol.into(), protocol.into())
    }
}

/// Where an IP packet's transport header is.
pub(super) struct Located {
    pub(super) ip: Ip,
    pub(super) protocol: u8,
    /// Where the header begins.
    pub(super) at: usize,
    /// Where the packet ends.
    pub(super) end: usize,
}

/// Reads the transport header.
#[inline(always)]
pub(super) fn read(bytes: &[u8], located: &Located) -> Result<TcpFrame, Stop> {
    let Located { ref ip, protocol, at, end } = *located;
    if protocol != TCP {
        return Err(other(bytes, protocol, at, end));
    }
    let tcp = tcp::read(bytes, at, end)?;
    // Two tags, 40 bytes, at most eight extensions of 2 KiB and 60 bytes of TCP: far below 65 536.
    Ok(TcpFrame {
        tuple: ip.tuple(tcp.source_port, tcp.destination_port),
        ip_offset: ip.offset as u16,
        tcp_offset: at as u16,
        payload_offset: tcp.payload_at as u16,
        ecn: ip.ecn,
        segment: tcp.segment,
    })
}

/// Tells UDP, ICMP and neighbour discovery from the rest, and checks that their headers are whole.
fn other(bytes: &[u8], protocol: u8, at: usize, end: usize) -> Stop {
    let kind = match protocol {
        UDP => udp(bytes, at, end),
        ICMP => icmp::v4(bytes, at, end),
        ICMP6 => icmp::v6(bytes, at, end),
        _ => Ok(Untracked::OtherTransport),
    };
    match kind {
        Ok(kind) => kind.into(),
        Err(stop) => stop,
    }
}

fn udp(bytes: &[u8], at: usize, end: usize) -> Result<Untracked, Stop> {
    let fixed = header::<8>(bytes, at, end, Malformed::UdpShort)?;
    let len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if len < 8 || at + len > end {
        return Err(Malformed::UdpLength.into());
    }
    Ok(Untracked::Udp)
}
