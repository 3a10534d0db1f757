//! Probes on paths, and the other end's: STAMP (RFC 8762) in the path's own header.
//!
//! A probe is a UDP packet from an own address to the path's other end, wrapped and sent as the path's data are. The other
//! end answers by the path on which the probe came: of a tunnel the one whose header it bore, else the one whose next hop
//! sent it. Only the other ends of paths are answered: a reflector that answers anybody lends itself to attacks.

use super::direct::Counted;
use super::encap::{IpHeader, UDP_LEN};
use super::measure::{Judged, Loss};
use super::path::Health;
use super::stamp::{self, Answer, LEN, MEASURED_LEN, REFLECTED_MAX};
use super::{Balance, PATHS_MAX, Selector, Wrap, encap, label};
use crate::balance::config::Ends;
use crate::io::{Frame, Side};
use crate::route::packet::{ETHERNET_LEN, IPV4_LEN, IPV6_LEN, Packet, Part, TYPE_IPV4, TYPE_IPV6, UDP};
use crate::route::{Outlet, Router};
use crate::time::Ns;
use crate::verdict::Verdict;
use crate::wire::{IpVersion, Parsed, Tuple, Untracked};
use core::net::IpAddr;

/// RFC 8762 section 4.1: so that what is left of it tells how many hops there were.
const HOPS: u8 = 255;
/// Source ports of probes: path *i*'s are 64 from 53 248 + 64 *i* on, of which a worker takes one whose flow is its own.
pub const PORT_FIRST: u16 = 53_248;
/// See [`PORT_FIRST`].
pub const PORTS_PER_PATH: u16 = 64;

impl<F: Frame> Balance<F> {
    /// Takes for each path a source port for whose flow `is_own` says yes.
    pub(crate) fn choose_ports(&mut self, is_own: impl Fn(u64) -> bool) {
        self.ports.clear();
        for (index, path) in self.paths.iter().enumerate() {
            let first = PORT_FIRST + PORTS_PER_PATH * index as u16;
            let Some((to, from)) = path.probe else {
                self.ports.push(0);
                continue;
            };
            let own = |port: &u16| is_own(self.hasher.hash(&tuple((from, *port), (to, stamp::PORT))));
            // Of 64, all miss one of 16 workers by one chance in 60: its answers go to another, and its path seems down
            // only if that one's number is the same. More workers than that have no business at two ports.
            self.ports.push((first..first + PORTS_PER_PATH).find(own).unwrap_or(first));
        }
    }

    /// Judges paths and sends the probes that are due.
    pub(crate) fn tick(&mut self, router: &mut Router<F>, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        if now < self.probe_next {
            return;
        }
        self.probe_next = Ns::NEVER;
        for index in 0..self.paths.len() {
            let Some((to, from)) = self.paths[index].probe else { continue };
            if now >= self.selector.states[index].probe_due {
                let was_up = self.selector.states[index].is_up();
                let sequence = self.selector.on_probe(index, self.probe_interval, now);
                if was_up && !self.selector.states[index].is_up() {
                    self.ledger.on_fall(index, sequence);
                }
                self.send_probe(index, (to, from), sequence, router, now, outlet);
            }
            self.probe_next = self.probe_next.min(self.selector.states[index].probe_due);
        }
    }

    fn send_probe(
        &mut self,
        index: usize,
        (to, from): (IpAddr, IpAddr),
        sequence: u32,
        router: &mut Router<F>,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let ip_len = if to.is_ipv4() { IPV4_LEN } else { IPV6_LEN };
        let mut payload = [0; MEASURED_LEN];
        // Itself included: so it is when it comes.
        let sent = self.paths[index].is_counted().then(|| self.departed_by(index) + 1);
        let len = stamp::write_request(&mut payload, sequence, now, sent.map(|sent| sent as u32));
        let Some(mut frame) = outlet.make(Side::Outside, ETHERNET_LEN + ip_len + UDP_LEN + len) else {
            return;
        };
        if let Some(sent) = sent {
            self.measures[index].on_probe(sequence, sent);
        }
        let ends = Ends { local: from, remote: to };
        write_datagram(frame.bytes_mut(), ends, (self.ports[index], stamp::PORT), &payload[..len]);
        outlet.stats().originated_probes += 1;
        self.selector.stats[index].probes += 1;
        self.leave(index, frame, label(0, index as u32), router, now, outlet);
    }

