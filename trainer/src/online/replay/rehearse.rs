//! A policy driven on a path from earlier, with exploration: what the live link no longer shows, shown again.

use crate::online::batch::{Batch, Row};
use crate::quantise::InputMap;
use crate::verify::network_inputs;
use weir_env::{Conditions, Controller, Ended, Policy, Preference, Reward, Rng, World};
use weir_features::{ACTION_MAX_Q16, INPUTS, ONE, apply_action};

/// Noise beyond this many standard deviations is cut off, as in the datapath.
const CUT: f64 = 3.0;
/// How often the time in which one flow with its fair share would decide often enough a rehearsal may take. Where nothing gets
/// through, nothing is decided, and decisions alone would never end it.
const PATIENCE: f64 = 10.0;

/// Explores with a policy, and writes down what a datapath's samples would say.
pub(super) struct Exploring<P> {
    policy: P,
    sigma: f64,
    reward: Reward,
    rng: Rng,
    flows: Vec<Vec<Decided>>,
}

/// A decision, and its outcome once it is known.
struct Decided {
    inputs: [i32; INPUTS],
    action: f64,
    noise: f64,
    reward: Option<f64>,
}

impl<P: Policy> Exploring<P> {
    pub(super) fn new(policy: P, sigma: f64, preference: Preference, seed: u64) -> Self {
        let reward = Reward::Preferred(preference);
        Self { policy, sigma, reward, rng: Rng::new(seed), flows: Vec::new() }
    }

    /// Appends some `rows` decisions under these conditions; fewer where hardly anything gets through.
    pub(super) fn append(
        mut self,
        conditions: &Conditions,
        inputs: &[InputMap],
        rows: usize,
        batch: &mut Batch,
    ) {
        self.flows.resize_with(conditions.flows.len(), Vec::new);
        let end_s = PATIENCE * rows as f64 * conditions.interval_s();
        World::new(conditions).run(end_s, rows as u64, &mut self);
        let mut row = Vec::with_capacity(inputs.len());
        for flow in &self.flows {
            for (at, decided) in flow.iter().enumerate() {
                // The newest decision's outcome is still to come.
                let Some(reward) = decided.reward else { continue };
                row.clear();
                row.extend(network_inputs(inputs, &decided.inputs).into_iter().map(|input| input as f32));
                batch.push(&Row {
                    inputs: &row,
                    action: decided.action as f32,
                    noise: decided.noise as f32,
                    log_prob: self.log_prob(decided.noise) as f32,
                    reward: reward as f32,
                    weight: 1.0,
                    continues: at > 0,
                    explored: true,
                    remembered: true,
                });
            }
        }
    }

    /// Of the Gaussian; the cut's constant is left out, as in the datapath's samples.
    fn log_prob(&self, noise: f64) -> f64 {
        -(noise / self.sigma).powi(2) / 2.0 - self.sigma.ln() - std::f64::consts::TAU.ln() / 2.0
    }
}

impl<P: Policy> Controller for Exploring<P> {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let Some(flow) = self.flows.get_mut(ended.flow) else { return ended.rate_bps };
        if ended.decided
            && let Some(last) = flow.last_mut()
        {
            last.reward = Some(self.reward.of(ended));
        }
        let noise = (self.sigma * self.rng.normal()).clamp(-CUT * self.sigma, CUT * self.sigma);
        let noise_q16 = (noise * f64::from(ONE)).round() as i32;
        let output_q16 = self.policy.act(ended.inputs);
        let taken_q16 = output_q16.saturating_add(noise_q16);
        flow.push(Decided {
            inputs: *ended.inputs,
            action: f64::from(taken_q16) / f64::from(ONE),
            noise,
            reward: None,
        });
        apply_action(ended.rate_bps, taken_q16.clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16))
    }
}
