//! What nobody on a host can know: the queues on each path, what its links carry, and what else is on them.

use crate::conn::Conn;
use crate::fabric::Fabric;
use crate::link::Link;
use weir_engine::time::Ns;
use weir_env::math;

/// The truth about the paths of a flow that is about to send.
pub struct Truth<'a> {
    pub(crate) links: &'a mut [Link],
    pub(crate) conns: &'a [Conn],
    pub(crate) fabric: &'a Fabric,
    pub(crate) from_leaf: u16,
    pub(crate) to_leaf: u16,
    pub(crate) flow: u32,
    pub(crate) now: Ns,
}

/// Flows with less left do not count as users of a link: they are gone before they get a share.
const USER_BYTES: u64 = 100_000;
/// Reno's throughput under random loss p is this over the root of p, segments per round trip (Mathis et al., CCR 1997).
const MATHIS: f64 = 1.22;
/// Segments at a flow's end whose loss only a timeout finds.
const TAIL_SEGMENTS: f64 = 3.0;

impl Truth<'_> {
    /// How long a frame would wait in the queues on the path by this spine.
    pub fn wait(&mut self, spine: u16) -> Ns {
        let now = self.now;
        let (up, down) = (self.fabric.up(self.from_leaf, spine), self.fabric.down(spine, self.to_leaf));
        let mut wait = |link: usize| self.links.get_mut(link).map_or(Ns::ZERO, |link| link.wait(now));
        wait(up) + wait(down)
    }

    /// About how long the rest of the flow would take by each spine, as log2 of seconds: a round trip and the queues, then its
    /// bytes at a fair share of what the links carry, or at what a sender keeps up under the path's loss, whichever is less,
    /// and a timeout for a loss at its end.
    pub fn costs(&mut self) -> Vec<f64> {
        let spines = self.fabric.config.spines;
        let users = self.users();
        let Some(conn) = self.conns.get(self.flow as usize) else { return Vec::new() };
        let left = conn.spec.bytes.map_or(USER_BYTES, |bytes| bytes.saturating_sub(conn.delivered()));
        let mss = f64::from(conn.spec.tcp.mss);
        let (bytes, rto) = (left.max(1) as f64, seconds(conn.spec.tcp.rto_min));
        let round = 8.0 * seconds(self.fabric.config.delay);
        let nic = self.fabric.config.rate.0 as f64 / 8.0;
        (0..spines)
            .zip(users)
            .map(|(spine, (up_users, down_users))| {
                let wait = seconds(self.wait(spine));
                let (up, down) =
                    (self.fabric.up(self.from_leaf, spine), self.fabric.down(spine, self.to_leaf));
                let of = |link: usize| {
                    let config = self.links.get(link).map(Link::config);
                    config.map_or((0.0, 1.0), |config| (config.rate.0 as f64 / 8.0, config.loss))
                };
                let ((up_rate, up_loss), (down_rate, down_loss)) = (of(up), of(down));
                let share = (up_rate / f64::from(1 + up_users)).min(down_rate / f64::from(1 + down_users));
                let loss = 1.0 - (1.0 - up_loss) * (1.0 - down_loss);
                let kept = if loss > 0.0 { MATHIS * mss / (round + wait) / loss.sqrt() } else { nic };
                let tail = loss * TAIL_SEGMENTS.min((bytes / mss).ceil()) * rto;
                let time = round + wait + bytes / share.min(kept).min(nic).max(1.0) + tail;
                math::ln(time) * std::f64::consts::LOG2_E
            })
            .collect()
    }

    /// Flows besides this one on the link to each spine, and on the link from it.
    fn users(&self) -> Vec<(u32, u32)> {
        let mut users = vec![(0, 0); usize::from(self.fabric.config.spines)];
        for (conn, number) in self.conns.iter().zip(0..) {
            let Some(spine) = conn.spine.filter(|_| number != self.flow && conn.finished.is_none()) else {
                continue;
            };
            let left = conn.spec.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(conn.delivered()));
            if left < USER_BYTES {
                continue;
            }
            if let Some((up, down)) = users.get_mut(usize::from(spine)) {
                *up += u32::from(self.fabric.leaf_of(conn.spec.from) == self.from_leaf);
                *down += u32::from(self.fabric.leaf_of(conn.spec.to) == self.to_leaf);
            }
        }
        users
    }
}

fn seconds(time: Ns) -> f64 {
    time.0 as f64 / 1e9
}
