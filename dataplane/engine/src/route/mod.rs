//! Mode `route`: a router between the two sides.
//!
//! ```text
//! frame -> for us? -> ARP, discovery, echo: taken up, answered            (consumed)
//!            |
//!            v
//!          header sound, source possible, route known, hops left, fits -> one hop less, MSS clamp
//!            |
//!            v                                        (tracking and pacing, as in mode `wire`)
//!          departure: neighbour known -> Ethernet addresses -> port
//!                       |  not yet
//!                       v
//!                     asked for; a few frames wait; answered -> port, or else host unreachable
//! ```
//!
//! A frame that pacing holds keeps a `Hop`, not an Ethernet address: the neighbour may move meanwhile.
//!
//! Left out, on purpose or for now: VLAN tags (`not_for_us`), redirects (a hairpin is forwarded, unpaced), router
//! advertisements, multicast routing and listener reports, duplicate address detection, reverse-path filters, and
//! tunnels, which are to be decapsulated before `Router::admit` once there are any.
//!
//! One worker: the table of neighbours is its own. With several, each asks for itself, and the frames of ARP and
//! discovery, of which there are few, are to be copied to all workers, since an answer arrives at any of their queues.

mod arp;
mod bucket;
mod config;
mod fib;
mod fragment;
mod icmp;
mod interface;
mod mss;
mod ndp;
mod neighbour;
mod packet;
mod prefix;

pub use config::{ADDRESSES_MAX, MTU_MIN, ROUTES_MAX, RouteConfig, RouteSide, StaticRoute};
pub use prefix::Prefix;

pub(crate) use neighbour::Hop;

use crate::counters::WorkerStats;
use crate::io::{Frame, Side};
use crate::time::Ns;
use crate::verdict::Verdict;
use crate::wire::Parsed;
use arp::{Arp, Operation};
use bucket::Bucket;
use core::net::IpAddr;
use fib::{Fib, NextHop};
use icmp::Trouble;
use interface::{Interface, Kind, Mac, kind};
use ndp::Discovery;
use neighbour::{Due, Found, Heard, Leave, Neighbours, Queue, State, Waiting};
use packet::{ETHERNET_LEN, Packet, Part, TCP, TYPE_ARP, TYPE_IPV4, TYPE_IPV6, UDP};
use packet::{ICMP, ICMP6, NO_NEXT_HEADER, TYPE_SERVICE_VLAN, TYPE_VLAN};

/// Timers handled per turn at most: more neighbours than can be asked for at once.
const TIMERS_PER_TURN: usize = 64;

/// Where frames end and come from, as a router sees it: the worker's books, backlogs and buffers.
pub(crate) trait Outlet {
    type Frame: Frame;

    /// A frame of `len` zero bytes, counted as originated; `None`, and counted, when there is no buffer.
    fn make(&mut self, side: Side, len: usize) -> Option<Self::Frame>;
    /// Sends a frame, Ethernet addresses and all, out of `side`.
    fn send(&mut self, side: Side, frame: Self::Frame, verdict: Verdict);
    /// Ends a frame here.
    fn end(&mut self, frame: Self::Frame, verdict: Verdict);
    /// Ends a received frame as consumed whose buffer begins a new life as a frame of Weir's own.
    fn turn_round(&mut self);
    /// What else is counted.
    fn stats(&mut self) -> &mut WorkerStats;
}

/// The way of a frame that may be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The side by which it leaves.
    pub(crate) out: Side,
    /// The neighbour there.
    pub(crate) hop: Hop,
}

/// A router's tables.
pub(crate) struct Router<F> {
    interfaces: [Interface; 2],
    fib: Fib,
    neighbours: [Neighbours<F>; 2],
    errors: Bucket,
    /// The lesser of both sides' MTUs: what a connection's segments must fit in either direction.
    mtu_min: u16,
}

