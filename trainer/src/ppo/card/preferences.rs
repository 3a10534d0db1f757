//! The results of a model that is shown a preference: what it earns at several, and how it behaves by them.

use super::{Judged, SHOWN, all, cells, weights};
use crate::ppo::Recipe;
use crate::reward::Preference;
use crate::rng::Rng;
use std::fmt::Write;
use weir_env::{Episode, Estimate, Reward, Scores, wide};

/// MOCC's three bootstrapping objectives, then the corners of its landmarks.
pub(super) const PREFERENCES: [Preference; 6] = [
    Preference::DEFAULT,
    Preference { throughput: 0.1, latency: 0.6, loss: 0.3 },
    Preference { throughput: 0.3, latency: 0.1, loss: 0.6 },
    Preference { throughput: 0.8, latency: 0.1, loss: 0.1 },
    Preference { throughput: 0.1, latency: 0.8, loss: 0.1 },
    Preference { throughput: 0.1, latency: 0.1, loss: 0.8 },
];

const FLOWS: usize = 4;

/// The section of the card, of the models for [`PREFERENCES`].
pub(super) fn results(recipe: &Recipe, models: &[Judged]) -> String {
    let (seed, episodes) = wide::EVALUATION;
    let mut rng = Rng::new(seed);
    let alone: Vec<_> = (0..episodes.min(recipe.evaluation)).map(|_| wide::draw_alone(&mut rng)).collect();
    let shared = cells(recipe.evaluation, FLOWS);
    let over = |set: &[_]| -> Vec<(Preference, Vec<(String, Scores)>)> {
        let at = |model: &Judged| {
            let preference = model.preference?;
            Some((preference, all(model, set, Reward::Preferred(preference))))
        };
        models.iter().filter_map(at).collect()
    };
    let (alone, together) = (over(&alone), over(&shared));
    format!(
        "## Results

{episodes} paired episodes of one flow in the wide world, other seeds than in training; mean and standard error. Preferences are
weights of throughput, latency and loss; the first three are those that MOCC begins with. Reward per interval, weighted by
time, 0 to 1:

{rewards}
`above`: paired difference of the 8-bit snapshot's reward from that of the best of the first three.

What a preference changes: utilisation, RTT over base and drops at the queue after the first quarter of the same episodes.
The other controllers know no preference.

{conduct}
Paired differences of the 8-bit snapshot at {latency} from that at {throughput}:
{differences}.

{FLOWS} flows that share, each with the model: a grid of 1 Mb/s to 10 Gb/s and 50 us to 1 s with queues of 0.5 and 2 BDP, on an
ordinary host.

{shared}",
        episodes = alone.first().and_then(|(_, all)| all.first()).map_or(0, |(_, scores)| scores.episodes.len()),
        rewards = rewards(&alone),
        conduct = conduct(&alone, false),
        latency = weights(&PREFERENCES[1]),
        throughput = weights(&PREFERENCES[0]),
        differences = differences(&alone),
        shared = conduct(&together, true),
    )
}

type Results = [(Preference, Vec<(String, Scores)>)];

/// A row for each preference, a column for each controller.
fn rewards(results: &Results) -> String {
    let mut text = String::from("| preference |");
    let names = results.first().map_or(&[][..], |(_, all)| all);
    let rule = "| --- ".repeat(names.len() + 2);
    for (name, _) in names {
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, " {name} |");
    }
    let _ = writeln!(text, " above |\n{rule}|");
    for (preference, all) in results {
        let _ = write!(text, "| {} |", weights(preference));
        for (_, scores) in all {
            let _ = write!(text, " {:.3} |", scores.reward());
        }
        let others = all.iter().take(BASELINES).map(|(_, scores)| scores);
        let best = others.max_by(|a, b| a.reward().mean.total_cmp(&b.reward().mean));
        match (shown(all), best) {
            (Some(own), Some(best)) => {
                let _ = writeln!(text, " {:.3} |", own.reward_above(best));
            }
            _ => text.push_str(" |\n"),
        }
    }
    text
}

/// Controllers before the network.
const BASELINES: usize = 3;

fn shown(all: &[(String, Scores)]) -> Option<&Scores> {
    all.iter().find(|(name, _)| name == SHOWN).map(|(_, scores)| scores)
}

/// A row for each baseline, then one for each preference; with Jain's index where flows share.
fn conduct(results: &Results, shared: bool) -> String {
    let (head, rule) = if shared { (" Jain |", " --- |") } else { ("", "") };
    let mut text = format!(
        "| controller | utilisation | RTT/base | dropped, % |{head}\n| --- | --- | --- | --- |{rule}\n"
    );
    let mut row = |name: &str, scores: &Scores| {
        let (utilisation, rtt, lost) = (scores.utilisation(), scores.rtt_ratio(), scores.loss().times(100.0));
        let _ = write!(text, "| {name} | {utilisation:.3} | {rtt:.3} | {lost:.2} |");
        let _ = if shared { writeln!(text, " {:.3} |", scores.fairness()) } else { writeln!(text) };
    };
    for (name, scores) in results.iter().take(1).flat_map(|(_, all)| all.iter().take(BASELINES)) {
        row(name, scores);
    }
    for (preference, all) in results {
        if let Some(scores) = shown(all) {
            row(&weights(preference), scores);
        }
    }
    text
}

/// Of the model for the second preference from that for the first.
fn differences(results: &Results) -> String {
    let [(_, first), (_, second), ..] = results else { return String::new() };
    let (Some(first), Some(second)) = (shown(first), shown(second)) else { return String::new() };
    let of = |figure: fn(&Episode) -> f64| {
        let pairs = second.episodes.iter().zip(&first.episodes);
        Estimate::of(pairs.map(|(second, first)| figure(second) - figure(first)))
    };
    format!(
        "utilisation {:.3}, RTT/base {:.3}",
        of(|episode| episode.measured.utilisation),
        of(|episode| episode.measured.rtt_ratio)
    )
}
