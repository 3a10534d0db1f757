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
//! Where several paths lead to a network, `crate::balance` chooses one at departure; VLAN tags and tunnels that paths have
//! are taken off before a frame is parsed (`Router::unwrap`).
//!
//! Left out, on purpose or for now: other VLAN tags (`not_for_us`), redirects (a hairpin is forwarded, unpaced), router
//! advertisements, multicast routing and listener reports, duplicate address detection, reverse-path filters.
//!
//! With several workers, each packet is its owner's (`Parsed::owner`), whether it is routed, answered, or refused; only ARP,
//! which has none, stays with the worker that received it. What one learns of neighbours all learn: see `fellows`.

mod address;
mod answer;
mod arp;
mod bucket;
mod config;
mod fellows;
mod fib;
mod fragment;
mod icmp;
mod interface;
mod mss;
mod ndp;
mod neighbour;
pub(crate) mod packet;
mod paths;
mod prefix;
mod resolve;

pub use config::{ADDRESSES_MAX, MTU_MIN, ROUTES_MAX, RouteConfig, RouteSide, StaticRoute};
pub use prefix::Prefix;

pub(crate) use fellows::Fellows;
pub(crate) use neighbour::Hop;

use crate::balance::{self, Balance, Parcel};
use crate::counters::WorkerStats;
use crate::io::{Frame, Side};
use crate::time::Ns;
use crate::verdict::Verdict;
use crate::wire::{Flags, Parsed};
use address::Number;
use arp::Arp;
use bucket::Bucket;
use core::net::IpAddr;
use fib::{Fib, NextHop};
use icmp::Trouble;
use interface::{Interface, Kind, Kinds, Mac};
use neighbour::{Leave, Neighbours, State, Waiting};
use packet::{ETHERNET_LEN, Packet, TYPE_ARP, TYPE_IPV4, TYPE_IPV6, TYPE_SERVICE_VLAN, TYPE_VLAN};

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
    kinds: Kinds,
    fib: Fib,
    neighbours: [Neighbours<F>; 2],
    /// The other workers' routers.
    fellows: Fellows,
    errors: Bucket,
    /// The lesser of both sides' MTUs: what a connection's segments must fit in either direction.
    mtu_min: u16,
    /// The same for what leaves by paths.
    mtu_by_paths: u16,
    /// Networks outside that are VLANs, and their tags.
    vlans: Box<[(Prefix, u16)]>,
    /// Away while it uses the rest of the router.
    balance: Option<Box<Balance<F>>>,
}

impl<F: Frame> Router<F> {
    /// Everything is allocated here. `flows` is how many flows may be balanced, and after which silence one is forgotten.
    pub(crate) fn new(config: &RouteConfig, seed: u64, flows: (u32, Ns), now: Ns) -> Router<F> {
        let balance = config.balance.as_ref();
        Router {
            interfaces: Interface::both(config),
            kinds: Kinds::new(config),
            fib: Fib::new(config),
            neighbours: Side::ALL.map(|_| Neighbours::new(seed, now)),
            fellows: Fellows::none(),
            errors: Bucket::new(config.icmp_errors_per_sec),
            mtu_min: config.sides[0].mtu.min(config.sides[1].mtu),
            mtu_by_paths: balance.map_or(u16::MAX, |balance| balance.mtu()),
            vlans: balance.map(|balance| balance.vlans.clone().into_boxed_slice()).unwrap_or_default(),
            balance: balance.map(|balance| Box::new(Balance::new(balance, flows, seed, now))),
        }
    }

    /// The same router as that of other workers, all of one configuration and seed: they share what they learn, and one
    /// rate of ICMP errors.
    pub(crate) fn join(&mut self, mut fellows: Fellows) {
        self.errors.share(fellows.errors());
        if let (Some(balance), Some(counts)) = (&mut self.balance, fellows.take_counts()) {
            balance.join(counts);
        }
        self.neighbours.iter_mut().for_each(|side| side.lag_behind(fellows.lag()));
        self.fellows = fellows;
    }

    /// Shows the other workers what they were told in this turn, before it sends.
    #[inline]
    pub(crate) fn flush(&mut self) {
        self.fellows.flush();
    }

