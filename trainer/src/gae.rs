//! Generalised advantage estimation (Schulman et al., ICLR 2016): how much better an action turned out than the value
//! network had expected.
//!
//! ```text
//! delta_t = r_t + discount * V(s_t+1) - V(s_t)
//! A_t     = delta_t + discount * lambda * A_t+1     where step t + 1 is in the same trajectory, else delta_t
//! ```
//!
//! The value target of step t is `A_t + V(s_t)`.

/// One step of a trajectory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Reward of the action taken.
    pub reward: f64,
    /// What the value network says of the state that the action was taken in.
    pub value: f64,
    /// What it says of the state that followed: 0 for a state that ends the task, its value where a trajectory is only
    /// cut off.
    pub next_value: f64,
    /// Whether the step after this one in the slice is the next of the same trajectory.
    pub leads_on: bool,
}

/// The advantage of each step, where each takes the same time.
pub fn advantages(steps: &[Step], discount: f64, lambda: f64) -> Vec<f64> {
    timed_advantages(steps, |_| 1.0, discount, lambda)
}

/// The advantage of each step, where step `i` takes `length(i)` times the time that `discount` is for: a long step's reward
/// counts for all of it, and what follows is worth less (a semi-Markov decision process: Bradtke and Duff, 1995). With
/// `d = discount ^ length`, in place of `discount` and of a reward for one step:
///
/// ```text
/// delta_t = r_t (1 - d) / (1 - discount) + d V(s_t+1) - V(s_t)
/// ```
pub fn timed_advantages(
    steps: &[Step],
    length: impl Fn(usize) -> f64,
    discount: f64,
    lambda: f64,
) -> Vec<f64> {
    let mut found = vec![0.0; steps.len()];
    let mut later = 0.0;
    for (at, (step, advantage)) in steps.iter().zip(&mut found).enumerate().rev() {
        let length = length(at);
        let (d, time) = match discount {
            1.0 => (1.0, length),
            _ => (discount.powf(length), (1.0 - discount.powf(length)) / (1.0 - discount)),
        };
        let delta = step.reward * time + d * step.next_value - step.value;
        later = delta + if step.leads_on { d * lambda * later } else { 0.0 };
        *advantage = later;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(rewards: &[f64], values: &[f64], last: f64) -> Vec<Step> {
        let next = values.iter().skip(1).copied().chain(std::iter::once(last));
        let count = rewards.len();
        let step = |(at, ((&reward, &value), next_value)): (usize, ((&f64, &f64), f64))| Step {
            reward,
            value,
            next_value,
            leads_on: at + 1 < count,
        };
        rewards.iter().zip(values).zip(next).enumerate().map(step).collect()
    }

    #[test]
    fn lambda_one_is_the_discounted_return_and_lambda_zero_one_step() {
        let (discount, last) = (0.9, 5.0);
        let (rewards, values) = ([1.0, 2.0, 3.0], [0.5, -1.0, 4.0]);
        let steps = steps(&rewards, &values, last);
        let monte_carlo = advantages(&steps, discount, 1.0);
        let returned = 1.0 + 0.9 * 2.0 + 0.81 * 3.0 + 0.729 * last;
        assert!((monte_carlo[0] - (returned - values[0])).abs() < 1e-12, "{monte_carlo:?}");
        let one_step = advantages(&steps, discount, 0.0);
        assert!((one_step[1] - (2.0 + 0.9 * values[2] - values[1])).abs() < 1e-12, "{one_step:?}");
    }

    #[test]
    fn two_steps_in_one_are_worth_the_two() {
        let (discount, last) = (0.9, 5.0);
        let short = steps(&[3.0, 3.0, 1.0], &[0.5, 0.0, 4.0], last);
        let long = steps(&[3.0, 1.0], &[0.5, 4.0], last);
        let expected = advantages(&short, discount, 1.0)[0];
        let found = timed_advantages(&long, |at| if at == 0 { 2.0 } else { 1.0 }, discount, 1.0)[0];
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        let undiscounted = timed_advantages(&long, |_| 2.0, 1.0, 1.0)[0];
        assert!((undiscounted - (6.0 + 2.0 + last - 0.5)).abs() < 1e-12, "{undiscounted}");
    }

    #[test]
    fn nothing_flows_from_one_trajectory_to_another() {
        let mut two = steps(&[1.0, 2.0], &[0.0, 0.0], 7.0);
        let alone = advantages(&two, 0.99, 0.95);
        two.extend(steps(&[100.0], &[0.0], 0.0));
        assert_eq!(advantages(&two, 0.99, 0.95)[..2], alone[..]);
    }
}
