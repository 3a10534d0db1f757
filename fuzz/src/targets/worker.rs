//! Whole workers, one to four of them, as a wire or as a router, fed frame by frame: the books balance after every turn,
//! each worker's and all together, and every frame is somewhere.

use super::ports::{Counted, Ports, answer};
use super::{Target, parser};
use crate::mutate::one_in;
use crate::seeds;
use std::net::IpAddr;
use std::rc::Rc;
use weir_engine::balance::{BalanceConfig, BalanceSettings, Draws, Ends, PathConfig, PathRule, Wrap};
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::limit::{LimitConfig, Limits, Scope};
use weir_engine::policy::Policy;
use weir_engine::route::{Prefix, RouteConfig, RouteSide};
use weir_engine::schedule::{ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::steer::Steering;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::{Tally, Verdict};
use weir_features::{PacingSpec, SizeSpec};
use weir_handoff::{Reader, epoch, lane};
use weir_trainer::rng::Rng;

/// The input is one byte for the configuration, and then steps: what happens (see [`Step`]), how long before, the
/// frame's length in two bytes, and the frame.
pub(crate) struct Worker {
    frames: Vec<Vec<u8>>,
    connection: Vec<(bool, Vec<u8>)>,
}

impl Worker {
    pub(crate) fn new() -> Worker {
        Worker { frames: seeds::frames(1_600), connection: seeds::connection() }
    }
}

/// Bits of a step's first byte.
struct Step;
impl Step {
    const OUTSIDE: u8 = 1;
    /// More frames come in the same turn.
    const MORE: u8 = 1 << 1;
    /// Only the first half of the frame is in the first segment.
    const SPLIT: u8 = 1 << 2;
    /// The ports take nothing in this turn.
    const STUCK: u8 = 1 << 3;
    /// From here on: the queue at which the frame arrives.
    const QUEUE: u32 = 4;
}

/// Bits of the first byte of an input, beyond those of [`config`].
struct Setup;
impl Setup {
    const ROUTES: u8 = 1 << 4;
    /// From here on, two bits: how many workers there are besides the first.
    const WORKERS: u32 = 5;
    /// Who is asked for on a link answers.
    const ANSWERS: u8 = 1 << 7;
}

/// Frames that a steering lane holds: few, so that it fills.
const LANE: usize = 8;

/// One worker with its ports.
struct Member {
    worker: weir_engine::Worker<Counted>,
    ports: Ports,
    models: Reader<Policy>,
}

/// Waits that a step chooses from: nothing, a burst, a slot, an interval, an idle flow.
const WAITS: [Ns; 6] =
    [Ns::ZERO, Ns(700), Ns(9_000), Ns::from_millis(1), Ns::from_millis(40), Ns::from_secs(5)];

/// Offsets in an untagged IPv4 frame without options.
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
const SEQ: usize = 38;
const ACK: usize = 42;

impl Target for Worker {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let mut input = vec![rng.bits() as u8];
        let mut progress = [0; 4];
        let mut sent: u32 = 0;
        for _ in 0..20 + rng.below(80) {
            let flow = rng.below(progress.len());
            let (inside, mut frame) = match rng.below(10) {
                0..4 => {
                    // The connection goes on; its end is seldom reached.
                    let next = &mut progress[flow];
                    let step = self.connection[*next].clone();
                    *next =
                        if *next < 4 || one_in(rng, 6) { (*next + 1) % self.connection.len() } else { *next };
                    step
                }
                4..6 => {
                    let (inside, mut data) = self.connection[3].clone();
                    sent = sent.wrapping_add(rng.below(200) as u32);
                    shift(&mut data, SEQ, sent);
                    (inside, data)
                }
                6..8 => {
                    let (inside, mut answer) = self.connection[4].clone();
                    shift(&mut answer, ACK, rng.below(sent as usize + 100) as u32);
                    (inside, answer)
                }
                _ => (one_in(rng, 2), parser::damaged(rng, &self.frames)),
            };
            let port = if inside { SOURCE_PORT } else { DESTINATION_PORT };
            if let Some(byte) = frame.get_mut(port + 1) {
                *byte = byte.wrapping_add(flow as u8);
            }
            let mut step = if inside { 0 } else { Step::OUTSIDE };
            for (bit, rarity) in [(Step::MORE, 2), (Step::SPLIT, 20), (Step::STUCK, 10)] {
                step |= if one_in(rng, rarity) { bit } else { 0 };
            }
            step |= (rng.below(4) as u8) << Step::QUEUE;
            input.extend([step, rng.below(WAITS.len()) as u8]);
            input.extend((frame.len() as u16).to_le_bytes());
            input.extend(frame);
        }
        input
    }

    fn counts(&self) -> &'static str {
        "frames"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let Some((setup, mut rest)) = input.split_first() else { return 0 };
        let workers = 1 + usize::from(setup >> Setup::WORKERS & 3);
        let (samples, _trainer): (Vec<_>, Vec<_>) = (0..workers).map(|_| lane(8, 8)).unzip();
        let (mut publisher, readers) = epoch(Policy::default(), workers);
        let config = config(*setup);
        let mut now = Ns::from_secs(1_000);
        let alive = Rc::default();
        let parts = samples.into_iter().zip(readers).zip(Steering::mesh(workers, LANE));
        let member = |((samples, models), place)| {
            let worker = weir_engine::Worker::new(&config, now, samples).among(place);
            Member { worker, ports: Ports::new(&alive), models }
        };
        let mut members: Vec<Member> = parts.map(member).collect();
        let mut frames = 0;
        while let Some(([step, wait, low, high], after)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
            let (bytes, after) = after.split_at(len);
            rest = after;
            now += WAITS[usize::from(*wait) % WAITS.len()];
            if step & Step::STUCK != 0
                && let Some(pacing) = config.pacing.clone().filter(|pacing| !pacing.limits.is_empty())
            {
                // A worker that has not had a turn since the last time refuses.
                let pacing = PacingConfig { limits: limits(*low), ..pacing };
                let _ = publisher.publish(Policy { pacing: Some(pacing), ..Policy::default() });
            }
            let first = if step & Step::SPLIT != 0 { len / 2 } else { len };
            let queue = usize::from(step >> Step::QUEUE & 3) % workers;
            members[queue].ports.arrive(usize::from(step & Step::OUTSIDE), bytes, first);
            frames += 1;
            if step & Step::MORE != 0 {
                continue;
            }
            for index in 0..workers {
                let Member { worker, ports, models } = &mut members[index];
                ports.stuck = step & Step::STUCK != 0;
                worker.turn(now, ports, models);
                for (side, question) in std::mem::take(&mut ports.left) {
                    if let Some(answer) = answer(&question).filter(|_| setup & Setup::ANSWERS != 0) {
                        members[(index + 1) % workers].ports.arrive(side, &answer, answer.len());
                        frames += 1;
                    }
                }
                let (tally, waiting) = sum(&members);
                let between = tally.steered_out - tally.steered_in;
                assert_eq!(alive.get() as u64, tally.held + waiting + between, "a frame was lost, or kept");
            }
        }
        frames -= stop(members, now);
        assert_eq!(alive.get(), 0, "frames outlive the workers");
        frames
    }
}

