//! A leaf-spine fabric: who is linked to whom, and how a switch forwards.
//!
//! ```text
//!          spine 0     spine 1   ...              each link one way: host -> leaf, leaf -> spine,
//!          /  |  \    /  |  \                                        spine -> leaf, leaf -> host
//!      leaf 0  leaf 1   ...
//!      / | \
//!   hosts 0..h-1  hosts h..2h-1 ...
//! ```
//!
//! A leaf that has a choice takes the spine that a frame's VLAN names ([`PATH_VLAN`] + spine: a named path), or else hashes
//! the 5-tuple and the flow label over the spines whose link is up. The tag stays on; the receiving host's leaf takes it off.

use crate::frame::{HostId, Route};
use crate::link::LinkConfig;
use weir_engine::time::{BitsPerSec, Ns};

/// VLAN of the path by spine 0.
pub const PATH_VLAN: u16 = 100;

/// Sizes and rates of a fabric.
#[derive(Clone, Debug, PartialEq)]
pub struct FabricConfig {
    /// Leaf switches.
    pub leaves: u16,
    /// Spine switches: paths between two leaves.
    pub spines: u16,
    /// Hosts of each leaf.
    pub hosts_per_leaf: u16,
    /// Rate of each link.
    pub rate: BitsPerSec,
    /// Propagation of each link.
    pub delay: Ns,
    /// Full frames that each switch port queues.
    pub queue_frames: u64,
    /// Full frames beyond which a port marks; `None` marks nothing.
    pub ecn_frames: Option<u64>,
}

/// Bytes of a full frame.
pub const FRAME_BYTES: u64 = 1_514;

impl Default for FabricConfig {
    /// The topology of LetFlow's and Hermes' simulations: 4 x 4 x 8, 10 Gb/s, 10 us a hop, 600 frames a port; DCTCP's
    /// marking threshold of 65 frames.
    fn default() -> FabricConfig {
        FabricConfig {
            leaves: 4,
            spines: 4,
            hosts_per_leaf: 8,
            rate: BitsPerSec::from_mbps(10_000),
            delay: Ns::from_micros(10),
            queue_frames: 600,
            ecn_frames: Some(65),
        }
    }
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Of hosts.
    Leaf(u16),
    /// Of leaves.
    Spine(u16),
}

/// Which link leads where. Links of a world of one fabric are numbered host uplinks first, then leaf to spine, spine to leaf,
/// leaf to host.
#[derive(Clone, Debug)]
pub struct Fabric {
    /// Its sizes.
    pub config: FabricConfig,
    /// What each switch mixes into its hash.
    pub seed: u64,
}

impl Fabric {
    /// Hosts in all.
    pub fn hosts(&self) -> u16 {
        self.config.leaves * self.config.hosts_per_leaf
    }

    /// Links in all.
    pub fn links(&self) -> usize {
        let between = usize::from(self.config.leaves) * usize::from(self.config.spines);
        2 * (usize::from(self.hosts()) + between)
    }

    /// The leaf of a host.
    pub fn leaf_of(&self, host: HostId) -> u16 {
        host.0 / self.config.hosts_per_leaf.max(1)
    }

    /// From a host to its leaf.
    pub fn host_up(&self, host: HostId) -> usize {
        usize::from(host.0)
    }

    /// From a leaf to a spine.
    pub fn up(&self, leaf: u16, spine: u16) -> usize {
        usize::from(self.hosts()) + usize::from(leaf) * usize::from(self.config.spines) + usize::from(spine)
    }

    /// From a spine to a leaf.
    pub fn down(&self, spine: u16, leaf: u16) -> usize {
        self.up(leaf, spine) + usize::from(self.config.leaves) * usize::from(self.config.spines)
    }

    /// From its leaf to a host.
    pub fn host_down(&self, host: HostId) -> usize {
        self.links() - usize::from(self.hosts()) + usize::from(host.0)
    }

    /// What every link is at first. A host's own queue is as long as its stack cares to fill, and marks as a port does (Linux'
    /// `fq` with `ce_threshold`; the fabrics in ns-3 that rules like these were published with do the same). Otherwise a
    /// DCTCP sender whose own link is its bottleneck fills it up to the receiver's window, and every RTT is of that.
    pub fn link_config(&self, link: usize) -> LinkConfig {
        let FabricConfig { rate, delay, queue_frames, ecn_frames, .. } = self.config;
        let hosts = link < usize::from(self.hosts());
        let queue_bytes = if hosts { 64 << 20 } else { queue_frames * FRAME_BYTES };
        let ecn_bytes = ecn_frames.map(|frames| frames * FRAME_BYTES);
        LinkConfig { ecn_bytes, ..LinkConfig::new(rate, delay, queue_bytes) }
    }

