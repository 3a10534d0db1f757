//! How a frame ended. Each frame that the engine received ends in exactly one [`Verdict`], and each verdict has
//! one counter, so that at the end of any turn of any worker
//!
//! ```text
//! received + originated + steered in = sum over verdicts + held + steered out
//! ```
//!
//! holds exactly ([`Tally::balanced`]). Steered frames are those that one worker received and another owns; the owner
//! counts their verdict. A frame within a lane between two workers is out of the one's books and not yet in the
//! other's: it is the difference of the sums of steered out and steered in. Summed over workers the equation holds
//! too, and does so at every moment at which each worker's part is of the end of *one* of its turns, even though no
//! two parts are of the same moment: it is a sum of equations. That is what a scrape asserts.

use crate::io::{Denied, Side};
use std::ops::AddAssign;

/// The closed list of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// A frame of a tracked flow, or of a paced one of datagrams, that pacing did not hold, sent on as soon as the port, and a shaper, let it.
    Forwarded = 0,
    /// A frame of a paced flow, sent on at its departure time, after a stay on the wheel.
    Paced,
    /// A well-formed frame that belongs to no tracked flow (ARP, NDP, ICMP, UDP, fragments, other protocols; in mode
    /// `route` also what leaves by the side on which it came), sent on.
    Untracked,
    /// A frame whose headers do not parse or are cut short, sent on untouched: a transparent wire does not
    /// judge. In mode `route` only above a sound IP header.
    Malformed,
    /// A TCP frame of a new flow that found its table full, sent on by the classical rule.
    TableFull,
    /// Dropped: the flow's share of the wheel, or the wheel, was full, or the departure lay beyond the horizon.
    PaceFull,
    /// Dropped: a limit on several flows had it wait too long, or too much waited for that limit.
    LimitFull,
    /// Dropped: the port did not take the frame, and the bounded transmit backlog was full.
    TxFull,
    /// Dropped: the port delivered a frame with no bytes.
    Empty,
    /// Dropped: still held when the appliance stopped and the time to drain ran out.
    Undrained,
    /// Dropped: its flow belongs to another worker, and the bounded lane to that one was full.
    SteerFull,
    /// Dropped: the shaper's queue of its priority was full.
    ScheduleFull,
    /// Mode `route`: a frame for Weir itself (ARP, neighbour discovery, anything to its own addresses), taken up,
    /// answered or refused.
    Consumed,
    /// Mode `route`: a frame that Weir made, sent.
    Originated,
    /// Mode `route`: an IPv4 packet too long for the way out, cut; its parts are originated frames.
    Fragmented,
    /// Mode `route`, dropped: for another station on the link or for a group of them, or with a VLAN tag.
    NotForUs,
    /// Mode `route`, dropped: neither IP nor ARP.
    NotIp,
    /// Mode `route`, dropped: an IP header, an ARP packet or a message of discovery that does not hold.
    BadHeader,
    /// Mode `route`, dropped: an address that cannot be seen there, such as a source that is Weir's own, loopback or a
    /// group.
    Martian,
    /// Mode `route`, dropped: the forwarding table knows no way.
    NoRoute,
    /// Mode `route`, dropped: its hops were used up.
    TtlExpired,
    /// Mode `route`, dropped: longer than the MTU of the side by which it would leave.
    TooBig,
    /// Mode `route`, dropped: the next hop's Ethernet address was not found, or too much waited for it.
    NeighbourUnresolved,
    /// Dropped: a stage in front of the worker, such as an access control list, did not let it pass.
    Denied,
    /// Mode `route`, dropped: its buffer had no room for its path's header.
    NoHeadroom,
    /// Mode `route`, dropped: its tunnel's header bore a congestion mark, and the packet within cannot (RFC 6040 section 4.2).
    EcnDropped,
}

impl Verdict {
    /// How many verdicts there are.
    pub const COUNT: usize = Verdict::ALL.len();

    /// Every verdict, in the order of its index.
    pub const ALL: [Verdict; 26] = [
        Verdict::Forwarded,
        Verdict::Paced,
        Verdict::Untracked,
        Verdict::Malformed,
        Verdict::TableFull,
        Verdict::PaceFull,
        Verdict::LimitFull,
        Verdict::TxFull,
        Verdict::Empty,
        Verdict::Undrained,
        Verdict::SteerFull,
        Verdict::ScheduleFull,
        Verdict::Consumed,
        Verdict::Originated,
        Verdict::Fragmented,
        Verdict::NotForUs,
        Verdict::NotIp,
        Verdict::BadHeader,
        Verdict::Martian,
        Verdict::NoRoute,
        Verdict::TtlExpired,
        Verdict::TooBig,
        Verdict::NeighbourUnresolved,
        Verdict::Denied,
        Verdict::NoHeadroom,
        Verdict::EcnDropped,
    ];