/// All workers' books, which balance, each and together; and the frames that have not been received.
fn sum(members: &[Member]) -> (Tally, u64) {
    let (mut sum, mut waiting) = (Tally::default(), 0);
    for Member { worker, ports, .. } in members {
        assert!(worker.tally().balanced(), "{:?}", worker.tally());
        sum += worker.tally();
        waiting += ports.waiting();
    }
    assert!(sum.balanced(), "{sum:?}");
    (sum, waiting)
}

/// Ends the workers as an appliance does. Returns how many frames were never received.
fn stop(mut members: Vec<Member>, mut now: Ns) -> u64 {
    members.iter_mut().for_each(|member| {
        member.ports.stuck = false;
        member.worker.stop_receiving();
    });
    loop {
        let mut awaits = false;
        for Member { worker, ports, models } in &mut members {
            awaits |= worker.turn(now, ports, models).awaits_others;
        }
        if !awaits {
            break;
        }
    }
    let mut closed = Tally::default();
    let mut unreceived = 0;
    for Member { mut worker, mut ports, .. } in members {
        for _ in 0..1_000 {
            let report = worker.drain(now, &mut ports);
            let Some(due) = report.next_due.filter(|_| report.inside > 0) else { break };
            now = due.max(now + Ns(500));
        }
        let (tally, _) = worker.finish();
        assert!(tally.balanced() && tally.held == 0, "{tally:?}");
        closed += &tally;
        unreceived += ports.waiting();
    }
    let of = |is: fn(Verdict) -> bool| -> u64 {
        Verdict::ALL.into_iter().filter(|verdict| is(*verdict)).map(|v| closed.ended[v as usize]).sum()
    };
    assert_eq!(of(Verdict::sent), closed.sent.iter().sum::<u64>());
    assert_eq!(of(|_| true), closed.received.iter().sum::<u64>() + closed.originated);
    unreceived
}

