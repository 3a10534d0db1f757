use super::*;
use crate::reward::{Preference, Reward};
use crate::{Conditions, Estimates, Scores, evaluate, published};
use weir_features::PacingSpec;

fn on(
    capacity_bps: f64,
    base_rtt_s: f64,
    loss: f64,
    flows: usize,
    controller: &mut dyn Controller,
) -> Scores {
    let queue_bytes = capacity_bps * base_rtt_s / 8.0;
    let estimates = Estimates { capacity_bps, base_rtt_s, queue_bytes, loss, jitter_s: 0.0, flows };
    let conditions = Conditions::estimated(&estimates, &PacingSpec::default(), 3);
    evaluate(controller, &[conditions], Reward::Preferred(Preference::DEFAULT))
}

#[test]
fn cubic_fills_a_queue_until_it_loses_and_gives_way_to_random_loss() {
    let scores = on(1e7, 0.02, 0.0, 2, &mut CubicLike::default());
    let found = scores.episodes[0].measured;
    assert!(found.utilisation > 0.85 && found.rtt_ratio > 1.2 && found.loss > 0.0, "{found:?}");
    let lossy = on(1e7, 0.1, 0.02, 2, &mut CubicLike::default()).episodes[0].measured;
    assert!(lossy.utilisation < 0.6, "{lossy:?}");
}

#[test]
fn bbr_fills_a_link_whatever_it_loses_at_random_and_no_more_than_its_window() {
    for loss in [0.0, 0.02] {
        // Several flows that each remember their best round fill the queue up to BBR's window, two BDPs.
        for (flows, rtt_ratio) in [(1, 1.3), (4, 2.05)] {
            let found = on(1e8, 0.02, loss, flows, &mut BbrLike::default()).episodes[0].measured;
            assert!(found.utilisation > 0.9, "{loss} {flows}: {found:?}");
            assert!(found.rtt_ratio < rtt_ratio, "{loss} {flows}: {found:?}");
        }
    }
}

/// A re-implementation of the published simulator gave 455 for a held rate over 400 episodes of its own; the standard error
/// of such a mean is 40 to 47.
#[test]
fn a_held_rate_scores_as_published() {
    let scores = evaluate(&mut Hold, &published::evaluation(), Reward::Published);
    let episode = scores.reward().times(400.0);
    assert!((episode.mean - 455.0).abs() < episode.standard_error, "{episode:.1}");
    assert!((scores.utilisation().mean - 0.80).abs() < 0.03, "{}", scores.utilisation());
}