impl<F: Frame> Router<F> {
    /// Everything is allocated here.
    pub(crate) fn new(config: &RouteConfig, seed: u64, now: Ns) -> Router<F> {
        Router {
            interfaces: Interface::both(config),
            fib: Fib::new(config),
            neighbours: Side::ALL.map(|_| Neighbours::new(seed, now)),
            errors: Bucket::new(config.icmp_errors_per_sec),
            mtu_min: config.sides[0].mtu.min(config.sides[1].mtu),
        }
    }

    /// Frames that wait for a neighbour.
    pub(crate) fn waiting(&self) -> usize {
        self.neighbours.iter().map(Neighbours::waiting).sum()
    }

    /// When a neighbour is to be asked, or given up, next.
    pub(crate) fn next_due(&self) -> Option<Ns> {
        self.neighbours.iter().filter_map(Neighbours::next_due).min()
    }

    /// Shows the present state of the tables.
    pub(crate) fn show(&self, stats: &mut WorkerStats) {
        let count = |state| self.neighbours.iter().map(|side| side.in_state(state)).sum();
        stats.neighbours_incomplete = count(State::Incomplete);
        stats.neighbours_reachable = count(State::Reachable);
        stats.neighbours_stale = count(State::Stale);
        stats.neighbours_delay = count(State::Delay);
        stats.neighbours_probe = count(State::Probe);
        stats.neighbour_frames = self.waiting() as u64;
    }