    /// Name as in metrics, status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Forwarded => "forwarded",
            Verdict::Paced => "paced",
            Verdict::Untracked => "untracked",
            Verdict::Malformed => "malformed",
            Verdict::TableFull => "table_full",
            Verdict::PaceFull => "pace_full",
            Verdict::LimitFull => "limit_full",
            Verdict::TxFull => "tx_full",
            Verdict::Empty => "empty",
            Verdict::Undrained => "undrained",
            Verdict::SteerFull => "steer_full",
            Verdict::ScheduleFull => "schedule_full",
            Verdict::Consumed => "consumed",
            Verdict::Originated => "originated",
            Verdict::Fragmented => "fragmented",
            Verdict::NotForUs => "not_for_us",
            Verdict::NotIp => "not_ip",
            Verdict::BadHeader => "bad_header",
            Verdict::Martian => "martian",
            Verdict::NoRoute => "no_route",
            Verdict::TtlExpired => "ttl_expired",
            Verdict::TooBig => "too_big",
            Verdict::NeighbourUnresolved => "neighbour_unresolved",
            Verdict::Denied => "denied",
            Verdict::NoHeadroom => "no_headroom",
            Verdict::EcnDropped => "ecn_dropped",
        }
    }

    /// Whether the frame left through a port.
    pub const fn sent(self) -> bool {
        matches!(
            self,
            Verdict::Forwarded
                | Verdict::Paced
                | Verdict::Untracked
                | Verdict::Malformed
                | Verdict::TableFull
                | Verdict::Originated
        )
    }
}

/// Frames in, frames out, and how each ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames received, by [`Side`] index.
    pub received: [u64; 2],
    /// Bytes received, by side index.
    pub received_bytes: [u64; 2],
    /// Frames sent, by side index.
    pub sent: [u64; 2],
    /// Bytes sent, by side index.
    pub sent_bytes: [u64; 2],
    /// Frames that Weir itself made.
    pub originated: u64,
    /// Frames that another worker received, and that belong to this one.
    pub steered_in: u64,
    /// Frames that this worker received, and passed on to the one to which they belong.
    pub steered_out: u64,
    /// Frames that ended, by verdict.
    pub ended: [u64; Verdict::COUNT],
    /// Frames inside the engine now: on the wheel, waiting for the link or a neighbour, or in a transmit backlog.
    pub held: u64,
}

impl Tally {
    /// Counts one frame's end.
    pub fn end(&mut self, verdict: Verdict) {
        self.ended[verdict as usize] += 1;
    }

    /// Counts frames that arrived on `side` and that a stage in front of the worker has dropped.
    pub fn deny(&mut self, side: Side, Denied { frames, bytes }: Denied) {
        self.received[side as usize] += frames;
        self.received_bytes[side as usize] += bytes;
        self.ended[Verdict::Denied as usize] += frames;
    }

    /// Whether every frame is accounted for.
    pub fn balanced(&self) -> bool {
        self.received[0] + self.received[1] + self.originated + self.steered_in
            == self.ended.iter().sum::<u64>() + self.held + self.steered_out
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        let add =
            |sums: &mut [u64], more: &[u64]| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.received, &other.received);
        add(&mut self.received_bytes, &other.received_bytes);
        add(&mut self.sent, &other.sent);
        add(&mut self.sent_bytes, &other.sent_bytes);
        add(&mut self.ended, &other.ended);
        self.originated += other.originated;
        self.steered_in += other.steered_in;
        self.steered_out += other.steered_out;
        self.held += other.held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_order_agree() {
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, index);
        }
    }

    #[test]
    fn a_frame_without_a_verdict_shows() {
        let mut tally = Tally { received: [1, 0], ..Tally::default() };
        assert!(!tally.balanced());
        tally.end(Verdict::Untracked);
        assert!(tally.balanced());
    }

    #[test]
    fn a_steered_frame_changes_books_and_the_sum_holds_while_it_is_between_two() {
        let mut gave = Tally { received: [3, 1], steered_out: 1, ..Tally::default() };
        assert!(!gave.balanced());
        gave.ended[Verdict::Forwarded as usize] = 3;
        let mut took = Tally::default();
        // Within the lane, then on the other's wheel.
        for arrived in [0, 1] {
            (took.steered_in, took.held) = (arrived, arrived);
            let mut sum = gave;
            sum += &took;
            assert!(gave.balanced() && took.balanced() && sum.balanced());
            assert_eq!(sum.steered_out - sum.steered_in, 1 - arrived);
        }
    }
}
