//! Flows that try other actions than their network's.

use super::networks::{constant, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use std::collections::HashMap;
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::explore::Explorer;
use weir_engine::sampler::Draw;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{Noise, Sample, Source, apply_action};
use weir_snapshot::Parts;

const SIGMA_Q16: u32 = 1 << 15;

/// Every flow explores.
fn exploring() -> EngineConfig {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    settings.model = true;
    (settings.explore_share, settings.explore_sigma_q16) = (65_536, SIGMA_Q16);
    config
}

/// What is told in 3 s of so many flows of `network`.
fn samples(config: &EngineConfig, network: &Parts, flows: u16) -> Vec<Sample> {
    let mut world = World::new(config, Link::new(100, Ns::from_millis(10), 500_000), set(network));
    for flow in 1..=flows {
        world.connect(Sender::reno(flow, 1));
    }
    let samples = world.run_and_listen(Ns::from_secs(3));
    let stats = world.worker.stats();
    assert_eq!(stats.decisions_model + stats.decisions_explored, stats.inferences);
    samples
}

fn noise(sample: &Sample) -> Noise {
    *sample.noise().expect("every flow explores")
}

#[test]
fn an_action_is_output_and_noise_and_the_rate_follows_from_it() {
    let samples = samples(&exploring(), &constant(1 << 13), 4);
    let mut last = HashMap::<u64, Sample>::new();
    let mut chained = 0;
    for sample in &samples {
        let noise = noise(sample);
        assert_eq!((sample.output_q16, sample.generation, noise.sigma_q16), (1 << 13, 1, SIGMA_Q16));
        assert_eq!(sample.action_q16, sample.output_q16 + noise.noise_q16);
        if let Some(before) = last.insert(sample.flow, *sample)
            && sample.follows(&before)
        {
            chained += 1;
            assert_eq!(sample.rate_bps, apply_action(before.rate_bps, sample.action_q16));
        }
    }
    assert!(chained > 150, "{chained} of {}", samples.len());
    let mean = samples.iter().map(|sample| f64::from(noise(sample).noise_q16)).sum::<f64>() / 32_768.0;
    assert!(mean.abs() < 4.0 * (samples.len() as f64).sqrt(), "{mean}");
}

#[test]
fn noise_is_the_flows_own_sequence_decision_by_decision() {
    let samples = samples(&exploring(), &constant(0), 4);
    let explorer = Explorer::new(SIGMA_Q16).expect("not 0");
    let mut decisions = HashMap::<u64, u32>::new();
    for sample in &samples {
        let number = decisions.entry(sample.flow).or_default();
        // Decisions that were followed by an app-limited interval are not told of.
        let skipped =
            (1..100).find(|n| explorer.noise(Draw::Noise.nth(sample.flow, *number + n)) == noise(sample));
        *number += skipped.expect("a later one of the sequence");
    }
    assert_eq!(decisions.len(), 4);
    assert!(decisions.values().all(|number| *number > 40), "{decisions:?}");
}

#[test]
fn the_same_seed_explores_alike_and_another_does_not() {
    let mut config = exploring();
    let first = samples(&config, &latency_keeper(1.1), 3);
    assert_eq!(samples(&config, &latency_keeper(1.1), 3), first);
    config.seed += 1;
    let other = samples(&config, &latency_keeper(1.1), 3);
    let noises =
        |samples: &[Sample]| samples.iter().map(|sample| noise(sample).noise_q16).collect::<Vec<_>>();
    assert!(noises(&first).iter().filter(|noise| noises(&other).contains(noise)).count() * 20 < first.len());
}

#[test]
fn shares_are_drawn_one_after_the_other() {
    let mut config = exploring();
    let settings = pacing(&mut config);
    (settings.control_share, settings.explore_share, settings.sample_share) = (13_000, 20_000, 30_000);
    let samples = samples(&config, &latency_keeper(1.1), 64);
    let mut flows = [0; 3];
    let mut seen = std::collections::HashSet::new();
    for Sample { flow, source, .. } in &samples {
        let drawn = match (Draw::Control.hits(*flow, 13_000), Draw::Explore.hits(*flow, 20_000)) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        };
        let told = match source {
            Source::Model => 0,
            Source::Explored(_) => 1,
            Source::Control => 2,
        };
        assert_eq!(told, drawn);
        assert!(drawn > 0 || Draw::Sample.hits(*flow, 30_000));
        flows[told] += usize::from(seen.insert(*flow));
    }
    assert!(flows.iter().all(|flows| *flows >= 2), "{flows:?}");
}

#[test]
fn the_guard_bounds_what_exploring_does_and_the_sample_says_what_was_meant() {
    let mut config = exploring();
    let settings = pacing(&mut config);
    settings.explore_sigma_q16 = 3 << 16;
    settings.rate_max = BitsPerSec::from_mbps(20);
    let output = 9 << 16;
    let samples = samples(&config, &constant(output), 4);
    let mut bounded = 0;
    for sample in &samples {
        let meant = output + noise(sample).noise_q16;
        assert_eq!((sample.output_q16, sample.action_q16), (output, meant.min(10 << 16)));
        assert!(sample.rate_bps <= 20_000_000);
        bounded += usize::from(meant > 10 << 16);
    }
    assert!(bounded * 4 > samples.len() && bounded * 2 < samples.len(), "{bounded} of {}", samples.len());
}

#[test]
fn a_link_stays_full_while_every_flow_explores() {
    let mut world =
        World::new(&exploring(), Link::new(100, Ns::from_millis(10), 500_000), set(&latency_keeper(1.15)));
    for flow in 1..=4 {
        world.connect(Sender::reno(flow, 1));
    }
    world.run_for(Ns::from_secs(3));
    let (delivered, dropped) = (world.delivered(), world.link.dropped);
    world.run_for(Ns::from_secs(3));
    let utilisation = (world.delivered() - delivered) * 8 / 3_000_000;
    assert!(utilisation >= 85 && world.link.dropped == dropped, "{utilisation} %");
}