    /// The switch at a link's end; `None` where that is a host.
    pub fn end(&self, link: usize) -> Option<Switch> {
        let (hosts, spines, leaves) = (usize::from(self.hosts()), self.config.spines, self.config.leaves);
        let between = usize::from(leaves) * usize::from(spines);
        if link < hosts {
            Some(Switch::Leaf(self.leaf_of(HostId(link as u16))))
        } else if link < hosts + between {
            Some(Switch::Spine(((link - hosts) % usize::from(spines)) as u16))
        } else if link < hosts + 2 * between {
            Some(Switch::Leaf(((link - hosts - between) / usize::from(spines)) as u16))
        } else {
            None
        }
    }

    /// The link by which a switch passes a frame on, and whether its VLAN tag has served; `None` for a host that is not
    /// there. `is_up` says which links work.
    pub fn forward(
        &self,
        at: Switch,
        route: &Route<'_>,
        is_up: impl Fn(usize) -> bool,
    ) -> Option<(usize, bool)> {
        if route.to.0 >= self.hosts() {
            return None;
        }
        let to_leaf = self.leaf_of(route.to);
        match at {
            Switch::Leaf(leaf) if leaf == to_leaf => Some((self.host_down(route.to), true)),
            Switch::Spine(spine) => Some((self.down(spine, to_leaf), false)),
            Switch::Leaf(leaf) => {
                let named = route.vlan.and_then(|vlan| vlan.checked_sub(PATH_VLAN));
                if let Some(spine) = named.filter(|spine| *spine < self.config.spines) {
                    return Some((self.up(leaf, spine), false));
                }
                let alive: Vec<u16> = (0..self.config.spines)
                    .filter(|spine| is_up(self.up(leaf, *spine)) && is_up(self.down(*spine, to_leaf)))
                    .collect();
                let count = alive.len().max(1) as u64;
                let chosen = route.hash(self.seed ^ u64::from(leaf)) % count;
                Some((self.up(leaf, alive.get(chosen as usize).copied().unwrap_or(0)), false))
            }
        }
    }

    /// The time in which the first frame and then all others of `bytes` would be there, were the network empty: what a
    /// slowdown is held against. The handshake's round trip is part of it, as it is of what is measured.
    pub fn ideal(&self, from: HostId, to: HostId, bytes: u64, mss: u32) -> Ns {
        let hops = if self.leaf_of(from) == self.leaf_of(to) { 2 } else { 4 };
        let headers = FRAME_BYTES - u64::from(mss);
        let time = |bytes: u64| bytes * 8_000_000_000 / self.config.rate.0.max(1);
        let one_way = |frame: u64| hops * (self.config.delay.0 + time(frame));
        let segments = bytes.div_ceil(u64::from(mss)).max(1);
        let last = bytes - (segments - 1) * u64::from(mss) + headers;
        // All frames but the last follow each other at the first link; the last one then crosses all hops.
        let before = time(bytes + segments * headers - last);
        Ns(2 * one_way(headers + 8) + before + one_way(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Envelope, SimFrame};
    use weir_engine::wire::IpVersion;

    fn fabric() -> Fabric {
        Fabric {
            config: FabricConfig { leaves: 3, spines: 2, hosts_per_leaf: 4, ..FabricConfig::default() },
            seed: 1,
        }
    }

    /// Walks a frame from its host to the last one.
    fn walk(fabric: &Fabric, from: HostId, frame: &SimFrame) -> Vec<usize> {
        let mut links = vec![fabric.host_up(from)];
        while let Some(switch) = fabric.end(links[links.len() - 1]) {
            let route = frame.route().unwrap();
            links.push(fabric.forward(switch, &route, |_| true).unwrap().0);
            assert!(links.len() <= 4);
        }
        links
    }

    #[test]
    fn every_pair_is_linked_by_two_or_four_hops_and_a_tag_names_the_spine() {
        let fabric = fabric();
        let mut seen = std::collections::BTreeSet::<usize>::new();
        for from in 0..fabric.hosts() {
            for to in (0..fabric.hosts()).filter(|to| *to != from) {
                let (from, to) = (HostId(from), HostId(to));
                let ends = ((from, 9), (to, 9));
                let envelope =
                    Envelope { version: IpVersion::V6, from: ends.0, to: ends.1, ecn: 0, flow_label: 5 };
                let mut frame = SimFrame::udp(&envelope, 100);
                let links = walk(&fabric, from, &frame);
                let same = fabric.leaf_of(from) == fabric.leaf_of(to);
                assert_eq!(links.len(), if same { 2 } else { 4 });
                assert_eq!(*links.last().unwrap(), fabric.host_down(to));
                seen.extend(&links);
                if !same {
                    frame.push_vlan(PATH_VLAN + 1);
                    assert_eq!(walk(&fabric, from, &frame)[1], fabric.up(fabric.leaf_of(from), 1));
                }
            }
        }
        assert_eq!(seen.len(), fabric.links(), "every link leads somewhere, and all are used");
    }
}
