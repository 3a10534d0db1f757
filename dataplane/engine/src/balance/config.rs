//! What a chooser of paths is told: plain checked values.

use crate::route::Prefix;
use crate::time::Ns;
use core::net::IpAddr;
use weir_features::PathSpec;

/// Of so many TCP flows' places there is one besides for a flow of datagrams.
const FLOWS_PER_DATAGRAM_FLOW: u32 = 4;
/// Paths at most: a decision scores all of them, and each has counters of its own.
pub const PATHS_MAX: usize = 8;
/// A path's weight at most.
pub const WEIGHT_MAX: u16 = 256;

/// Named paths towards networks outside, and how they are chosen.
#[derive(Clone, Debug)]
pub struct BalanceConfig {
    /// The networks that the paths lead to. The longest prefix wins, over static routes too.
    pub to: Vec<Prefix>,
    /// 1 to [`PATHS_MAX`] paths.
    pub paths: Vec<PathConfig>,
    /// VLANs of the outside port: each network there, and its tag. The networks are among the outside's own.
    pub vlans: Vec<(Prefix, u16)>,
    /// Time between two probes of one path.
    pub probe_interval: Ns,
    /// Whether flows of datagrams that leave by paths are paced, by what probes say of the paths; without effect where nothing is
    /// paced, and behind a shaper.
    pub paces_datagrams: bool,
    /// What holds until the first policy.
    pub settings: BalanceSettings,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// Its name.
    pub name: String,
    /// The neighbour outside that frames are given to.
    pub via: IpAddr,
    /// The header around each packet.
    pub wrap: Wrap,
    /// What differs from flow to flow within the path.
    pub draw: Draws,
    /// The largest IP packet that the path takes, its own header included.
    pub mtu: u16,
    /// What it carries in bits per second; `None`: learned from what it has carried.
    pub rate_bps: Option<u64>,
    /// Whom probes are sent to, and the own address that they are from. `None`: not probed, always up.
    pub probe: Option<(IpAddr, IpAddr)>,
}

/// The header around a path's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// None: the next hop makes the path.
    Bare,
    /// IP in IP (RFC 2003, 2473, 4213).
    IpIp {
        /// Both ends.
        ends: Ends,
    },
    /// VXLAN (RFC 7348).
    Vxlan {
        /// Both ends.
        ends: Ends,
        /// Network identifier, 24 bits.
        vni: u32,
        /// Outer UDP source port, where it is not drawn.
        source_port: u16,
        /// Ethernet address of the far end within the tunnel.
        inner_mac: [u8; 6],
    },
}

/// Ends of a tunnel, both of one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// An own address.
    pub local: IpAddr,
    /// The other end.
    pub remote: IpAddr,
}

/// What a path draws for each flow, so that a fabric spreads flows over ways that nobody here can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Nothing: all of the path's flows look alike.
    None,
    /// The flow label of the outermost header, where that is IPv6.
    FlowLabel,
    /// The outer UDP source port of VXLAN, from 49152 on.
    SourcePort,
}

/// What may change while a worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSettings {
    /// The classical rule: decides where no model may.
    pub rule: PathRule,
    /// Whether decisions follow the published model where there is one.
    pub model: bool,
    /// The definitions and bounds of what the model sees.
    pub spec: PathSpec,
    /// By path: how much of the whole it is to take, up to [`WEIGHT_MAX`]; 0 takes no new flow.
    pub weights: [u16; PATHS_MAX],
    /// By path: takes no new flow, keeps those that it has.
    pub drains: [bool; PATHS_MAX],
    /// When a model decides.
    pub cadence: Cadence,
    /// An idle time that makes what follows a flowlet: longer than the difference between any two paths.
    pub flowlet_gap: Ns,
    /// A model's flow moves only if the other path's score is better by more than this, in 1/65536.
    pub hysteresis_q16: u32,
    /// Scores less apart than this are one, and a seeded draw decides, in 1/65536.
    pub tie_q16: u32,
    /// Share of flows that stay on the rule although a model runs, in 1/65536.
    pub control_share: u32,
    /// Share of a model's decisions that are drawn among all paths, in 1/65536, of those in sampled flows that are not
    /// within a delivery.
    pub explore_share: u32,
    /// Share of flows whose deliveries become samples, in 1/65536.
    pub sample_share: u32,
    /// How long a path that has come back takes until it gets its whole weight.
    pub slow_start: Ns,
    /// A sender that repeats data after this silence has run into its timeout.
    pub timeout_min: Ns,
}

