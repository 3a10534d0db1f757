//! What Weir itself says to those who speak to it, or whose packets do not arrive.

use super::fib::NextHop;
use super::icmp::{self, Trouble};
use super::interface;
use super::packet::{ICMP, ICMP6, NO_NEXT_HEADER, Packet, Part, TCP, UDP};
use super::{End, Hop, Outlet, Router, Way};
use crate::io::{Frame, Side};
use crate::time::Ns;
use crate::verdict::Verdict;
use core::net::IpAddr;

impl<F: Frame> Router<F> {
    /// A packet to one of our own addresses. Weir answers echo requests; nothing else is served here.
    #[cold]
    pub(super) fn serve(&self, bytes: &[u8], packet: &Packet) -> End {
        let Some(upper) = packet.upper(bytes) else { return Verdict::BadHeader.into() };
        let icmp = upper.protocol == if packet.is_v4() { ICMP } else { ICMP6 };
        if icmp && upper.part == Part::Whole {
            return match (packet.icmp_holds(bytes, &upper), icmp::is_echo_request(bytes, packet, &upper)) {
                (false, _) => Verdict::BadHeader.into(),
                (true, true) => End::Echo(*packet),
                (true, false) => Verdict::Consumed.into(),
            };
        }
        let trouble = match upper.protocol {
            // Nothing is put together here; a later fragment is never answered in any case.
            _ if icmp => return Verdict::Consumed.into(),
            NO_NEXT_HEADER if !packet.is_v4() => return Verdict::Consumed.into(),
            TCP | UDP => Trouble::PortUnreachable,
            _ => Trouble::ProtocolUnreachable { named_at: upper.named_at },
        };
        End::Trouble(*packet, trouble, Verdict::Consumed)
    }

    #[cold]
    pub(super) fn answer_echo(
        &mut self,
        side: Side,
        mut frame: F,
        packet: &Packet,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let way = self.way_back(side, packet.source, now, outlet);
        let fits = |way: &Way| packet.len <= u32::from(self.mtu(way.out, way.hop == Hop::PATHS));
        let (Some(way), Some(upper)) = (way.filter(fits), packet.upper(frame.bytes())) else {
            return outlet.end(frame, Verdict::Consumed);
        };
        icmp::turn_echo(frame.bytes_mut(), packet, &upper);
        outlet.turn_round();
        outlet.stats().originated_echo_replies += 1;
        self.depart(way, frame, Verdict::Originated, now, outlet);
    }

    /// The way to one whose packet came in on `side`. A link-local address is a neighbour there.
    fn way_back(
        &mut self,
        side: Side,
        to: IpAddr,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<Way> {
        let next = match interface::is_link_local(to) {
            true => NextHop { out: side, neighbour: to, by_paths: false },
            false => self.fib.find_any(to)?,
        };
        Some(Way { out: next.out, hop: self.find_or_ask(next, now, outlet)? })
    }

    /// Tells the sender of a packet why it does not arrive, if that may be told and the rate allows it. The error bears
    /// an own address of the side by which it leaves (RFC 1812 section 4.3.2.4), else one of the other's.
    #[cold]
    pub(super) fn tell(
        &mut self,
        side: Side,
        bytes: &[u8],
        packet: &Packet,
        trouble: Trouble,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        if !icmp::may_answer(bytes, packet) {
            outlet.stats().icmp_errors_barred += 1;
            return;
        }
        if !self.errors.take(now) {
            outlet.stats().icmp_errors_over_rate += 1;
            return;
        }
        let Some(way) = self.way_back(side, packet.source, now, outlet) else {
            outlet.stats().icmp_errors_no_way += 1;
            return;
        };
        let from = |side: Side| self.interfaces[side as usize].source_towards(packet.source);
        let Some(own) = from(way.out).or_else(|| from(way.out.other())) else {
            outlet.stats().icmp_errors_no_way += 1;
            return;
        };
        let Some(mut frame) = outlet.make(way.out, icmp::error_len(bytes, packet)) else { return };
        icmp::write_error(frame.bytes_mut(), own, packet, bytes, trouble);
        outlet.stats().originated_icmp_errors += 1;
        self.depart(way, frame, Verdict::Originated, now, outlet);
    }
}
