//! What follows the IP header: TCP is read, the rest is told apart.

use super::read::header;
use super::{Ecn, Endpoint, IpVersion, Malformed, Stop, TcpFrame, Tuple, Untracked, tcp};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// What the IP header said.
pub(super) struct Ip {
    pub(super) version: IpVersion,
    pub(super) offset: usize,
    pub(super) ecn: Ecn,
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
}

/// Reads the transport header at `at` of a packet that ends at `end`.
#[inline]
pub(super) fn read(bytes: &[u8], ip: &Ip, protocol: u8, at: usize, end: usize) -> Result<TcpFrame, Stop> {
    if protocol != TCP {
        return Err(other(bytes, protocol, at, end));
    }
    let tcp = tcp::read(bytes, at, end)?;
    let tuple = Tuple {
        source: Endpoint { address: ip.source, port: tcp.source_port },
        destination: Endpoint { address: ip.destination, port: tcp.destination_port },
        version: ip.version,
    };
    // Two tags, 40 bytes, at most eight extensions of 2 KiB and 60 bytes of TCP: far below 65 536.
    Ok(TcpFrame {
        tuple,
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
        ICMP => header::<8>(bytes, at, end, Malformed::IcmpShort).map(|_| Untracked::Icmp),
        ICMP6 => header::<4>(bytes, at, end, Malformed::IcmpShort).map(|message| match message[0] {
            133..=137 => Untracked::Ndp,
            _ => Untracked::Icmp6,
        }),
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