    /// Frames that wait for a neighbour.
    pub(crate) fn waiting(&self) -> usize {
        self.neighbours.iter().map(Neighbours::waiting).sum()
    }

    /// When a neighbour is to be asked, or given up, next.
    pub(crate) fn next_due(&self) -> Option<Ns> {
        let balance = self.balance.as_ref().and_then(|balance| balance.next_due());
        self.neighbours.iter().filter_map(Neighbours::next_due).chain(balance).min()
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
        if let Some(balance) = &self.balance {
            balance.show(stats);
        }
    }

    /// A frame has arrived on `side`. Returns it when it may be forwarded, one hop poorer, and its way; brings it to
    /// its end otherwise.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        side: Side,
        mut frame: F,
        (parsed, hash): (&Parsed, u64),
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<(F, Way)> {
        match self.judge(side, &mut frame, parsed, now, outlet) {
            Ok(way) => Some((frame, way)),
            Err(end) => {
                self.end(side, (frame, hash), end, now, outlet);
                None
            }
        }
    }

    /// Brings a frame that is not forwarded to its end.
    #[inline(never)]
    fn end(
        &mut self,
        side: Side,
        (frame, hash): (F, u64),
        end: End,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        match end {
            End::Of(verdict) => outlet.end(frame, verdict),
            End::Trouble(packet, trouble, verdict) => {
                self.tell(side, frame.bytes(), &packet, trouble, now, outlet);
                outlet.end(frame, verdict);
            }
            End::Cut(packet, next) => self.cut(side, frame, hash, (&packet, next), now, outlet),
            End::Arp(arp) => self.answer_arp(side, frame, &arp, outlet),
            End::Echo(packet) => self.answer_echo(side, frame, &packet, now, outlet),
        }
    }