fn shift(frame: &mut [u8], at: usize, by: u32) {
    let field: [u8; 4] = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    frame[at..at + 4].copy_from_slice(&u32::from_be_bytes(field).wrapping_add(by).to_be_bytes());
}

/// Small tables, so that they fill, and slow pacing, so that frames are held.
fn config(setup: u8) -> EngineConfig {
    let rule = match setup & 3 {
        0 => None,
        1 => Some(PacingRule::None),
        2 => Some(PacingRule::Fixed(BitsPerSec(2_000_000))),
        _ => Some(PacingRule::BbrLite),
    };
    let pacing = |rule| PacingConfig {
        rule,
        model: false,
        spec: PacingSpec::default(),
        rate_min: BitsPerSec(100_000),
        rate_max: BitsPerSec(1_000_000_000),
        rate_start: BitsPerSec(1_000_000),
        control_share: 6_554,
        explore_share: 16_384,
        explore_sigma_q16: 65_536,
        sample_share: 32_768,
        mark_delay: Ns::from_millis(2),
        delay_max: Ns::from_millis(30),
        flow_held_bytes_max: 1 << 14,
        limits: if setup & 8 != 0 { limits(setup) } else { Limits::none() },
        cadence: if setup & 4 != 0 { PacingCadence::Interval } else { PacingCadence::Packet },
        pin: if setup & 4 != 0 { Pin::Interval } else { Pin::Flow { max: Ns::from_secs(1) } },
        mode: if setup & 4 != 0 { PacingMode::Transparent } else { PacingMode::Yield },
    };
    EngineConfig {
        seed: 9,
        flows_max: if setup & 8 != 0 { 16 } else { 64 },
        half_open_max: 16,
        flow_idle_max: Ns::from_secs(3),
        held_max: 64,
        pacing: rule.map(pacing),
        route: (setup & Setup::ROUTES != 0).then(router),
        // Datagrams are paced where there is no shaper.
        schedule: (setup & 3 != 1 && setup & 12 != 12).then(schedule),
    }
}

/// Limits that hold frames back, other ones for another byte; none for some.
fn limits(byte: u8) -> Limits {
    let limit = |name: &str, scope, rate| LimitConfig {
        name: name.to_owned(),
        scope,
        rate: BitsPerSec(rate),
        burst_bytes: 1_522,
        mark_delay: Ns::from_millis(2),
        delay_max: Ns::from_millis(30),
        queue_bytes: 8_000,
    };
    let prefix = |address: IpAddr, len| Scope::End(Side::Inside, Prefix { address, len });
    let all = [
        limit("all", Scope::All, 3_000_000),
        limit("four", prefix([10, 0, 0, 0].into(), 8), 1_000_000),
        limit("six", prefix([0_u16; 8].into(), 0), 500_000),
    ];
    let chosen = all.into_iter().enumerate().filter(|(at, _)| byte >> at & 1 == 0);
    Limits::new(chosen.map(|(_, limit)| limit).collect())
}

