//! Which path each flow is on, and what is known of each path: all of balancing that touches no frame.
//!
//! A caller asks for the paths of a burst's frames ([`Selector::decide`]), tells of each departure ([`Selector::on_depart`])
//! and of each acknowledgement ([`Selector::on_ack`]), both in the words of [`crate::track`]. The router's balance does so
//! for a worker; the simulator does so for hosts that have paths and no router.

use super::choose::{Chooser, Due};
use super::config::{BalanceSettings, PATHS_MAX};
use super::decide::{Batch, Shown};
use super::flows::{FlowPath, FlowPaths, NO_RECORD, Place};
use super::label;
use super::late::Late;
use super::maglev::Maglev;
use super::path::{self, PathState};
use super::record::Records;
use super::stats::PathStats;
use crate::counters::WorkerStats;
use crate::time::Ns;
use crate::track::{Acked, Departed};
use arrayvec::ArrayVec;
use weir_features::{PATH_INPUTS, PathSample};
use weir_handoff::LaneSender;

/// How often the gauges are renewed.
const SHOW_EVERY: Ns = Ns::from_millis(1);
/// PLB's round where no RTT is known.
const ROUND: Ns = Ns::from_millis(10);

/// A frame that is to leave by a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its flow's keyed hash.
    pub hash: u64,
    /// A connection begins: what is known of this hash is another's.
    pub begins: bool,
    /// It holds data that departed before.
    pub repeats: bool,
}

/// Paths, the flows on them, and how one is chosen.
pub struct Selector {
    /// What each path's place in the table of hashes follows from.
    names: ArrayVec<u64, PATHS_MAX>,
    pub(super) states: Box<[PathState]>,
    pub(super) stats: Box<[PathStats]>,
    pub(super) settings: BalanceSettings,
    maglev: Maglev,
    pub(super) flows: FlowPaths,
    pub(super) batch: Batch,
    pub(super) records: Records,
    pub(super) late: Late,
    /// Least RTT of late of any path; 0 for none.
    pub(super) base_rtt: u64,
    pub(super) burst: u32,
    shown: Ns,
}

impl Selector {
    /// At most [`PATHS_MAX`] paths, each with its name and what it carries in bits per second where that is configured;
    /// `limits` are how many flows there may be, and after which silence one is forgotten. Everything is allocated here.
    pub fn new<'a>(
        paths: impl Iterator<Item = (&'a str, Option<u64>)>,
        settings: &BalanceSettings,
        (flows_max, idle_max): (u32, Ns),
    ) -> Selector {
        let name =
            |name: &str| name.bytes().fold(0, |hash, byte| crate::hash::split_mix(hash ^ u64::from(byte)));
        let known: ArrayVec<(u64, PathState), PATHS_MAX> =
            paths.take(PATHS_MAX).map(|(path, rate)| (name(path), PathState::new(rate, Ns::ZERO))).collect();
        let (names, states): (ArrayVec<u64, PATHS_MAX>, Vec<PathState>) = known.into_iter().unzip();
        let mut selector = Selector {
            names,
            stats: vec![PathStats::default(); states.len()].into_boxed_slice(),
            states: states.into_boxed_slice(),
            settings: settings.clone(),
            maglev: Maglev::new(),
            flows: FlowPaths::new(flows_max, idle_max),
            batch: Batch::new(),
            records: Records::new(),
            late: Late::default(),
            base_rtt: 0,
            burst: 0,
            shown: Ns::ZERO,
        };
        selector.maglev.fill(&selector.names, &selector.settings.weights);
        selector
    }

    /// The same with its networks elsewhere: what one answers counts `delay` after it was asked, until then the flow goes by
    /// the rule or stays. For simulation; it may allocate in a decision.
    #[must_use]
    pub fn deciding_late(mut self, delay: Ns) -> Selector {
        self.late = Late::new(delay);
        self
    }

    /// Where records of choices go.
    pub fn record_into(&mut self, lane: LaneSender<PathSample>) {
        self.records.tell_into(lane);
    }

    /// Takes up settings. The same ones, which every publication of a model brings along, cost a comparison.
    pub fn adopt(&mut self, settings: &BalanceSettings) {
        if *settings == self.settings {
            return;
        }
        self.settings.clone_from(settings);
        self.maglev.fill(&self.names, &self.settings.weights);
    }

    /// What each path has done and is.
    pub fn stats(&self) -> &[PathStats] {
        &self.stats
    }

    /// The path of a flow whose frames have been decided, by its place.
    pub fn path_of(&self, hash: u64, now: Ns) -> usize {
        self.way(self.flows.find(hash), hash, now).0
    }

    /// What a network would be shown of each path, were the flow to be decided now: for who makes networks.
    pub fn rows(&self, hash: u64, now: Ns) -> ArrayVec<[i32; PATH_INPUTS], PATHS_MAX> {
        let flow = self.flows.find(hash).map_or(&FlowPath::NEW, |place| self.flows.get(place));
        let gap = flow.path().map(|_| now - flow.last);
        Shown::new(&self.settings, &self.states, self.least_rtt(), now, |_, feature| feature)
            .rows(flow, gap)
            .collect()
    }

    /// Least RTT of late of any path; 0 for none.
    pub(super) fn least_rtt(&self) -> u64 {
        self.states.iter().map(PathState::base_rtt).filter(|rtt| *rtt > 0).min().unwrap_or(0)
    }

