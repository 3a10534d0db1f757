//! Episodes driven by the policy of the moment, with noise, and what came of each decision.

use super::actor::Actor;
use super::normal::Normal;
use super::task::{Plan, TRUTHS, Task, push_truths};
use crate::rng::Rng;
use weir_env::{Controller, Ended, Length, World};
use weir_features::{ACTION_MAX_Q16, ONE, apply_action};

/// Flows of one episode that are recorded; of those with more, the others fly along unrecorded, so that crowds do not
/// outweigh single flows.
const FLOWS_RECORDED: usize = 4;

/// Decisions in the order of their trajectories, as columns.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// What the policy was shown, row by row.
    pub(super) inputs: Vec<f32>,
    /// What the value network is shown.
    pub(super) critic: Vec<f32>,
    pub(super) actions: Vec<f32>,
    pub(super) log_probs: Vec<f32>,
    pub(super) rewards: Vec<f32>,
    /// How long the governed intervals were, in the units of the discount.
    pub(super) lengths: Vec<f32>,
    /// Whether the outcome is known; the next row is then the state that followed.
    pub(super) known: Vec<bool>,
}

/// The policy that acts: a network's answer with Gaussian noise.
#[derive(Debug)]
pub(super) struct Explorer {
    pub(super) actor: Actor,
    pub(super) log_std: f32,
    pub(super) normal: Normal,
}

impl Rollout {
    /// Runs whole episodes until so many outcomes are known.
    pub(super) fn collect(task: Task, explorer: &mut Explorer, decisions: usize, rng: &mut Rng) -> Self {
        let mut rollout = Self::default();
        let mut known = 0;
        while known < decisions {
            let plan = task.draw(rng);
            let mut recorder = Recorder {
                explorer,
                plan: &plan,
                tracks: Vec::new(),
                latest: Vec::new(),
                rng: Rng::new(rng.bits()),
            };
            recorder.begin(plan.conditions.flows.len());
            let (end_s, decisions) = match plan.conditions.length {
                Length::Decisions(decisions) => (f64::INFINITY, decisions),
                Length::Seconds(seconds) => (seconds, u64::MAX),
            };
            World::new(&plan.conditions).run(end_s, decisions, &mut recorder);
            for track in recorder.tracks {
                known += track.known.iter().filter(|&&known| known).count();
                rollout.append(track);
            }
        }
        rollout
    }

    /// Rows, known or not.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn append(&mut self, mut track: Rollout) {
        self.inputs.append(&mut track.inputs);
        self.critic.append(&mut track.critic);
        self.actions.append(&mut track.actions);
        self.log_probs.append(&mut track.log_probs);
        self.rewards.append(&mut track.rewards);
        self.lengths.append(&mut track.lengths);
        self.known.append(&mut track.known);
    }
}

/// Drives one episode and keeps a track of each of its first flows.
struct Recorder<'e> {
    explorer: &'e mut Explorer,
    plan: &'e Plan,
    tracks: Vec<Rollout>,
    /// The last reward of every flow that has one.
    latest: Vec<Option<f64>>,
    rng: Rng,
}

impl Controller for Recorder<'_> {
    fn begin(&mut self, flows: usize) {
        self.latest = vec![None; flows];
        self.tracks = (0..flows.min(FLOWS_RECORDED)).map(|_| Rollout::default()).collect();
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let Explorer { actor, log_std, normal } = &mut *self.explorer;
        let mut alone = Rollout::default();
        let track = self.tracks.get_mut(ended.flow).unwrap_or(&mut alone);
        let own = self.plan.reward.of(ended);
        if let Some(latest) = self.latest.get_mut(ended.flow) {
            *latest = Some(own);
        }
        let (count, sum) =
            self.latest.iter().flatten().fold((0.0, 0.0), |(count, sum), reward| (count + 1.0, sum + reward));
        if ended.decided
            && let (Some(reward), Some(known)) = (track.rewards.last_mut(), track.known.last_mut())
            && let (Some(length), Some(report)) = (track.lengths.last_mut(), ended.report)
        {
            let unit_ns = self.plan.unit_s.map_or(report.duration_ns as f64, |unit_s| unit_s * 1e9);
            *length = (report.duration_ns as f64 / unit_ns).min(LENGTH_MAX) as f32;
            *reward = (self.plan.scale * sum / count) as f32;
            *known = true;
        }
        let start = track.inputs.len();
        normal.push(ended.inputs, &self.plan.rest, &mut track.inputs);
        let inputs = &track.inputs[start..];
        track.critic.extend_from_slice(inputs);
        push_truths(ended, self.plan, &mut track.critic);
        let noise = self.rng.normal() as f32;
        let action = actor.answer(inputs) + noise * log_std.exp();
        track.actions.push(action);
        track.log_probs.push(-noise * noise / 2.0 - *log_std - HALF_LN_TAU);
        track.rewards.push(0.0);
        track.lengths.push(1.0);
        track.known.push(false);
        apply_action(ended.rate_bps, q16(GAIN * action))
    }
}

/// A longer interval counts as this long.
const LENGTH_MAX: f64 = 32.0;

/// The network's answer in training times this is the action: actions are an order of magnitude larger than what a fresh
/// network says. Folds into the last layer.
pub(super) const GAIN: f32 = 4.0;

/// ln(2 pi) / 2
const HALF_LN_TAU: f32 = 0.918_938_5;

/// An action in 1/65536, within the guard's limit.
pub(super) fn q16(action: f32) -> i32 {
    ((action * ONE as f32).round() as i32).clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16)
}

/// Width of what the value network is shown.
pub(super) fn critic_inputs(task: Task) -> usize {
    task.normal().len() + TRUTHS
}