    #[inline]
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
        match ether_type {
            TYPE_IPV4 => {
                let packet = Packet::v4(bytes, wire_len).ok_or(Verdict::BadHeader)?;
                self.judge_packet(side, frame, (&packet, parsed), now, outlet)
            }
            TYPE_IPV6 => {
                let packet = Packet::v6(bytes, wire_len).ok_or(Verdict::BadHeader)?;
                self.judge_packet(side, frame, (&packet, parsed), now, outlet)
            }
            TYPE_ARP => Err(self.hear_arp(side, bytes, now, outlet)),
            TYPE_VLAN | TYPE_SERVICE_VLAN => Err(Verdict::NotForUs.into()),
            _ => Err(Verdict::NotIp.into()),
        }
    }

    #[inline]
    fn judge_packet<A: Number>(
        &mut self,
        side: Side,
        frame: &mut F,
        (packet, parsed): (&Packet<A>, &Parsed),
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Result<Way, End> {
        let (bytes, wire_len) = (frame.bytes(), frame.wire_len());
        let source = packet.source.kind(&self.kinds, side);
        let destination = packet.destination.kind(&self.kinds, side);
        // Discovery first: its sources may be link-local, and one who tests an address has none yet.
        if packet.may_be_discovery(bytes)
            && let Some(end) = self.hear_discovery(side, bytes, &packet.in_full(), source, now, outlet)
        {
            return Err(end);
        }
        if matches!(source, Kind::Own | Kind::Group | Kind::Impossible) || destination == Kind::Impossible {
            return Err(Verdict::Martian.into());
        }
        if packet.to_group || matches!(destination, Kind::Group | Kind::LinkLocal) {
            return Err(Verdict::NotForUs.into());
        }
        if destination == Kind::Own {
            return Err(self.serve(bytes, &packet.in_full()));
        }
        if source == Kind::LinkLocal {
            return Err(Verdict::Martian.into());
        }
        let Some(next) = self.fib.find(packet.destination) else {
            return Err(End::Trouble(packet.in_full(), Trouble::NoRoute, Verdict::NoRoute));
        };
        if packet.hops <= 1 {
            return Err(End::Trouble(packet.in_full(), Trouble::TimeExceeded, Verdict::TtlExpired));
        }
        let mtu = self.mtu(next.out, next.by_paths);
        if packet.len > u32::from(mtu) {
            return Err(match packet.may_be_cut(bytes) {
                true => End::Cut(packet.in_full(), next.in_full()),
                false => End::Trouble(packet.in_full(), Trouble::TooBig { mtu }, Verdict::TooBig),
            });
        }
        // The packet fits and what follows it does not: no padding is that long, and no sender to be told of it.
        if wire_len > ETHERNET_LEN as u32 + u32::from(mtu) {
            return Err(Verdict::TooBig.into());
        }
        let hop = self.find_or_ask(next, now, outlet).ok_or(Verdict::NeighbourUnresolved)?;
        packet.take_hop(frame.bytes_mut());
        if let Parsed::Tcp(tcp) = parsed
            && tcp.segment.flags.has(Flags::SYN)
            && mss::clamp(frame.bytes_mut(), tcp, self.mtu_of_connection(packet.source, next.by_paths))
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
        hash: u64,
        (packet, next): (&Packet, NextHop),
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let mtu = self.mtu(next.out, next.by_paths);
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
            if next.by_paths {
                self.queue(made, Verdict::Originated, Parcel { hash, ..Parcel::default() }, outlet);
            } else {
                self.depart(Way { out: next.out, hop }, made, Verdict::Originated, now, outlet);
            }
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
        let Way { mut out, mut hop } = way;
        if hop == Hop::PATHS {
            // What Weir itself says to somebody behind them, or what the shaper lets go.
            let parsed = crate::wire::parse(frame.bytes(), frame.wire_len());
            let hash = self.balance.as_ref().map_or(0, |balance| balance.hash_of(&parsed));
            let begins = matches!(&parsed, Parsed::Tcp(tcp) if tcp.segment.flags.has(Flags::SYN));
            return self.queue(frame, verdict, Parcel { hash, begins, ..Parcel::default() }, outlet);
        }
        let mut left = self.neighbours[out as usize].leave(hop, frame, verdict, now);
        // The neighbour was forgotten while the frame was held: its way is looked up again.
        if let Leave::Void(frame) = left {
            let Some(way) = self.way_of(&frame, now, outlet) else {
                return outlet.end(frame, Verdict::NeighbourUnresolved);
            };
            (out, hop) = (way.out, way.hop);
            left = self.neighbours[out as usize].leave(way.hop, frame, verdict, now);
        }
        match left {
            Leave::To(mac, frame) => self.send(out, (mac, hop), frame, verdict, outlet),
            Leave::Waits(None) => {}
            Leave::Waits(Some(Waiting { frame, .. })) | Leave::Void(frame) => {
                outlet.end(frame, Verdict::NeighbourUnresolved);
            }
        }
    }

    fn way_of(&mut self, frame: &F, now: Ns, outlet: &mut impl Outlet<Frame = F>) -> Option<Way> {
        let packet = Packet::read(frame.bytes(), frame.wire_len())?;
        let next = self.fib.find_any(packet.destination)?;
        Some(Way { out: next.out, hop: self.find_or_ask(next, now, outlet)? })
    }

    fn send(
        &self,
        out: Side,
        (to, hop): (Mac, Hop),
        mut frame: F,
        verdict: Verdict,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        if let Some(header) = frame.bytes_mut().first_chunk_mut::<ETHERNET_LEN>() {
            header[..6].copy_from_slice(&to);
            header[6..12].copy_from_slice(&self.interfaces[out as usize].mac);
        }
        if !self.vlans.is_empty()
            && let Some(neighbour) = self.neighbours[out as usize].address(hop)
        {
            return self.send_tagged(out, frame, neighbour, verdict, outlet);
        }
        outlet.send(out, frame, verdict);
    }

    /// Sends a frame, Ethernet addresses and all, with the tag of the VLAN that `address`, a neighbour's or an own one, is in.
    fn send_tagged(
        &self,
        out: Side,
        mut frame: F,
        address: IpAddr,
        verdict: Verdict,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let vlan = self.vlans.iter().find(|(prefix, _)| out == Side::Outside && prefix.contains(address));
        match vlan {
            Some((_, vlan)) if !balance::encap::tag(&mut frame, *vlan) => {
                outlet.end(frame, Verdict::NoHeadroom)
            }
            _ => outlet.send(out, frame, verdict),
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