    /// A frame has arrived on `side`. Returns it when it may be forwarded, one hop poorer, and its way; brings it to
    /// its end otherwise.
    pub(crate) fn admit(
        &mut self,
        side: Side,
        mut frame: F,
        parsed: &Parsed,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<(F, Way)> {
        match self.judge(side, &mut frame, parsed, now, outlet) {
            Ok(way) => return Some((frame, way)),
            Err(End::Of(verdict)) => outlet.end(frame, verdict),
            Err(End::Trouble(packet, trouble, verdict)) => {
                self.tell(side, frame.bytes(), &packet, trouble, now, outlet);
                outlet.end(frame, verdict);
            }
            Err(End::Cut(packet, next)) => self.cut(side, frame, &packet, next, now, outlet),
            Err(End::Arp(arp)) => self.answer_arp(side, frame, &arp, outlet),
            Err(End::Echo(packet)) => self.answer_echo(side, frame, &packet, now, outlet),
        }
        None
    }

    fn judge(
        &mut self,
        side: Side,
        frame: &mut F,
        parsed: &Parsed,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Result<Way, End> {
        let (bytes, wire_len) = (frame.bytes(), frame.wire_len());
        let ether_type = packet::ether_type(bytes).ok_or(Verdict::BadHeader)?;
        if !packet::is_group(bytes) && !bytes.starts_with(&self.interfaces[side as usize].mac) {
            return Err(Verdict::NotForUs.into());
        }
        let packet = match ether_type {
            TYPE_IPV4 => Packet::v4(bytes, wire_len).ok_or(Verdict::BadHeader)?,
            TYPE_IPV6 => Packet::v6(bytes, wire_len).ok_or(Verdict::BadHeader)?,
            TYPE_ARP => return Err(self.hear_arp(side, bytes, now, outlet)),
            TYPE_VLAN | TYPE_SERVICE_VLAN => return Err(Verdict::NotForUs.into()),
            _ => return Err(Verdict::NotIp.into()),
        };
        let source = kind(&self.interfaces, side, packet.source);
        let destination = kind(&self.interfaces, side, packet.destination);
        // Discovery first: its sources may be link-local, and one who tests an address has none yet.
        if let Some(end) = self.hear_discovery(side, bytes, &packet, source, now, outlet) {
            return Err(end);
        }
        if matches!(source, Kind::Own | Kind::Group | Kind::Impossible) || destination == Kind::Impossible {
            return Err(Verdict::Martian.into());
        }
        if packet.to_group || matches!(destination, Kind::Group | Kind::LinkLocal) {
            return Err(Verdict::NotForUs.into());
        }
        if destination == Kind::Own {
            return Err(self.serve(bytes, &packet));
        }
        if source == Kind::LinkLocal {
            return Err(Verdict::Martian.into());
        }
        let Some(next) = self.fib.find(packet.destination) else {
            return Err(End::Trouble(packet, Trouble::NoRoute, Verdict::NoRoute));
        };
        if packet.hops <= 1 {
            return Err(End::Trouble(packet, Trouble::TimeExceeded, Verdict::TtlExpired));
        }
        let mtu = self.interfaces[next.out as usize].mtu;
        if packet.len > u32::from(mtu) {
            return Err(match packet.may_be_cut(bytes) {
                true => End::Cut(packet, next),
                false => End::Trouble(packet, Trouble::TooBig { mtu }, Verdict::TooBig),
            });
        }
        // The packet fits and what follows it does not: no padding is that long, and no sender to be told of it.
        if wire_len > ETHERNET_LEN as u32 + u32::from(mtu) {
            return Err(Verdict::TooBig.into());
        }
        let hop = self.find_or_ask(next, now, outlet).ok_or(Verdict::NeighbourUnresolved)?;
        packet.take_hop(frame.bytes_mut());
        if let Parsed::Tcp(tcp) = parsed
            && mss::clamp(frame.bytes_mut(), tcp, self.mtu_min)
        {
            outlet.stats().mss_clamped += 1;
        }
        Ok(Way { out: next.out, hop })
    }

    /// Sends a packet on in parts that fit. They are frames of Weir's own, and neither tracked nor paced: no fragment is.
    fn cut(
        &mut self,
        side: Side,
        mut frame: F,
        packet: &Packet,
        next: NextHop,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let mtu = self.interfaces[next.out as usize].mtu;
        let Some(parts) = fragment::parts(frame.bytes(), packet, mtu) else {
            self.tell(side, frame.bytes(), packet, Trouble::TooBig { mtu }, now, outlet);
            return outlet.end(frame, Verdict::TooBig);
        };
        let Some(hop) = self.find_or_ask(next, now, outlet) else {
            return outlet.end(frame, Verdict::NeighbourUnresolved);
        };
        packet.take_hop(frame.bytes_mut());
        for part in parts {
            // The rest is of no use without it.
            let Some(mut made) = outlet.make(next.out, part.frame_len(packet)) else { break };
            part.write(made.bytes_mut(), frame.bytes(), packet);
            outlet.stats().originated_fragments += 1;
            self.depart(Way { out: next.out, hop }, made, Verdict::Originated, now, outlet);
        }
        outlet.end(frame, Verdict::Fragmented);
    }

    /// A frame leaves towards `way` now, or waits until its neighbour is known. It ends in `verdict` when it has left.
    pub(crate) fn depart(
        &mut self,
        way: Way,
        frame: F,
        verdict: Verdict,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let Way { mut out, hop } = way;
        let mut left = self.neighbours[out as usize].leave(hop, frame, verdict, now);
        // The neighbour was forgotten while the frame was held: its way is looked up again.
        if let Leave::Void(frame) = left {
            let Some(way) = self.way_of(&frame, now, outlet) else {
                return outlet.end(frame, Verdict::NeighbourUnresolved);
            };
            out = way.out;
            left = self.neighbours[out as usize].leave(way.hop, frame, verdict, now);
        }
        match left {
            Leave::To(mac, frame) => self.send(out, mac, frame, verdict, outlet),
            Leave::Waits(None) => {}
            Leave::Waits(Some(Waiting { frame, .. })) | Leave::Void(frame) => {
                outlet.end(frame, Verdict::NeighbourUnresolved);
            }
        }
    }

    fn way_of(&mut self, frame: &F, now: Ns, outlet: &mut impl Outlet<Frame = F>) -> Option<Way> {
        let packet = Packet::read(frame.bytes(), frame.wire_len())?;
        let next = self.fib.find(packet.destination)?;
        Some(Way { out: next.out, hop: self.find_or_ask(next, now, outlet)? })
    }

    fn send(&self, out: Side, to: Mac, mut frame: F, verdict: Verdict, outlet: &mut impl Outlet<Frame = F>) {
        if let Some(header) = frame.bytes_mut().first_chunk_mut::<ETHERNET_LEN>() {
            header[..6].copy_from_slice(&to);
            header[6..12].copy_from_slice(&self.interfaces[out as usize].mac);
        }
        outlet.send(out, frame, verdict);
    }

    /// What time has brought by `now`: neighbours to be asked again, or given up.
    pub(crate) fn tick(&mut self, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        for side in Side::ALL {
            for _ in 0..TIMERS_PER_TURN {
                match self.neighbours[side as usize].next_due_by(now) {
                    None => break,
                    Some(Due::AskAll(target)) => self.ask(side, target, None, outlet),
                    Some(Due::AskOne(target, mac)) => self.ask(side, target, Some(mac), outlet),
                    Some(Due::Failed(waited)) => self.give_up(side, waited, now, outlet),
                }
            }
        }
    }

    /// Weir stops, and hears no more answers: what waits for one is dropped.
    pub(crate) fn abandon(&mut self, outlet: &mut impl Outlet<Frame = F>) {
        for neighbours in &mut self.neighbours {
            while let Some(waited) = neighbours.abandon() {
                for waiting in waited {
                    outlet.end(waiting.frame, Verdict::NeighbourUnresolved);
                }
            }
        }
    }

    /// RFC 4861 section 7.2.2: what waited is dropped, its senders are told.
    fn give_up(&mut self, side: Side, waited: Queue<F>, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        outlet.stats().neighbours_failed += 1;
        for waiting in waited {
            // What Weir itself made has no sender to tell.
            if waiting.verdict != Verdict::Originated
                && let Some(packet) = Packet::read(waiting.frame.bytes(), waiting.frame.wire_len())
            {
                // Where it came in is forgotten; the sides' addresses serve alike.
                let bytes = waiting.frame.bytes();
                self.tell(side.other(), bytes, &packet, Trouble::HostUnreachable, now, outlet);
            }
            outlet.end(waiting.frame, Verdict::NeighbourUnresolved);
        }
    }

    fn find_or_ask(&mut self, next: NextHop, now: Ns, outlet: &mut impl Outlet<Frame = F>) -> Option<Hop> {
        match self.neighbours[next.out as usize].find_or_ask(next.neighbour, now) {
            Found::Known(hop) => Some(hop),
            Found::New(hop) => {
                self.ask(next.out, next.neighbour, None, outlet);
                Some(hop)
            }
            Found::Full => {
                outlet.stats().neighbours_refused += 1;
                None
            }
        }
    }

    /// Asks who `target` is: everyone, or the station that it last was.
    fn ask(&self, side: Side, target: IpAddr, to: Option<Mac>, outlet: &mut impl Outlet<Frame = F>) {
        let interface = &self.interfaces[side as usize];
        let mac = interface.mac;
        match (target, interface.source_towards(target)) {
            (IpAddr::V4(target), Some(IpAddr::V4(own))) => {
                let Some(mut frame) = outlet.make(side, arp::FRAME_LEN) else { return };
                arp::write_request(frame.bytes_mut(), mac, own, target, to);
                outlet.stats().originated_arp_requests += 1;
                outlet.send(side, frame, Verdict::Originated);
            }
            (IpAddr::V6(target), _) => {
                let Some(mut frame) = outlet.make(side, ndp::FRAME_LEN) else { return };
                let own = interface.solicit_from(target);
                ndp::write_solicitation(frame.bytes_mut(), mac, own, target, to);
                outlet.stats().originated_solicitations += 1;
                outlet.send(side, frame, Verdict::Originated);
            }
            // No route leads to an IPv4 neighbour on a side without an IPv4 address.
            _ => {}
        }
    }

    /// RFC 826, "packet reception".
    fn hear_arp(&mut self, side: Side, bytes: &[u8], now: Ns, outlet: &mut impl Outlet<Frame = F>) -> End {
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
            if kind(&self.interfaces, side, sender) != Kind::Unicast || !interface.on_link(sender) {
                return Verdict::Martian.into();
            }
            let heard = Heard {
                mac: Some(arp.sender_mac),
                solicited: arp.operation == Operation::Reply && ours && !packet::is_group(bytes),
                overrides: true,
                creates: ours,
            };
            self.hear(side, sender, heard, now, outlet);
        }
        match arp.operation {
            _ if !ours => Verdict::NotForUs.into(),
            Operation::Request => End::Arp(arp),
            Operation::Reply => Verdict::Consumed.into(),
        }
    }

    fn answer_arp(&self, side: Side, mut frame: F, request: &Arp, outlet: &mut impl Outlet<Frame = F>) {
        arp::write_reply(frame.bytes_mut(), self.interfaces[side as usize].mac, request);
        outlet.turn_round();
        outlet.stats().originated_arp_replies += 1;
        outlet.send(side, frame, Verdict::Originated);
    }

    /// `None` for what is no neighbour discovery.
    fn hear_discovery(
        &mut self,
        side: Side,
        bytes: &[u8],
        packet: &Packet,
        source: Kind,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<End> {
        // Cheap tests first: this is asked of every packet.
        if packet.is_v4() || packet.hops != u8::MAX || bytes.get(ETHERNET_LEN + 6) != Some(&ICMP6) {
            return None;
        }
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
                let heard = Heard { mac, solicited, overrides, creates: false };
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
                let heard = Heard { mac, solicited: false, overrides: true, creates: true };
                self.hear(side, IpAddr::V6(source), heard, now, outlet);
                let from = bytes.get(6..12).and_then(|from| from.first_chunk().copied());
                let Some(mac) = mac.or(from) else { return Verdict::BadHeader };
                Some((mac, source))
            }
        };
        if let Some(mut answer) = outlet.make(side, ndp::FRAME_LEN) {
            ndp::write_advertisement(answer.bytes_mut(), own_mac, target, asker);
            outlet.stats().originated_advertisements += 1;
            outlet.send(side, answer, Verdict::Originated);
        }
        Verdict::Consumed
    }

