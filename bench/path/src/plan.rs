//! What is measured: groups of programs that are compared with each other, under the same conditions.

use serde::Serialize;

/// A program, and how it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// testpmd, forwarding mode `io`: touches nothing. What the source itself costs, and a poll loop.
    Io,
    /// testpmd `macswap`.
    Macswap,
    /// testpmd `5tswap`: reads and swaps addresses and ports.
    FiveTupleSwap,
    /// l3fwd, exact match, a rule for each direction of each flow.
    L3fwd,
    /// Weir that tracks nothing to decide about: no pacing.
    Forward,
    /// The same as a router between the source's two networks.
    Route,
    /// Weir under the rule `bbr_lite`.
    Rule,
    /// Weir under the model, at its default cadence.
    Model,
    /// Weir as a router that runs two networks for every data frame: one that paces, and one that scores four ways.
    Networks,
}

impl Subject {
    /// As the table calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Subject::Io => "testpmd io",
            Subject::Macswap => "testpmd macswap",
            Subject::FiveTupleSwap => "testpmd 5tswap",
            Subject::L3fwd => "l3fwd exact match",
            Subject::Forward => "weir forwarding",
            Subject::Route => "weir route",
            Subject::Rule => "weir rule bbr_lite",
            Subject::Model => "weir model",
            Subject::Networks => "weir networks",
        }
    }

    /// Whether it is Weir.
    pub(crate) const fn is_weir(self) -> bool {
        self.paces() || matches!(self, Subject::Forward | Subject::Route)
    }

    /// How many neighbours outside it knows, as a router; 0 for a wire.
    pub(crate) const fn neighbours(self) -> usize {
        match self {
            Subject::Route => 1,
            Subject::Networks => crate::program::WAYS,
            _ => 0,
        }
    }

    /// Whether it is Weir, and decides how fast flows may go.
    pub(crate) const fn paces(self) -> bool {
        matches!(self, Subject::Rule | Subject::Model | Subject::Networks)
    }
}

/// What the source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// TCP connections.
    pub(crate) flows: u32,
    /// From a data frame's transmission to its acknowledgement.
    pub(crate) rtt_us: u32,
    /// Data frames back to back per flow; one acknowledgement for all.
    pub(crate) train: u32,
    /// Ports copy frames in and out, as net_null's do with `copy=1`.
    pub(crate) copy: bool,
    /// Frames come from memory, as from a card that does not write into caches.
    pub(crate) cold: bool,
}

/// Programs compared under one traffic.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// As the table calls it.
    pub(crate) name: &'static str,
    /// Part of the slope.
    pub(crate) slope: bool,
    pub(crate) traffic: Traffic,
    pub(crate) subjects: Vec<Subject>,
    /// Fewer rounds than the others, because a start takes long.
    pub(crate) rounds_max: usize,
}

/// Everything that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
}

/// The conditions of the goals.
const BASE: Traffic = Traffic { flows: 1_000, rtt_us: 10_000, train: 1, copy: true, cold: false };

impl Plan {
    /// The plan, or the part of it whose group or program contains `only`.
    pub(crate) fn new(only: &str) -> Plan {
        use Subject::{FiveTupleSwap, Forward, Io, L3fwd, Macswap, Model, Networks, Route, Rule};
        let group = |name, traffic, subjects: &[Subject]| Group {
            name,
            slope: false,
            traffic,
            subjects: subjects.to_vec(),
            rounds_max: usize::MAX,
        };
        let slope = |name, flows, rounds_max| Group {
            slope: true,
            rounds_max,
            ..group(name, Traffic { flows, ..BASE }, &[L3fwd, Forward, Rule, Model])
        };
        let mut groups = vec![
            Group {
                slope: true,
                ..group(
                    "1 k flows",
                    BASE,
                    &[Io, Macswap, FiveTupleSwap, L3fwd, Forward, Route, Rule, Model, Networks],
                )
            },
            group(
                "1 k flows, ports without copy",
                Traffic { copy: false, ..BASE },
                &[Io, FiveTupleSwap, L3fwd, Forward, Model],
            ),
            group(
                "1 k flows, frames from memory",
                Traffic { copy: false, cold: true, ..BASE },
                &[Io, FiveTupleSwap, L3fwd, Forward, Model],
            ),
            group("1 k flows, pairs of frames", Traffic { train: 2, ..BASE }, &[L3fwd, Rule, Model]),
            group("1 k flows, RTT 1 ms", Traffic { rtt_us: 1_000, ..BASE }, &[L3fwd, Rule, Model]),
            slope("10 k flows", 10_000, 2),
            slope("100 k flows", 100_000, 2),
            slope("1 M flows", 1_000_000, 1),
        ];
        for group in &mut groups {
            let all = group.name.contains(only);
            group.subjects.retain(|subject| all || subject.name().contains(only));
        }
        groups.retain(|group| !group.subjects.is_empty());
        Plan { groups }
    }
}
