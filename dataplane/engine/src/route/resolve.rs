//! Finding neighbours out: what is asked and heard by ARP and discovery, and what time and other workers bring.

use super::address::Address;
use super::arp::{self, Arp, Operation};
use super::fellows::{News, What};
use super::fib::NextHop;
use super::icmp::Trouble;
use super::interface::{Kind, Mac};
use super::ndp::{self, Discovery};
use super::neighbour::{Due, Heard, Hop, Queue, State};
use super::packet::{self, Packet};
use super::{End, Outlet, Router, Way};
use crate::io::{Frame, Side};
use crate::time::Ns;
use crate::verdict::Verdict;
use core::net::IpAddr;

/// Timers handled per turn at most: more neighbours than can be asked for at once.
const TIMERS_PER_TURN: usize = 64;

impl<F: Frame> Router<F> {
    /// What other workers and time have brought by `now`: news, and neighbours to be asked again or given up.
    pub(crate) fn tick(&mut self, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        if self.fellows.have_news() {
            self.take_news(now, outlet);
        }
        for side in Side::ALL {
            for _ in 0..TIMERS_PER_TURN {
                match self.neighbours[side as usize].next_due_by(now) {
                    None => break,
                    Some(Due::AskAll(target)) => self.ask(side, target, None, outlet),
                    Some(Due::AskOne(target, mac)) => self.ask(side, target, Some(mac), outlet),
                    Some(Due::Failed { waited, asked_here }) => {
                        // Of all workers that give up, one counts.
                        outlet.stats().neighbours_failed += u64::from(asked_here);
                        self.give_up(side, waited, now, outlet);
                    }
                }
            }
        }
        self.probe_paths(now, outlet);
    }

    #[cold]
    fn take_news(&mut self, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        for News { side, address, what } in self.fellows.take(outlet.stats()) {
            match what {
                What::Heard(heard) => _ = self.learn(side, address, heard, now, outlet),
                What::Asked => self.neighbours[side as usize].asked_elsewhere(address, now),
            }
        }
    }

