//! Section `[schedule]`: who leaves first, and how fast the link is.

use super::error::ConfigError;
use super::source::Source;
use super::units::{Rate, Share, Size, Span, Whole};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use weir_engine::schedule::{PRIORITIES, ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_env::Sizes;
use weir_features::SizeSpec;

/// The keys of `[schedule]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleKeys {
    rule: RuleKey,
    pub(super) model: Option<String>,
    link_rate: Rate,
    #[serde(default = "default_overhead")]
    overhead_bytes: Whole<0, 256>,
    #[serde(default = "default_burst")]
    burst: Size,
    #[serde(default = "default_queue_frames_max")]
    queue_frames_max: Whole<16, 1_048_576>,
    #[serde(default = "default_peers_max")]
    peers_max: Whole<8, 16_777_216>,
    #[serde(default = "default_wait_max")]
    wait_max: Span,
    mark_frames: Option<Whole<1, 1_048_576>>,
    sizes: Option<String>,
    size_thresholds: Option<[Size; PRIORITIES - 1]>,
    ageing_thresholds: Option<[Size; PRIORITIES - 1]>,
    #[serde(default = "default_predicted_min")]
    predicted_min: Size,
    #[serde(default = "default_predicted_max")]
    predicted_max: Size,
    #[serde(default = "default_other_priority")]
    other_priority: Whole<0, { PRIORITIES as u64 - 1 }>,
    #[serde(default = "Share::of_control")]
    control_share: Share,
    #[serde(default = "default_sample_share")]
    sample_share: Share,
    #[serde(default)]
    trust: TrustKey,
    dscp: Option<[Whole<0, 63>; PRIORITIES]>,
    pcp: Option<[Whole<0, 7>; PRIORITIES]>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RuleKey {
    Fifo,
    Ageing,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum TrustKey {
    Trust,
    Remark,
    #[default]
    Ignore,
}

/// Ethernet: preamble, checksum and gap.
fn default_overhead() -> Whole<0, 256> {
    Whole::clamped(24)
}
/// What 10 Gb/s carries in 52 us, which is more than a turn takes.
fn default_burst() -> Size {
    Size(64 << 10)
}
fn default_queue_frames_max() -> Whole<16, 1_048_576> {
    Whole::clamped(4_096)
}
fn default_peers_max() -> Whole<8, 16_777_216> {
    Whole::clamped(16_384)
}
/// Far below TCP's least retransmission timeout, 200 ms in Linux.
fn default_wait_max() -> Span {
    Span(Ns::from_millis(50))
}
fn default_predicted_min() -> Size {
    Size(100)
}
fn default_predicted_max() -> Size {
    Size(10_000_000_000)
}
/// A flow's size becomes known whatever is predicted, and a record at its end costs little.
fn default_sample_share() -> Share {
    Share(1.0)
}
/// In the middle.
fn default_other_priority() -> Whole<0, { PRIORITIES as u64 - 1 }> {
    Whole::clamped(3)
}

/// A frame that waits longer has been given up by its sender.
const WAIT_MAX: Span = Span(Ns::from_secs(1));
/// A full frame takes less than a second, and the engine's arithmetic begins here.
const RATE_MIN: Rate = Rate(BitsPerSec(16_000));
/// Terabit Ethernet.
const RATE_MAX: Rate = Rate(BitsPerSec(1_000_000_000_000));
/// One full frame with two VLAN tags.
const BURST_MIN: Size = Size(1_522);
const BURST_MAX: Size = Size(1 << 30);

/// The checked section. `spec` is how its model reads features.
pub(super) fn check(
    keys: &ScheduleKeys,
    spec: Option<&SizeSpec>,
    source: &Source,
) -> Result<ScheduleConfig, ConfigError> {
    let refuse = |key: &str, reason: String| Err(source.error(&format!("schedule.{key}"), reason));
    let (link_rate, burst, wait_max) = (keys.link_rate, keys.burst, keys.wait_max);
    if !(RATE_MIN..=RATE_MAX).contains(&link_rate) {
        return refuse("link_rate", format!("expected from {RATE_MIN} to {RATE_MAX}, found {link_rate}"));
    }
    if !(BURST_MIN..=BURST_MAX).contains(&burst) {
        return refuse(
            "burst",
            format!("expected from {BURST_MIN}, one full frame, to {BURST_MAX}, found {burst}"),
        );
    }
    if wait_max.0 == Ns::ZERO || wait_max > WAIT_MAX {
        return refuse("wait_max", format!("expected more than 0 and at most {WAIT_MAX}, found {wait_max}"));
    }
    let (low, high) = (keys.predicted_min, keys.predicted_max);
    if low > high {
        return refuse(
            "predicted_max",
            format!("expected at least schedule.predicted_min = {low}, found {high}"),
        );
    }
    if let Some(frames) = &keys.mark_frames
        && frames.get() >= keys.queue_frames_max.get()
    {
        let most = keys.queue_frames_max.get();
        return refuse(
            "mark_frames",
            format!("expected less than schedule.queue_frames_max = {most}, found {}", frames.get()),
        );
    }
    let marks = keys.dscp.is_some() || keys.pcp.is_some();
    match keys.trust {
        TrustKey::Trust if keys.dscp.is_none() => {
            return refuse(
                "trust",
                "\"trust\" needs schedule.dscp: the DSCP of each priority, most urgent first".to_owned(),
            );
        }
        TrustKey::Remark if !marks => {
            return refuse(
                "trust",
                "\"remark\" needs schedule.dscp or schedule.pcp: the mark of each priority, most urgent first"
                    .to_owned(),
            );
        }
        TrustKey::Ignore if marks => {
            let key = if keys.dscp.is_some() { "dscp" } else { "pcp" };
            let reason =
                "expected only with schedule.trust = \"trust\" or \"remark\": \"ignore\" writes no marks";
            return refuse(key, reason.to_owned());
        }
        _ => {}
    }
    let dscp = keys.dscp.as_ref().map(|marks| marks.each_ref().map(|mark| mark.get() as u8));
    if let (TrustKey::Trust, Some(marks)) = (keys.trust, &dscp) {
        for (at, mark) in marks.iter().enumerate() {
            if marks[..at].contains(mark) {
                return refuse(
                    &format!("dscp[{at}]"),
                    format!("expected each mark once where marks are trusted, found {mark} twice"),
                );
            }
        }
    }
    Ok(ScheduleConfig {
        rule: match keys.rule {
            RuleKey::Fifo => ScheduleRule::Fifo,
            RuleKey::Ageing => ScheduleRule::Ageing,
        },
        model: keys.model.is_some(),
        spec: spec.cloned().unwrap_or_default(),
        link_rate: link_rate.0,
        overhead_bytes: keys.overhead_bytes.get() as u32,
        burst_bytes: u32::try_from(burst.0).unwrap_or(u32::MAX),
        queue_frames_max: keys.queue_frames_max.get_u32(),
        peers_max: keys.peers_max.get_u32(),
        wait_max: wait_max.0,
        mark_frames: keys.mark_frames.as_ref().map_or(0, |frames| frames.get_u32()),
        size_thresholds: size_thresholds(keys, source)?,
        ageing_thresholds: match &keys.ageing_thresholds {
            Some(sizes) => ascending("ageing_thresholds", sizes, source)?,
            None => Thresholds::PIAS_WEB_SEARCH,
        },
        predicted_min: low.0,
        predicted_max: high.0,
        other_priority: keys.other_priority.get() as u8,
        control_share: keys.control_share.in_65536(),
        sample_share: keys.sample_share.in_65536(),
        trust: match keys.trust {
            TrustKey::Trust => Trust::Trust,
            TrustKey::Remark => Trust::Remark,
            TrustKey::Ignore => Trust::Ignore,
        },
        dscp,
        pcp: keys.pcp.as_ref().map(|marks| marks.each_ref().map(|mark| mark.get() as u8)),
    })
}

/// What parts the priorities of predicted sizes: said outright, or equal parts of a distribution's load.
fn size_thresholds(keys: &ScheduleKeys, source: &Source) -> Result<Thresholds, ConfigError> {
    match (&keys.size_thresholds, &keys.sizes) {
        (Some(_), Some(_)) => {
            let reason = "expected either schedule.sizes or schedule.size_thresholds";
            Err(source.error("schedule.sizes", reason))
        }
        (Some(sizes), None) => ascending("size_thresholds", sizes, source),
        (None, Some(file)) => {
            let file = source.resolve(file);
            let wrong = |reason| source.error("schedule.sizes", format!("{}: {reason}", file.display()));
            let text = read(&file).map_err(|error| wrong(error.to_string()))?;
            let sizes = Sizes::parse(&text, None).map_err(|error| wrong(error.to_string()))?;
            Thresholds::equal_load(sizes.points())
                .ok_or_else(|| wrong("expected flows of more than 0 bytes".to_owned()))
        }
        (None, None) if keys.model.is_some() => {
            let reason = "a model needs schedule.sizes, a distribution of flow sizes such as \"workloads/web-search.csv\", \
                          or seven schedule.size_thresholds";
            Err(source.error("schedule.model", reason))
        }
        // Nobody asks.
        (None, None) => Ok(Thresholds::PIAS_WEB_SEARCH),
    }
}

fn ascending(key: &str, sizes: &[Size; PRIORITIES - 1], source: &Source) -> Result<Thresholds, ConfigError> {
    for (at, pair) in sizes.windows(2).enumerate() {
        if let [before, next] = pair
            && next < before
        {
            let key = format!("schedule.{key}[{}]", at + 1);
            return Err(
                source.error(&key, format!("expected at least {before}, the one before, found {next}"))
            );
        }
    }
    Ok(Thresholds(sizes.each_ref().map(|size| size.0)))
}

/// Longest file of a distribution.
const FILE_MAX: u64 = 1 << 20;

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}
