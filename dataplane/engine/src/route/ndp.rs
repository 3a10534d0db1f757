//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements of neighbours.
//!
//! Weir is asked and asks. It sends no router advertisements and no redirects, and takes none: hosts are given their
//! route. Its own addresses are not tested for duplicates before use (RFC 4862 section 5.4 leaves that to
//! configuration); one that shows up at another station is counted.

use super::interface::{Mac, group_mac, solicited_node};
use super::packet::{ETHERNET_LEN, ICMP6, IPV6_LEN, Packet, TYPE_IPV6, Upper, pseudo_header};
use core::net::{IpAddr, Ipv6Addr};

pub(super) const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
pub(super) const REDIRECT: u8 = 137;

const OPTION_SOURCE: u8 = 1;
const OPTION_TARGET: u8 = 2;

/// Every message of discovery travels one hop, and proves it so: RFC 4861 section 7.1.
const HOPS: u8 = 255;
const MESSAGE_LEN: usize = 24;
/// Headers, message, and one option with an Ethernet address.
pub(super) const FRAME_LEN: usize = ETHERNET_LEN + IPV6_LEN + MESSAGE_LEN + 8;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A message that passed the checks of RFC 4861 sections 7.1.1 and 7.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    /// Who has `target`? `source` is `None` for one who tests an address before using it.
    Solicitation { source: Option<Ipv6Addr>, target: Ipv6Addr, mac: Option<Mac> },
    /// `target` is here.
    Advertisement { target: Ipv6Addr, mac: Option<Mac>, solicited: bool, overrides: bool },
    /// About routers, which Weir does not listen to.
    OfRouters,
}

/// Reads a discovery message (ICMPv6 types 133 to 137) of a packet whose ICMPv6 checksum is right. `None` when it must
/// be dropped.
pub(super) fn read(bytes: &[u8], packet: &Packet, upper: &Upper) -> Option<Discovery> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
        return None;
    };
    let message = bytes.get(upper.at..ETHERNET_LEN + packet.len as usize)?;
    let kind = *message.first()?;
    if packet.hops != HOPS || *message.get(1)? != 0 {
        return None;
    }
    if kind != NEIGHBOUR_SOLICITATION && kind != NEIGHBOUR_ADVERTISEMENT {
        return Some(Discovery::OfRouters);
    }
    let (fixed, options) = message.split_first_chunk::<MESSAGE_LEN>()?;
    let target = Ipv6Addr::from(*fixed.last_chunk::<16>()?);
    if target.is_multicast() {
        return None;
    }
    if kind == NEIGHBOUR_SOLICITATION {
        let mac = option(options, OPTION_SOURCE)?;
        let source = (!source.is_unspecified()).then_some(source);
        // An address under test has no owner who could be answered in person, nor an Ethernet address to tell.
        let holds = source.is_some() || (destination == solicited_node(target) && mac.is_none());
        return holds.then_some(Discovery::Solicitation { source, target, mac });
    }
    let mac = option(options, OPTION_TARGET)?;
    let (solicited, overrides) = (fixed[4] & 0x40 != 0, fixed[4] & 0x20 != 0);
    if solicited && destination.is_multicast() {
        return None;
    }
    Some(Discovery::Advertisement { target, mac, solicited, overrides })
}

/// The Ethernet address in the first option of a kind, if there is one. The outer `None` when the options do not hold.
fn option(mut options: &[u8], kind: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [this, units, ..] = *options {
        let len = usize::from(units) * 8;
        let body = options.get(2..len)?;
        if this == kind && found.is_none() {
            let mac = *body.first_chunk::<6>()?;
            // No station has such an address.
            (mac[0] & 1 == 0 && mac != [0; 6]).then_some(())?;
            found = Some(mac);
        }
        options = options.get(len..)?;
    }
    options.is_empty().then_some(found)
}

/// Writes "who has `target`?" into a frame of [`FRAME_LEN`] bytes: to the group that the target listens to, or to
/// where it last was.
pub(super) fn write_solicitation(
    frame: &mut [u8],
    mac: Mac,
    own: Ipv6Addr,
    target: Ipv6Addr,
    to: Option<Mac>,
) {
    let group = solicited_node(target);
    let (to, destination) = match to {
        Some(to) => (to, target),
        None => (group_mac(group), group),
    };
    write(frame, (mac, own), (to, destination), [NEIGHBOUR_SOLICITATION, 0], target, OPTION_SOURCE);
}

/// Writes "`target` is here, and is a router" into a frame of [`FRAME_LEN`] bytes: to the one who asked, or to all where
/// the asker has no address yet (RFC 4861 section 7.2.4).
pub(super) fn write_advertisement(
    frame: &mut [u8],
    mac: Mac,
    target: Ipv6Addr,
    asker: Option<(Mac, Ipv6Addr)>,
) {
    const ROUTER: u8 = 0x80;
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;
    let (to, flags) = match asker {
        Some(asker) => (asker, ROUTER | SOLICITED | OVERRIDE),
        None => ((group_mac(ALL_NODES), ALL_NODES), ROUTER | OVERRIDE),
    };
    write(frame, (mac, target), to, [NEIGHBOUR_ADVERTISEMENT, flags], target, OPTION_TARGET);
}

fn write(
    frame: &mut [u8],
    from: (Mac, Ipv6Addr),
    to: (Mac, Ipv6Addr),
    [kind, flags]: [u8; 2],
    target: Ipv6Addr,
    option: u8,
) {
    let Some(out) = frame.first_chunk_mut::<FRAME_LEN>() else { return };
    const LEN: usize = MESSAGE_LEN + 8;
    out[..6].copy_from_slice(&to.0);
    out[6..12].copy_from_slice(&from.0);
    out[12..14].copy_from_slice(&TYPE_IPV6.to_be_bytes());
    out[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, LEN as u8, ICMP6, HOPS]);
    out[22..38].copy_from_slice(&from.1.octets());
    out[38..54].copy_from_slice(&to.1.octets());
    out[54..62].copy_from_slice(&[kind, 0, 0, 0, flags, 0, 0, 0]);
    out[62..78].copy_from_slice(&target.octets());
    out[78..80].copy_from_slice(&[option, 1]);
    out[80..86].copy_from_slice(&from.0);
    let sum = pseudo_header(IpAddr::V6(from.1), IpAddr::V6(to.1), LEN, ICMP6).bytes(&out[54..]).finish();
    out[56..58].copy_from_slice(&sum.to_be_bytes());
}