    #[inline(always)]
    pub(super) fn find_or_ask<A: Address>(
        &mut self,
        next: NextHop<A>,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<Hop> {
        if next.by_paths {
            return Some(Hop::PATHS);
        }
        match self.neighbours[next.out as usize].find_hop(next.neighbour) {
            None => self.look_for(next.in_full(), now, outlet),
            known => known,
        }
    }

    #[cold]
    fn look_for(&mut self, next: NextHop, now: Ns, outlet: &mut impl Outlet<Frame = F>) -> Option<Hop> {
        let hop = self.neighbours[next.out as usize].look_for(next.neighbour, true, now);
        match hop {
            Some(_) => self.ask(next.out, next.neighbour, None, outlet),
            None => outlet.stats().neighbours_refused += 1,
        }
        hop
    }

    /// Asks who `target` is: everyone, or the station that it last was.
    fn ask(&mut self, side: Side, target: IpAddr, to: Option<Mac>, outlet: &mut impl Outlet<Frame = F>) {
        let interface = &self.interfaces[side as usize];
        let mac = interface.mac;
        let frame = match (target, interface.source_towards(target)) {
            (IpAddr::V4(target), Some(IpAddr::V4(own))) => {
                let Some(mut frame) = outlet.make(side, arp::FRAME_LEN) else { return };
                arp::write_request(frame.bytes_mut(), mac, own, target, to);
                outlet.stats().originated_arp_requests += 1;
                frame
            }
            (IpAddr::V6(target), _) => {
                let Some(mut frame) = outlet.make(side, ndp::FRAME_LEN) else { return };
                let own = interface.solicit_from(target);
                ndp::write_solicitation(frame.bytes_mut(), mac, own, target, to);
                outlet.stats().originated_solicitations += 1;
                frame
            }
            // No route leads to an IPv4 neighbour on a side without an IPv4 address.
            _ => return,
        };
        self.send_tagged(side, frame, target, Verdict::Originated, outlet);
        self.fellows.tell(News { side, address: target, what: What::Asked }, outlet.stats());
    }

    /// RFC 826, "packet reception".
    #[cold]
    pub(super) fn hear_arp(
        &mut self,
        side: Side,
        bytes: &[u8],
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> End {
        let Some(arp) = Arp::read(bytes) else { return Verdict::BadHeader.into() };
        let (sender, target) = (IpAddr::V4(arp.sender), IpAddr::V4(arp.target));
        let interface = &self.interfaces[side as usize];
        if interface.owns(sender) {
            outlet.stats().address_conflicts += 1;
            return Verdict::Martian.into();
        }
        let ours = interface.owns(target);
        // A sender of zeros tests an address (RFC 5227): it is answered and not remembered.
        if !arp.sender.is_unspecified() {
            if self.kinds.of(side, sender) != Kind::Unicast || !interface.on_link(sender) {
                return Verdict::Martian.into();
            }
            let heard = Heard {
                mac: Some(arp.sender_mac),
                solicited: arp.operation == Operation::Reply && ours && !packet::is_group(bytes),
                overrides: true,
                creates: ours.then_some((State::Stale, arp.sender_mac)),
            };
            self.hear(side, sender, heard, now, outlet);
        }
        match arp.operation {
            _ if !ours => Verdict::NotForUs.into(),
            Operation::Request => End::Arp(arp),
            Operation::Reply => Verdict::Consumed.into(),
        }
    }

    #[cold]
    pub(super) fn answer_arp(
        &self,
        side: Side,
        mut frame: F,
        request: &Arp,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        arp::write_reply(frame.bytes_mut(), self.interfaces[side as usize].mac, request);
        outlet.turn_round();
        outlet.stats().originated_arp_replies += 1;
        self.send_tagged(side, frame, IpAddr::V4(request.target), Verdict::Originated, outlet);
    }

    /// `None` for what is no neighbour discovery.
    #[cold]
    pub(super) fn hear_discovery(
        &mut self,
        side: Side,
        bytes: &[u8],
        packet: &Packet,
        source: Kind,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<End> {
        let upper = packet.upper(bytes)?;
        if !(ndp::ROUTER_SOLICITATION..=ndp::REDIRECT).contains(bytes.get(upper.at)?) {
            return None;
        }
        if !packet.icmp_holds(bytes, &upper) {
            return Some(Verdict::BadHeader.into());
        }
        let Some(discovery) = ndp::read(bytes, packet, &upper) else {
            return Some(Verdict::BadHeader.into());
        };
        Some(match discovery {
            Discovery::OfRouters => Verdict::NotForUs.into(),
            _ if matches!(source, Kind::Own | Kind::Group) => {
                outlet.stats().address_conflicts += u64::from(source == Kind::Own);
                Verdict::Martian.into()
            }
            Discovery::Solicitation { source, target, mac } => {
                self.hear_solicitation(side, bytes, (source, target, mac), now, outlet).into()
            }
            Discovery::Advertisement { target, mac, solicited, overrides } => {
                let interface = &self.interfaces[side as usize];
                let target = IpAddr::V6(target);
                if interface.owns(target) {
                    outlet.stats().address_conflicts += 1;
                    return Some(Verdict::Martian.into());
                }
                let heard = Heard { mac, solicited, overrides, creates: None };
                match self.hear(side, target, heard, now, outlet) {
                    true => Verdict::Consumed.into(),
                    false => Verdict::NotForUs.into(),
                }
            }
        })
    }

    /// RFC 4861 sections 7.2.3 and 7.2.4.
    fn hear_solicitation(
        &mut self,
        side: Side,
        bytes: &[u8],
        (source, target, mac): (Option<core::net::Ipv6Addr>, core::net::Ipv6Addr, Option<Mac>),
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Verdict {
        let interface = &self.interfaces[side as usize];
        if !interface.owns(IpAddr::V6(target)) {
            return Verdict::NotForUs;
        }
        let own_mac = interface.mac;
        let asker = match source {
            None => None,
            Some(source) => {
                if !interface.on_link(IpAddr::V6(source)) {
                    return Verdict::Martian;
                }
                let creates = mac.map(|mac| (State::Stale, mac));
                let heard = Heard { mac, solicited: false, overrides: true, creates };
                self.hear(side, IpAddr::V6(source), heard, now, outlet);
                let from = bytes.get(6..12).and_then(|from| from.first_chunk().copied());
                let Some(mac) = mac.or(from) else { return Verdict::BadHeader };
                Some((mac, source))
            }
        };
        if let Some(mut answer) = outlet.make(side, ndp::FRAME_LEN) {
            ndp::write_advertisement(answer.bytes_mut(), own_mac, target, asker);
            outlet.stats().originated_advertisements += 1;
            self.send_tagged(side, answer, IpAddr::V6(target), Verdict::Originated, outlet);
        }
        Verdict::Consumed
    }

    /// Something was heard of a neighbour, and the other workers are to know. Returns whether it was news of one that is
    /// known.
    fn hear(
        &mut self,
        side: Side,
        address: IpAddr,
        heard: Heard,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> bool {
        let known = self.learn(side, address, heard, now, outlet);
        // Also of one that is not known here: it may be elsewhere.
        let replica = known.and_then(|hop| self.neighbours[side as usize].replica(hop, heard.solicited));
        let what = What::Heard(Heard { creates: replica, ..heard });
        self.fellows.tell(News { side, address, what }, outlet.stats());
        known.is_some()
    }

    /// Something was heard of a neighbour: what waited for it leaves. Its hop, if it is known.
    fn learn(
        &mut self,
        side: Side,
        address: IpAddr,
        heard: Heard,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<Hop> {
        let (hop, waited) = self.neighbours[side as usize].hear(address, heard, now)?;
        for waiting in waited {
            self.depart(Way { out: side, hop }, waiting.frame, waiting.verdict, now, outlet);
        }
        Some(hop)
    }

    /// RFC 4861 section 7.2.2: what waited is dropped, its senders are told.
    fn give_up(&mut self, side: Side, waited: Queue<F>, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        for waiting in waited {
            // What Weir itself made has no sender to tell.
            if waiting.verdict != Verdict::Originated
                && let Some(packet) = Packet::read(waiting.frame.bytes(), waiting.frame.wire_len())
                // A tunnel's header is from Weir itself; that its next hop is away, the path's probes show.
                && !self.interfaces.iter().any(|interface| interface.owns(packet.source))
            {
                // Where it came in is forgotten; the sides' addresses serve alike.
                let bytes = waiting.frame.bytes();
                self.tell(side.other(), bytes, &packet, Trouble::HostUnreachable, now, outlet);
            }
            outlet.end(waiting.frame, Verdict::NeighbourUnresolved);
        }
    }
}