/// A slow link, few places, so that queues fill.
fn schedule() -> ScheduleConfig {
    ScheduleConfig {
        rule: ScheduleRule::Ageing,
        model: false,
        spec: SizeSpec::default(),
        link_rate: BitsPerSec(5_000_000),
        overhead_bytes: 24,
        burst_bytes: 3_000,
        queue_frames_max: 32,
        peers_max: 8,
        wait_max: Ns::from_millis(3),
        mark_frames: 4,
        size_thresholds: Thresholds::PIAS_WEB_SEARCH,
        ageing_thresholds: Thresholds([100, 200, 400, 800, 1_600, 3_200, 6_400]),
        predicted_min: 1,
        predicted_max: 1 << 40,
        other_priority: 3,
        control_share: 0,
        sample_share: 65_536,
        trust: Trust::Trust,
        dscp: Some([40, 32, 24, 16, 10, 0, 8, 1]),
        pcp: Some([7, 6, 5, 4, 3, 2, 0, 1]),
    }
}

/// Between the networks of the corpus, whose frames all go to one Ethernet address.
fn router() -> RouteConfig {
    let side = |addresses: [(&str, u8); 2]| RouteSide {
        mac: [2, 0, 0, 0, 0, 2],
        addresses: addresses.map(|(address, len)| Prefix { address: address.parse().unwrap(), len }).into(),
        mtu: 1_300,
    };
    RouteConfig {
        sides: [
            side([("10.0.0.254", 24), ("fd00::fe", 64)]),
            side([("192.0.2.254", 24), ("2001:db8::fe", 64)]),
        ],
        routes: Vec::new(),
        icmp_errors_per_sec: 100,
        balance: Some(paths()),
    }
}

/// Two stations of the corpus are the other ends of tunnels; what neither network knows goes by paths.
fn paths() -> BalanceConfig {
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let ends = Ends { local: address("192.0.2.254"), remote: address("192.0.2.1") };
    let wraps = [
        Wrap::Bare,
        Wrap::IpIp { ends },
        Wrap::Vxlan { ends, vni: 7, source_port: 50_000, inner_mac: [2, 0, 0, 0, 0, 9] },
        Wrap::IpIp { ends: Ends { local: address("2001:db8::fe"), remote: address("2001:db8::1") } },
    ];
    let path = |(index, wrap): (usize, Wrap)| PathConfig {
        name: format!("path{index}"),
        via: wrap.ends().unwrap_or(ends).remote,
        wrap,
        draw: [Draws::FlowLabel, Draws::None, Draws::SourcePort, Draws::FlowLabel][index],
        mtu: 1_400,
        rate_bps: None,
        probe: Some((wrap.ends().unwrap_or(ends).remote, wrap.ends().unwrap_or(ends).local)),
    };
    BalanceConfig {
        to: vec![
            Prefix { address: address("0.0.0.0"), len: 0 },
            Prefix { address: address("::"), len: 0 },
            Prefix { address: address("192.0.2.128"), len: 25 },
        ],
        paths: wraps.into_iter().enumerate().map(path).collect(),
        vlans: vec![(Prefix { address: address("192.0.2.64"), len: 26 }, 5)],
        probe_interval: Ns::from_millis(20),
        paces_datagrams: true,
        settings: BalanceSettings {
            rule: PathRule::LetFlow,
            slow_start: Ns::from_millis(100),
            ..BalanceSettings::default()
        },
    }
}