    /// A frame of Weir's own leaves by this path.
    fn leave(
        &mut self,
        path: usize,
        mut frame: F,
        label: u32,
        router: &mut Router<F>,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        match encap::wrap(&mut frame, &self.paths[path], router.outside_mac(), label) {
            true => {
                self.departed[path] += 1;
                router.depart_via(self.paths[path].via, frame, Verdict::Originated, now, outlet);
            }
            false => outlet.end(frame, Verdict::NoHeadroom),
        }
    }

    /// Answers the other end's probe, if this is one. `by` is the path whose header the frame bore. Hands back any other frame.
    pub(super) fn reflect(
        &mut self,
        router: &mut Router<F>,
        mut frame: F,
        by: Option<usize>,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<F> {
        let Some((packet, at)) = datagram(frame.bytes(), frame.wire_len(), None) else { return Some(frame) };
        if !router.owns_outside(packet.destination) {
            return Some(frame);
        }
        let from = frame.bytes().get(6..12).and_then(|from| from.first_chunk::<6>().copied());
        let is_end = |index: &usize| self.paths[*index].probe.is_some_and(|(to, _)| to == packet.source);
        let bare = |index: &usize| is_end(index) && self.paths[*index].wrap == Wrap::Bare;
        let path = match by {
            Some(path) => Some(path).filter(is_end),
            None => (0..self.paths.len())
                .filter(bare)
                .find(|index| from.is_some() && router.mac_of(self.paths[*index].via) == from)
                .or_else(|| (0..self.paths.len()).find(bare)),
        };
        let Some(path) = path else { return Some(frame) };
        if !checksum_holds(frame.bytes(), &packet, at) {
            outlet.end(frame, Verdict::BadHeader);
            return None;
        }
        let ends = Ends { local: packet.destination, remote: packet.source };
        let Some(header) = frame.bytes().get(at..).and_then(<[u8]>::first_chunk::<UDP_LEN>) else {
            return Some(frame);
        };
        let port = u16::from_be_bytes([header[0], header[1]]);
        let whole = usize::from(u16::from_be_bytes([header[4], header[5]])) - UDP_LEN;
        let asked = frame.bytes().get(at + UDP_LEN..).unwrap_or(&[]);
        // Of one that is longer, or lies in several buffers, what every reflector answers.
        let len = if whole <= REFLECTED_MAX.min(asked.len()) { whole } else { LEN };
        let mut payload = [0; REFLECTED_MAX];
        let (Some(payload), Some(asked)) = (payload.get_mut(..len), asked.get(..len)) else {
            return Some(frame);
        };
        payload.copy_from_slice(asked);
        let counted = self.paths[path].is_counted().then(|| Counted {
            received: self.received_by(path) as u32,
            sent: (self.departed_by(path) + 1) as u32,
        });
        stamp::reflect(payload, (now, now), packet.hops, counted);
        let Some(bytes) = frame.bytes_mut().get_mut(..at + UDP_LEN + len) else { return Some(frame) };
        write_datagram(bytes, ends, (stamp::PORT, port), payload);
        outlet.turn_round();
        outlet.stats().originated_reflections += 1;
        self.selector.stats[path].reflected += 1;
        self.leave(path, frame, label(0, path as u32), router, now, outlet);
        None
    }

    /// Whether a frame from outside answers a probe of this worker: then it is heard, and is to end.
    pub(crate) fn hear(&mut self, frame: &F, parsed: &Parsed, now: Ns) -> bool {
        let Parsed::Untracked { kind: Untracked::Udp, owner: Some(owner) } = parsed else { return false };
        if owner.source.port != stamp::PORT {
            return false;
        }
        let Some(path) = self.ports.iter().position(|port| *port == owner.destination.port) else {
            return false;
        };
        let bytes = frame.bytes();
        let Some((packet, at)) = datagram(bytes, frame.wire_len(), Some(owner.destination.port)) else {
            return false;
        };
        if self.paths[path].probe != Some((packet.source, packet.destination)) {
            return false;
        }
        let end =
            at + bytes.get(at + 4..at + 6).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        if checksum_holds(bytes, &packet, at)
            && let Some(answer) = bytes.get(at + UDP_LEN..end).and_then(stamp::read_answer)
        {
            self.on_answer(path, &answer, now);
        }
        true
    }

    fn on_answer(&mut self, path: usize, answer: &Answer, now: Ns) {
        let Some(rtt) = self.selector.on_answer(path, answer.sequence, answer.kept, now) else { return };
        let measured = self.measured(path, answer);
        // Where nothing was counted, the share is what acknowledgements and probes say.
        let estimate = Loss { lost: self.selector.states[path].loss_q16(), of: 1 << 16 };
        self.ledger.on_answer(path, answer.sequence, measured.unwrap_or(estimate), rtt);
    }

    /// What both ends have counted since the last such answer.
    fn measured(&mut self, path: usize, answer: &Answer) -> Option<Loss> {
        let stats = &mut self.selector.stats[path];
        let Some(told) = answer.told.filter(|_| self.paths[path].is_counted()) else {
            stats.unmeasured += 1;
            return None;
        };
        match self.measures[path].on_answer(answer.sequence, told.sent, told.received) {
            Judged::Measured(loss) => {
                stats.measured += u64::from(loss.of);
                stats.lost += u64::from(loss.lost);
                Some(loss)
            }
            Judged::Refused => {
                stats.measure_refused += 1;
                None
            }
            Judged::Nothing => None,
        }
    }

    /// Frames that have left in this path's header, by all workers.
    fn departed_by(&self, path: usize) -> u64 {
        self.departed[path] + self.fellows.as_ref().map_or(0, |fellows| fellows.of_others(path))
    }

    /// Frames that have come in this path's header, to all workers.
    fn received_by(&self, path: usize) -> u64 {
        let others = self.fellows.as_ref().map_or(0, |fellows| fellows.of_others(PATHS_MAX + path));
        self.selector.stats[path].unwrapped + others
    }

    /// Shows the other workers what this one has counted. Once a turn: what that makes late, `measure` makes up for.
    pub(super) fn show_counts(&self) {
        let Some(fellows) = &self.fellows else { return };
        let mut counts = [0; 2 * PATHS_MAX];
        let (departed, received) = counts.split_at_mut(PATHS_MAX);
        departed.copy_from_slice(&self.departed);
        for (received, stats) in received.iter_mut().zip(self.selector.stats()) {
            *received = stats.unwrapped;
        }
        fellows.show(&counts);
    }
}

impl Selector {
    /// A probe departs on a path that is probed each `interval`, which is judged by what became of those before; its number.
    pub fn on_probe(&mut self, path: usize, interval: Ns, now: Ns) -> u32 {
        let (Some(state), Some(stats)) = (self.states.get_mut(path), self.stats.get_mut(path)) else {
            return 0;
        };
        stats.failures += u64::from(state.judge(interval, now) == Some(Health::Down));
        state.on_probe(now, interval)
    }