    /// Its path and what that draws for it. A flow that found no place has the rule's.
    pub(super) fn way(&self, place: Option<Place>, hash: u64, now: Ns) -> (usize, u32) {
        let flow = place.map(|place| self.flows.get(place));
        match flow.and_then(|flow| Some((flow.path()?, flow.label))) {
            Some(way) => way,
            None => (self.chooser(now).by_rule(hash, 0, None, Due::New), label(hash, 0)),
        }
    }

    /// A frame of a flow departs by `path`, `bytes` long as a whole.
    pub fn on_depart(&mut self, hash: u64, path: usize, bytes: u32, departed: &Departed, now: Ns) {
        if path < self.states.len() {
            self.book(self.flows.find(hash), path, bytes, departed, now);
        }
    }

    pub(super) fn book(
        &mut self,
        place: Option<Place>,
        path: usize,
        bytes: u32,
        departed: &Departed,
        now: Ns,
    ) {
        self.states[path].on_depart(bytes, now);
        self.stats[path].frames += 1;
        self.stats[path].bytes += u64::from(bytes);
        let Some(place) = place else { return };
        let flow = self.flows.get_mut(place);
        flow.last = now;
        flow.bytes = flow.bytes.saturating_add(u64::from(bytes));
        if departed.restarted {
            flow.sample = self.records.restart(flow.sample);
            let left = core::mem::take(&mut flow.in_flight);
            path::forget_in_flight(&mut self.states, flow.path(), left);
        }
        if departed.new_bytes | departed.retransmitted_bytes == 0 {
            return;
        }
        flow.in_flight = flow.in_flight.saturating_add(departed.new_bytes);
        self.states[path].in_flight += u64::from(departed.new_bytes);
        self.stats[path].repeated_bytes += u64::from(departed.retransmitted_bytes);
        self.records.on_depart(flow.sample, departed, self.settings.flowlet_gap, now);
    }

    pub(super) fn chooser(&self, now: Ns) -> Chooser<'_> {
        let Selector { settings, states, maglev, base_rtt, .. } = self;
        Chooser { settings, paths: states, maglev, base_rtt: *base_rtt, now }
    }

    /// What an acknowledgement of the flow says about its path.
    pub fn on_ack(&mut self, hash: u64, acked: &Acked, now: Ns) {
        let Some(place) = self.flows.find(hash) else { return };
        let flow = self.flows.get_mut(place);
        let Some(path) = flow.path() else { return };
        let (Some(state), Some(stats)) = (self.states.get_mut(path), self.stats.get_mut(path)) else {
            return;
        };
        // What departed before the flow came to its path tells of another one.
        if let Some(rtt) = acked.rtt_ns.map(Ns)
            && now - rtt >= flow.moved
        {
            state.on_rtt(rtt, now);
            stats.rtt_samples += 1;
        }
        let own = now - state.srtt() >= flow.moved;
        if own && (acked.delivered_bytes > 0 || acked.ece) {
            state.on_ack(acked.ece, acked.delivered_bytes, acked.lost_bytes > 0);
            stats.marks += u64::from(acked.ece);
            flow.acks = flow.acks.saturating_add(1);
            flow.marks = flow.marks.saturating_add(u16::from(acked.ece));
            if now >= flow.round_ends {
                let congested = flow.marks > 0 && 2 * u32::from(flow.marks) >= u32::from(flow.acks);
                flow.rounds = if congested { flow.rounds.saturating_add(1) } else { 0 };
                (flow.acks, flow.marks) = (0, 0);
                let round = if state.srtt() == Ns::ZERO { ROUND } else { state.srtt() };
                flow.round_ends = now + round;
            }
        }
        let arrived = acked.delivered_bytes.min(flow.in_flight);
        flow.in_flight -= arrived;
        state.forget_in_flight(arrived);
        stats.acked_bytes += u64::from(acked.delivered_bytes);
        self.records.on_ack(flow.sample, acked.delivered_bytes, now);
    }

    /// Forgets a few flows that are over, and renews the gauges now and then.
    pub fn keep(&mut self, now: Ns) {
        let Selector { states, flows, records, stats, settings, .. } = self;
        flows.sweep(now, |path, left, sample| {
            path::forget_in_flight(states, Some(path), left);
            records.end(sample);
        });
        if now - self.shown < SHOW_EVERY {
            return;
        }
        self.shown = now;
        records.sweep(settings.flowlet_gap, now, |owner| flows.get_mut(owner).sample = NO_RECORD);
        for (index, (state, stats)) in states.iter_mut().zip(stats.iter_mut()).enumerate() {
            state.end_slow_start(settings.slow_start, now);
            let takes = settings.weights[index] > 0 && !settings.drains[index];
            stats.up = u64::from(state.is_up());
            stats.share_q16 = if takes { state.ramp_q16(settings.slow_start, now) } else { 0 };
            stats.flows = flows.on_path[index];
            stats.rtt_ns = state.srtt().0;
            stats.base_rtt_ns = state.base_rtt();
            stats.in_flight = state.in_flight;
            stats.sent_bps = state.sent_bps(now);
            stats.rate_bps = state.rate_bps();
            stats.ecn_q16 = state.ecn_q16().into();
            stats.loss_q16 = state.loss_q16().into();
        }
        records.flush(now);
    }

    /// Brings what is counted elsewhere into the worker's counters.
    pub(super) fn show(&self, stats: &mut WorkerStats) {
        stats.path_flows = self.flows.on_path.iter().sum();
        (stats.path_samples, stats.path_samples_dropped) = self.records.counts();
    }
}
