//! What is trained: in which world, for which reward, with what shown to whom.

use super::normal::Normal;
use crate::rng::Rng;
use weir_env::{Conditions, Ended, Preference, Reward, published, wide};

/// What a policy is trained for.
#[derive(Debug, Clone, Copy)]
pub enum Task {
    /// Aurora's published world and reward.
    Published,
    /// The wide world, [`Reward::Fair`].
    Wide,
    /// One flow for each link of the wide world, MOCC's reward at any preference, which the network is shown.
    Preferences,
    /// One flow under conditions of the caller's, by seed, and MOCC's reward at its default preference.
    Given(fn(u64) -> Conditions),
}

/// One episode to come.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) conditions: Conditions,
    pub(super) reward: Reward,
    /// What the network is shown besides the features.
    pub(super) rest: Vec<f32>,
    /// Rewards are multiplied by this, so that fast and slow links weigh the same.
    pub(super) scale: f64,
    /// The time that the discount is for, in seconds: that of an interval of a flow with its fair share. `None`: intervals
    /// count alike, whatever their length, as in the published world. Where time counts they must not: a slow flow, whose
    /// intervals are long, would have no reason to hurry.
    pub(super) unit_s: Option<f64>,
}

/// What the value network is shown besides the policy's inputs. It serves only in training, and may know the truth.
pub(super) const TRUTHS: usize = 6;

impl Task {
    /// What the policy's inputs are normalised by.
    pub fn normal(self) -> Normal {
        match self {
            Task::Published | Task::Wide | Task::Given(_) => Normal::features(),
            Task::Preferences => Normal::preference(),
        }
    }

    pub(super) fn draw(self, rng: &mut Rng) -> Plan {
        match self {
            Task::Published => {
                let conditions = published::draw(rng);
                // The reward of a full link and no latency, 10 packets per second / 1000, becomes 1.
                let packets_per_s = conditions.link.capacity_bps / (8.0 * f64::from(weir_env::PACKET_BYTES));
                Plan {
                    conditions,
                    reward: Reward::Published,
                    rest: Vec::new(),
                    scale: 100.0 / packets_per_s,
                    unit_s: None,
                }
            }
            Task::Wide => {
                let conditions = wide::draw(rng);
                let unit_s = Some(conditions.interval_s());
                Plan { conditions, reward: Reward::Fair, rest: Vec::new(), scale: 1.0, unit_s }
            }
            Task::Preferences => {
                let (preference, conditions) = (preference(rng), wide::draw_alone(rng));
                let unit_s = Some(conditions.interval_s());
                let rest = shown(&preference);
                Plan { conditions, reward: Reward::Preferred(preference), rest, scale: 1.0, unit_s }
            }
            Task::Given(conditions) => Plan {
                conditions: conditions(rng.bits()),
                reward: Reward::Preferred(Preference::DEFAULT),
                rest: Vec::new(),
                scale: 1.0,
                unit_s: None,
            },
        }
    }

    /// Episodes by which checkpoints are compared, and what each shows the network. Not those of the card: the best of
    /// many is lucky on the set that it was chosen by.
    pub(super) fn selection(self, episodes: usize) -> Vec<Plan> {
        let mut rng = Rng::new(SELECTION_SEED);
        (0..episodes).map(|_| self.draw(&mut rng)).collect()
    }

    /// Links that a network is to keep full with a short queue, alone and with three others; by them, too, checkpoints
    /// are compared. Not those of the card.
    pub(super) fn cells(self) -> Vec<Conditions> {
        match self {
            Task::Published | Task::Given(_) | Task::Preferences => Vec::new(),
            Task::Wide => [1, 4].into_iter().flat_map(wide::between).map(|cell| cell.conditions).collect(),
        }
    }
}

const SELECTION_SEED: u64 = 0x5e1e_c710;

/// The inputs of a preference.
pub(super) fn shown(preference: &Preference) -> Vec<f32> {
    preference.weights().map(|weight| weight as f32).to_vec()
}

/// Half of the time one of MOCC's 36 landmarks (multiples of 0.1, none of them 0), half of the time any preference.
fn preference(rng: &mut Rng) -> Preference {
    if rng.unit() < 0.5 {
        let all = landmarks();
        return all[rng.below(all.len())];
    }
    // Uniform on the simplex: the gaps between two cuts of the unit interval.
    let (a, b) = (rng.unit(), rng.unit());
    let (low, high) = (a.min(b), a.max(b));
    Preference { throughput: low, latency: high - low, loss: 1.0 - high }
}

/// MOCC's landmark preferences: the grid of step 0.1 within the simplex.
pub fn landmarks() -> Vec<Preference> {
    let tenths = |n: u32| f64::from(n) / 10.0;
    (1..=8u32)
        .flat_map(|throughput| (1..=9 - throughput).map(move |latency| (throughput, latency)))
        .map(|(throughput, latency)| Preference {
            throughput: tenths(throughput),
            latency: tenths(latency),
            loss: tenths(10 - throughput - latency),
        })
        .collect()
}

/// Appends what only the value network is shown, about unit size.
pub(super) fn push_truths(ended: &Ended<'_>, plan: &Plan, row: &mut Vec<f32>) {
    let truth = &ended.truth;
    let share_bps = truth.capacity_bps / truth.flows.max(1) as f64;
    let link = &plan.conditions.link;
    let truths: [f64; TRUTHS] = [
        (ended.rate_bps as f64 / share_bps).ln(),
        (truth.queue_s / truth.empty_rtt_s).min(4.0),
        (share_bps / 1e7).ln() / 4.0,
        (truth.empty_rtt_s / 1e-2).ln() / 4.0,
        (link.queue_bytes / link.bdp_bytes()).ln() / 2.0,
        (link.loss * 20.0).min(2.0),
    ];
    row.extend(truths.map(|truth| truth.clamp(-4.0, 4.0) as f32));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_on_the_simplex_and_half_of_them_landmarks() {
        let all = landmarks();
        assert_eq!(all.len(), 36);
        let mut rng = Rng::new(2);
        let mut found = 0;
        for _ in 0..2000 {
            let preference = preference(&mut rng);
            assert!(Preference::from_weights(preference.weights()).is_some(), "{preference:?}");
            found += u32::from(all.contains(&preference));
        }
        assert!((900..1100).contains(&found), "{found}");
    }
}