    /// Its answer has come, which the other end kept for `kept`; the round trip. One that nobody remembers says nothing.
    pub fn on_answer(&mut self, path: usize, sequence: u32, kept: Ns, now: Ns) -> Option<Ns> {
        let (state, stats) = (self.states.get_mut(path)?, self.stats.get_mut(path)?);
        let rtt = state.on_answer(sequence, kept, now)?;
        stats.answers += 1;
        stats.rtt_samples += 1;
        Some(rtt)
    }
}

fn tuple((from, from_port): (IpAddr, u16), (to, to_port): (IpAddr, u16)) -> Tuple {
    let version = if from.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
    let mut tuple = Tuple { version, ..Tuple::default() };
    for (end, address, port) in [(&mut tuple.source, from, from_port), (&mut tuple.destination, to, to_port)]
    {
        end.port = port;
        match address {
            IpAddr::V4(address) => end.address[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => end.address = address.octets(),
        }
    }
    tuple
}

/// A UDP packet to this port, by default the reflector's, whole and of at least a test packet's length: its IP header, and
/// where its UDP header begins.
fn datagram(bytes: &[u8], wire_len: u32, port: Option<u16>) -> Option<(Packet, usize)> {
    let named_at = match crate::route::packet::ether_type(bytes)? {
        TYPE_IPV4 => ETHERNET_LEN + 9,
        TYPE_IPV6 => ETHERNET_LEN + 6,
        _ => return None,
    };
    if bytes.get(named_at) != Some(&UDP) {
        return None;
    }
    let packet = Packet::read(bytes, wire_len)?;
    let upper = packet.upper(bytes)?;
    let header = bytes.get(upper.at..)?.first_chunk::<UDP_LEN>()?;
    let (to, len) =
        (u16::from_be_bytes([header[2], header[3]]), usize::from(u16::from_be_bytes([header[4], header[5]])));
    let room = ETHERNET_LEN + packet.len as usize - upper.at;
    let whole = upper.part == Part::Whole && (UDP_LEN + LEN..=room).contains(&len);
    (whole && to == port.unwrap_or(stamp::PORT)).then_some((packet, upper.at))
}

/// Whether a datagram's checksum is right, or absent over IPv4.
fn checksum_holds(bytes: &[u8], packet: &Packet, at: usize) -> bool {
    let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<UDP_LEN>) else { return false };
    let (len, sum) = (u16::from_be_bytes([header[4], header[5]]), u16::from_be_bytes([header[6], header[7]]));
    if sum == 0 {
        return packet.source.is_ipv4();
    }
    let Some(datagram) = bytes.get(at..at + usize::from(len)) else { return false };
    // Over data that hold a right one the sum comes out as 0, which `udp_checksum` writes as all ones.
    encap::udp_checksum(Ends { local: packet.source, remote: packet.destination }, datagram) == u16::MAX
}

/// Writes an IP packet with this UDP payload into a frame, whose Ethernet addresses are left to the departure.
fn write_datagram(frame: &mut [u8], ends: Ends, (from_port, to_port): (u16, u16), payload: &[u8]) {
    let len = UDP_LEN + payload.len();
    let Some((ethernet, rest)) = frame.split_first_chunk_mut::<ETHERNET_LEN>() else { return };
    let (ether_type, ip_len) =
        if ends.local.is_ipv4() { (TYPE_IPV4, IPV4_LEN) } else { (TYPE_IPV6, IPV6_LEN) };
    ethernet[12..].copy_from_slice(&ether_type.to_be_bytes());
    let Some((ip, rest)) = rest.split_at_mut_checked(ip_len) else { return };
    let header = IpHeader { traffic_class: 0, payload_len: len, protocol: UDP, hops: HOPS, label: 0 };
    encap::write_ip(ip, ends, header);
    let Some(datagram) = rest.get_mut(..len) else { return };
    datagram[..2].copy_from_slice(&from_port.to_be_bytes());
    datagram[2..4].copy_from_slice(&to_port.to_be_bytes());
    datagram[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    datagram[6..8].fill(0);
    datagram[UDP_LEN..].copy_from_slice(payload);
    let sum = encap::udp_checksum(ends, datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
}