    /// Something was heard of a neighbour: what waited for it leaves. Returns whether it was news of one that is known.
    fn hear(
        &mut self,
        side: Side,
        address: IpAddr,
        heard: Heard,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> bool {
        let Some((hop, waited)) = self.neighbours[side as usize].hear(address, heard, now) else {
            return false;
        };
        for waiting in waited {
            self.depart(Way { out: side, hop }, waiting.frame, waiting.verdict, now, outlet);
        }
        true
    }

    /// A packet to one of our own addresses. Weir answers echo requests; nothing else is served here.
    fn serve(&self, bytes: &[u8], packet: &Packet) -> End {
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

    fn answer_echo(
        &mut self,
        side: Side,
        mut frame: F,
        packet: &Packet,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let way = self.way_back(side, packet.source, now, outlet);
        let fits = |way: &Way| packet.len <= u32::from(self.interfaces[way.out as usize].mtu);
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
            true => NextHop { out: side, neighbour: to },
            false => self.fib.find(to)?,
        };
        Some(Way { out: next.out, hop: self.find_or_ask(next, now, outlet)? })
    }

    /// Tells the sender of a packet why it does not arrive, if that may be told and the rate allows it. The error bears
    /// an own address of the side by which it leaves (RFC 1812 section 4.3.2.4), else one of the other's.
    fn tell(
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

/// How a frame that is not forwarded ends.
enum End {
    Of(Verdict),
    /// Its sender is told.
    Trouble(Packet, Trouble, Verdict),
    /// It goes on in parts.
    Cut(Packet, NextHop),
    /// Its frame becomes the answer.
    Arp(Arp),
    Echo(Packet),
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> End {
        End::Of(verdict)
    }
}