/// When a model decides anew for a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// For a new flow, and at each flowlet.
    Flowlet,
    /// On every packet.
    Packet,
}

/// The classical rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// Weighted consistent hashing (Eisenbud et al., "Maglev", NSDI 2016 section 3.4): a flow stays where it is, and a path
    /// that goes moves its own flows only.
    Maglev,
    /// The flow's hash over the paths that are up, all alike (RFC 2992).
    Ecmp,
    /// A random path for each flowlet (Vanini et al., "LetFlow", NSDI 2017).
    LetFlow,
    /// Stay until rounds are congested, then draw anew (Qureshi et al., "PLB", SIGCOMM 2022; Linux 6.2 `tcp_plb.c`).
    Plb,
    /// Of two random paths the less congested, for each flowlet (Mitzenmacher 2001).
    PowerOfTwo,
}

impl PathRule {
    /// Every rule.
    pub const ALL: [PathRule; 5] =
        [PathRule::Maglev, PathRule::Ecmp, PathRule::LetFlow, PathRule::Plb, PathRule::PowerOfTwo];

    /// Its name in configurations and screens.
    pub const fn name(self) -> &'static str {
        match self {
            PathRule::Maglev => "maglev",
            PathRule::Ecmp => "ecmp",
            PathRule::LetFlow => "letflow",
            PathRule::Plb => "plb",
            PathRule::PowerOfTwo => "power-of-two",
        }
    }
}

impl Default for BalanceSettings {
    fn default() -> BalanceSettings {
        BalanceSettings {
            rule: PathRule::Maglev,
            model: false,
            spec: PathSpec::default(),
            weights: [1; PATHS_MAX],
            drains: [false; PATHS_MAX],
            cadence: Cadence::Flowlet,
            // What CONGA, LetFlow and Clove use in their large experiments.
            flowlet_gap: Ns::from_micros(500),
            hysteresis_q16: 6_554,
            tie_q16: 655,
            control_share: 1_311,
            explore_share: 1_311,
            sample_share: 6_554,
            slow_start: Ns::from_secs(10),
            // Linux' least.
            timeout_min: Ns::from_millis(200),
        }
    }
}

impl Wrap {
    /// The tunnel's ends, if it is one.
    pub fn ends(&self) -> Option<Ends> {
        match self {
            Wrap::Bare => None,
            Wrap::IpIp { ends } | Wrap::Vxlan { ends, .. } => Some(*ends),
        }
    }

    /// Bytes that stand before the packet, counted against the path's MTU.
    pub fn overhead(&self) -> u16 {
        let ip = |ends: &Ends| if ends.local.is_ipv4() { 20 } else { 40 };
        match self {
            Wrap::Bare => 0,
            Wrap::IpIp { ends } => ip(ends),
            // UDP, VXLAN, Ethernet.
            Wrap::Vxlan { ends, .. } => ip(ends) + 8 + 8 + 14,
        }
    }
}

impl PathConfig {
    /// The largest packet that the path takes from a sender: its MTU less its header.
    pub fn inner_mtu(&self) -> u16 {
        self.mtu.saturating_sub(self.wrap.overhead())
    }

    /// Whether both ends can count its frames: by its header they are told from all others. What a next hop brings may have come by
    /// any path of whoever sent it.
    pub(super) fn is_counted(&self) -> bool {
        self.wrap != Wrap::Bare
    }
}

impl BalanceConfig {
    /// How many flows of datagrams are paced at most, beside `flows_max` of TCP.
    pub fn datagram_flows(&self, flows_max: u32) -> u32 {
        if self.paces_datagrams { flows_max.div_ceil(FLOWS_PER_DATAGRAM_FLOW) } else { 0 }
    }

    /// The largest packet that every path takes. It holds for all, so that a flow that moves meets no smaller one.
    pub fn mtu(&self) -> u16 {
        self.paths.iter().map(PathConfig::inner_mtu).min().unwrap_or(u16::MAX)
    }
}
