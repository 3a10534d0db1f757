//! What paths need of a router, and it of them: see [`crate::balance`].

use super::address::Number;
use super::fib::NextHop;
use super::interface::Mac;
use super::{Outlet, Router, Way};
use crate::balance::{Balance, BalanceSettings, Ledger, Parcel, PathStats};
use crate::io::{Frame, Side};
use crate::models::ModelSet;
use crate::time::Ns;
use crate::track::Acked;
use crate::verdict::Verdict;
use crate::wire::Parsed;
use core::net::IpAddr;

impl<F: Frame> Router<F> {
    /// The largest packet that leaves by a side, or by paths.
    pub(super) fn mtu(&self, out: Side, by_paths: bool) -> u16 {
        if by_paths { self.mtu_by_paths } else { self.interfaces[out as usize].mtu }
    }

    /// What a connection's segments must fit, whichever direction this packet of it takes.
    #[cold]
    pub(super) fn mtu_of_connection(&self, source: impl Number, by_paths: bool) -> u16 {
        let by_paths =
            self.balances() && (by_paths || self.fib.find(source).is_some_and(|back| back.by_paths));
        if by_paths { self.mtu_min.min(self.mtu_by_paths) } else { self.mtu_min }
    }

    /// Whether there are paths.
    #[inline]
    pub(crate) fn balances(&self) -> bool {
        self.balance.is_some()
    }

    /// A frame is to leave by a path, at the end of this burst.
    pub(crate) fn queue(
        &mut self,
        frame: F,
        verdict: Verdict,
        parcel: Parcel,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        match &mut self.balance {
            Some(balance) => {
                if let Err(frame) = balance.push(frame, verdict, parcel) {
                    outlet.end(frame, Verdict::TxFull);
                }
            }
            None => outlet.end(frame, Verdict::NoRoute),
        }
    }

    /// What is queued leaves by paths.
    pub(crate) fn leave_by_paths(&mut self, models: &ModelSet, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        let Some(mut balance) = self.balance.take() else { return };
        balance.flush(self, models, now, outlet);
        self.balance = Some(balance);
    }

    /// Probes that are due.
    pub(super) fn probe_paths(&mut self, now: Ns, outlet: &mut impl Outlet<Frame = F>) {
        let Some(mut balance) = self.balance.take() else { return };
        balance.tick(self, now, outlet);
        self.balance = Some(balance);
    }

    /// A frame has arrived outside and is yet to be parsed: what a path has put around it is taken off. Returns it unless
    /// that was its end.
    pub(crate) fn unwrap(&mut self, frame: F, now: Ns, outlet: &mut impl Outlet<Frame = F>) -> Option<F> {
        let Some(mut balance) = self.balance.take() else { return Some(frame) };
        let frame = balance.unwrap(self, frame, now, outlet);
        self.balance = Some(balance);
        frame
    }

    /// Whether a frame from outside answers a probe: then it ends here.
    pub(crate) fn hear_probe(&mut self, frame: &F, parsed: &Parsed, now: Ns) -> bool {
        self.balance.as_mut().is_some_and(|balance| balance.hear(frame, parsed, now))
    }

    /// What an acknowledgement says about the path of its flow.
    pub(crate) fn on_ack(&mut self, hash: u64, acked: &Acked, now: Ns) {
        if let Some(balance) = &mut self.balance {
            balance.on_ack(hash, acked, now);
        }
    }

    /// How much has departed by paths of the flow with this hash, in bytes of frames.
    #[inline]
    pub(crate) fn departed_of(&self, hash: u64) -> u64 {
        self.balance.as_ref().map_or(0, |balance| balance.departed_of(hash))
    }

    /// The accounts of paced flows of datagrams.
    #[inline]
    pub(crate) fn ledger_mut(&mut self) -> Option<&mut Ledger> {
        Some(self.balance.as_mut()?.ledger_mut())
    }

    /// Forgets flows that are over.
    pub(crate) fn keep_paths(&mut self, now: Ns) {
        if let Some(balance) = &mut self.balance {
            balance.keep(now);
        }
    }

    /// Takes up settings.
    pub(crate) fn adopt(&mut self, settings: &BalanceSettings) {
        if let Some(balance) = &mut self.balance {
            balance.adopt(settings);
        }
    }

    /// The paths, for one who sets them up.
    pub(crate) fn balance_mut(&mut self) -> Option<&mut Balance<F>> {
        self.balance.as_deref_mut()
    }

    /// What each path has done and is.
    pub(crate) fn path_stats(&self) -> &[PathStats] {
        self.balance.as_ref().map_or(&[], |balance| balance.stats())
    }

    /// The outside's Ethernet address.
    pub(crate) fn outside_mac(&self) -> Mac {
        self.interfaces[Side::Outside as usize].mac
    }

    /// Whether the address is the outside's own.
    pub(crate) fn owns_outside(&self, address: IpAddr) -> bool {
        self.interfaces[Side::Outside as usize].owns(address)
    }

    /// Whether the outside has this VLAN.
    pub(crate) fn has_vlan(&self, vlan: u16) -> bool {
        self.vlans.iter().any(|(_, known)| *known == vlan)
    }

    /// Where a neighbour outside is, as far as known.
    pub(crate) fn mac_of(&self, neighbour: IpAddr) -> Option<Mac> {
        self.neighbours[Side::Outside as usize].mac(neighbour)
    }

    /// A frame leaves outside, given to this neighbour.
    pub(crate) fn depart_via(
        &mut self,
        neighbour: IpAddr,
        frame: F,
        verdict: Verdict,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        let next = NextHop { out: Side::Outside, neighbour, by_paths: false };
        match self.find_or_ask(next, now, outlet) {
            Some(hop) => self.depart(Way { out: Side::Outside, hop }, frame, verdict, now, outlet),
            None => outlet.end(frame, Verdict::NeighbourUnresolved),
        }
    }
}
