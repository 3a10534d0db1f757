//! The shared trace of what goes with decisions: the brake, longer paths, flow sizes, paths. `golden/decisions-trace.txt` holds arguments and
//! the integers that must come out; its form is in `docs/features.md`, section 14. Rows have no clips here: a snapshot clips.
//!
//! `WEIR_BLESS=1 cargo test -p weir-features` writes it anew, as the other trace.

use crate::generate::Rng;
use std::fmt::Write as _;
use std::path::PathBuf;
use weir_features::{
    Brake, FEATURES, FirstData, FlowSignals, IntervalReport, LongerPath, PATH_INPUTS, PathSignals, PathSpec,
    PeerHistory, RttBase, SIZE_INPUTS, SizeSpec, bytes_of_log2_q16, log2_1p_q16,
};

const HEAD: &str = "\
# The brake, longer paths, flow sizes and paths: arguments, and the integers that must come out.
# Form and meaning: docs/features.md, section 14. Written by: WEIR_BLESS=1 cargo test -p weir-features
";

/// What the lines before have left.
struct State {
    brake: Brake,
    longer: LongerPath,
    peer: PeerHistory,
}

/// A line's results, from its words.
fn results(state: &mut State, line: &str) -> Option<String> {
    let mut words = line.split(" =").next()?.split_whitespace();
    let word = words.next().filter(|word| !word.starts_with('#'))?;
    let numbers: Vec<Option<i128>> = words.map(|word| word.parse().ok()).collect();
    let n64 = |place: usize| u64::try_from(numbers[place].unwrap()).unwrap();
    let n32 = |place: usize| u32::try_from(numbers[place].unwrap()).unwrap();
    let optional = |place: usize| numbers[place].map(|number| u64::try_from(number).unwrap());
    let row = |row: &[i32]| row.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    Some(match word {
        "brake-begin" => {
            state.brake = Brake::default();
            String::new()
        }
        // lost acked delivered duration rtt held = ceiling
        "brake" => {
            let report = IntervalReport {
                features: [0; FEATURES],
                duration_ns: n64(3),
                mean_rtt_ns: optional(4),
                sent_bytes: 0,
                acked_bytes: n64(1),
                lost_bytes: n64(0),
                rtt_samples: 1,
            };
            state.brake.observe(&report, n64(2), n32(5));
            state.brake.ceiling_bps().unwrap_or(0).to_string()
        }
        "longer-begin" => {
            state.longer = LongerPath::default();
            String::new()
        }
        // rtt duration rate lowest base = base
        "longer" => {
            let report = rtt_only(n64(0), n64(1));
            let mut base = RttBase { min_interval_mean_ns: n64(4), last_interval_mean_ns: n64(0) };
            state.longer.observe(&report, &mut base, n64(2), n64(3));
            base.min_interval_mean_ns.to_string()
        }
        "peer-begin" => {
            state.peer = PeerHistory::default();
            String::new()
        }
        "flow-begin" => {
            state.peer.on_begin(n64(0));
            String::new()
        }
        "flow-end" => {
            state.peer.on_end(optional(0));
            String::new()
        }
        // payload port serving now = row
        "size" => {
            let first = FirstData {
                payload_len: n32(0).try_into().unwrap(),
                service_port: n32(1).try_into().unwrap(),
                serving: n32(2) == 1,
            };
            let spec = SizeSpec { clips: [(i32::MIN, i32::MAX); SIZE_INPUTS] };
            row(&spec.row(&first, &state.peer, n64(3)))
        }
        "log" => log2_1p_q16(n64(0)).to_string(),
        "bytes" => bytes_of_log2_q16(i32::try_from(numbers[0].unwrap()).unwrap()).to_string(),
        // floor rtt base in-flight sent rate age ecn loss gradient current remaining sent gap flowlet = row
        "path" => {
            let path = PathSignals {
                rtt_ns: n64(1),
                base_rtt_ns: n64(2),
                in_flight: n64(3),
                sent_bps: n64(4),
                rate_bps: n64(5),
                sample_age_ns: optional(6),
                ecn_q16: n32(7),
                loss_q16: n32(8),
                rtt_gradient_q16: i32::try_from(numbers[9].unwrap()).unwrap(),
                current: n32(10) == 1,
            };
            let flow = FlowSignals {
                remaining: optional(11),
                sent: n64(12),
                gap_ns: optional(13),
                flowlet_ns: n64(14),
            };
            let spec = PathSpec { rtt_floor_ns: n64(0), clips: [(i32::MIN, i32::MAX); PATH_INPUTS] };
            row(&spec.row(&path, &flow))
        }
        other => panic!("no such line: {other}"),
    })
}

/// The lines with their results.
fn annotate(lines: &[String]) -> String {
    let mut state =
        State { brake: Brake::default(), longer: LongerPath::default(), peer: PeerHistory::default() };
    let mut out = String::from(HEAD);
    for line in lines {
        let given = line.split(" =").next().unwrap();
        let found = results(&mut state, line).unwrap();
        if found.is_empty() {
            writeln!(out, "{given}").unwrap();
        } else {
            writeln!(out, "{given} = {found}").unwrap();
        }
    }
    out
}

/// A flow that wants a tenth more each interval, over a path with so much capacity and so much loss at random, told two
/// intervals late; the numbers depend on what the brake says, so they are made together with it.
fn braked_flow(out: &mut Vec<String>, rng: &mut Rng, capacity_bps: u64, lost_q16: u64, intervals: u32) {
    const INTERVAL_NS: u64 = 10_000_000;
    out.push("brake-begin".to_owned());
    let (mut brake, mut rate, mut late) = (Brake::default(), capacity_bps / 2, vec![(0, 0); 2]);
    for _ in 0..intervals {
        let sent = rate * (INTERVAL_NS / 1_000_000) / 8_000 / 1_500;
        let kept = (0..sent).filter(|_| rng.below(65_536) >= lost_q16).count() as u64;
        let got = kept.min(capacity_bps * (INTERVAL_NS / 1_000_000) / 8_000 / 1_500);
        late.insert(0, (sent, got));
        let (sent, got) = late.pop().unwrap();
        let (lost, acked, delivered) = ((sent - got) * 1_448, got * 1_448, got * 1_514);
        let held = rng.below(3) * 1_514;
        out.push(format!("brake {lost} {acked} {delivered} {INTERVAL_NS} 20000000 {held}"));
        let report = IntervalReport {
            features: [0; FEATURES],
            duration_ns: INTERVAL_NS,
            mean_rtt_ns: Some(20_000_000),
            sent_bytes: 0,
            acked_bytes: acked,
            lost_bytes: lost,
            rtt_samples: 1,
        };
        brake.observe(&report, delivered, held as u32);
        rate = brake.limit(rate + rate / 10).min(8 * capacity_bps);
    }
}

fn rtt_only(mean_rtt_ns: u64, duration_ns: u64) -> IntervalReport {
    IntervalReport {
        features: [0; FEATURES],
        duration_ns,
        mean_rtt_ns: Some(mean_rtt_ns),
        sent_bytes: 0,
        acked_bytes: 0,
        lost_bytes: 0,
        rtt_samples: 1,
    }
}

/// A flow whose path becomes longer or shorter now and then; it gives way to what passes for a queue, and takes what seems free.
fn wandering_flow(out: &mut Vec<String>, rng: &mut Rng) {
    const LOWEST: u64 = 500_000;
    out.push("longer-begin".to_owned());
    let (mut longer, mut base, mut rate, mut path) =
        (LongerPath::default(), RttBase::default(), 10_000_000_u64, 20_000_000);
    for _ in 0..400 {
        if rng.below(60) == 0 {
            path = 5_000_000 + rng.below(100_000_000);
        }
        let (mean, duration) = (path + rng.below(path / 8), 200_000_000 + rng.below(900_000_000));
        base.last_interval_mean_ns = mean;
        if base.min_interval_mean_ns == 0 || mean < base.min_interval_mean_ns {
            base.min_interval_mean_ns = mean;
        }
        out.push(format!("longer {mean} {duration} {rate} {LOWEST} {}", base.min_interval_mean_ns));
        longer.observe(&rtt_only(mean, duration), &mut base, rate, LOWEST);
        rate = match mean > base.min_interval_mean_ns / 4 * 5 {
            true => (rate - rate / (2 + rng.below(16))).max(LOWEST),
            false => (rate + rate / 8).min(40_000_000),
        };
    }
}

fn or_none(rng: &mut Rng, number: u64) -> String {
    // The largest number stands for none in some implementations.
    if rng.below(5) == 0 || number == u64::MAX { "-".to_owned() } else { number.to_string() }
}

fn lines() -> Vec<String> {
    let (mut out, rng) = (Vec::new(), &mut Rng(0x6272_616b));
    for (capacity_bps, lost_q16) in
        [(40_000_000, 0), (40_000_000, 3_000), (100_000_000, 13_000), (20_000_000, 30_000)]
    {
        braked_flow(&mut out, rng, capacity_bps, lost_q16, 400);
    }
    out.push("brake-begin".to_owned());
    for _ in 0..600 {
        let numbers: Vec<String> = (0..3).map(|_| (rng.wild() >> (17 + rng.below(30))).to_string()).collect();
        let (duration, held) = (rng.wild() >> rng.below(50), rng.wild32());
        let rtt = or_none(rng, 1_000);
        let rtt = if rtt == "-" { rtt } else { rng.wild().max(1).to_string() };
        out.push(format!("brake {} {duration} {rtt} {held}", numbers.join(" ")));
    }
    for _ in 0..20 {
        out.push("peer-begin".to_owned());
        let mut now = rng.wild() >> 8;
        for _ in 0..30 {
            now = now.wrapping_add(rng.next() >> (30 + rng.below(30)));
            if rng.below(12) == 0 {
                now = rng.wild();
            }
            let (payload, port) = (rng.wild32() & 0xffff, rng.wild32() & 0xffff);
            out.push(format!("size {payload} {port} {} {now}", rng.below(2)));
            out.push(format!("flow-begin {now}"));
            if rng.below(4) > 0 {
                let bytes = rng.wild();
                out.push(format!("flow-end {}", or_none(rng, bytes)));
            }
        }
    }
    for _ in 0..300 {
        out.push(format!("log {}", rng.wild()));
        out.push(format!("bytes {}", rng.wild32() as i32));
        out.push(format!("bytes {}", rng.below(64 << 16)));
    }
    for _ in 0..1_500 {
        let wild = rng.below(3) == 0;
        let mut number = |bits: u64| if wild { rng.wild() } else { rng.next() >> (64 - bits) };
        let [floor, rtt, base] = [number(17), number(25), number(24)];
        let [in_flight, sent, rate] = [number(20), number(30), number(32)];
        let [age, remaining, bytes, gap, flowlet] =
            [number(30), number(30), number(26), number(24), number(20)];
        let (age, remaining, gap) = (or_none(rng, age), or_none(rng, remaining), or_none(rng, gap));
        let [ecn, loss] = [rng.wild32(), rng.below(65_537) as u32];
        let gradient = rng.wild32() as i32;
        out.push(format!(
            "path {floor} {rtt} {base} {in_flight} {sent} {rate} {age} {ecn} {loss} {gradient} {} {remaining} {bytes} {gap} \
             {flowlet}",
            rng.below(2)
        ));
    }
    (0..3).for_each(|_| wandering_flow(&mut out, rng));
    out.push("longer-begin".to_owned());
    for _ in 0..300 {
        // A mean RTT is at least 1 ns and ends at 2^36, as the base does.
        let mut rtt = || (rng.wild() >> 28).max(1);
        let (mean, base) = (rtt(), rtt());
        out.push(format!("longer {mean} {} {} {} {base}", rng.wild(), rng.wild(), rng.wild()));
    }
    out
}

#[test]
fn the_trace_of_decisions_gives_its_integers() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/decisions-trace.txt");
    let generated = annotate(&lines());
    if std::env::var_os("WEIR_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &generated).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let events: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    for (number, (file, now)) in text.lines().zip(annotate(&events).lines()).enumerate() {
        assert_eq!(file, now, "line {}", number + 1);
    }
    assert_eq!(text, generated, "the generator gives other lines than the file");
}

/// A trace that never leaves the common case would prove little.
#[test]
fn the_trace_of_decisions_reaches_the_corners() {
    let lines = annotate(&lines());
    let ceilings: Vec<u64> = lines
        .lines()
        .filter(|line| line.starts_with("brake ") && line.contains(" 10000000 20000000 "))
        .map(|line| line.split(" = ").nth(1).unwrap().parse().unwrap())
        .collect();
    let changes =
        |holds: fn(u64, u64) -> bool| ceilings.windows(2).filter(|pair| holds(pair[0], pair[1])).count();
    assert!(changes(|before, after| before == 0 && after > 0) >= 4, "set");
    assert!(changes(|before, after| before > 0 && 0 < after && after < before) >= 4, "lowered");
    assert!(changes(|before, after| before > 0 && after > before) >= 20, "probed");
    assert!(changes(|before, after| before > 0 && after == 0) >= 2, "lifted");
    assert!(ceilings.iter().filter(|ceiling| **ceiling == 0).count() > 50, "free");
    let bases: Vec<(&str, &str)> = lines
        .lines()
        .filter(|line| line.starts_with("longer "))
        .map(|line| (line.split_whitespace().nth(5).unwrap(), line.split(" = ").nth(1).unwrap()))
        .collect();
    let moved = bases.iter().filter(|(before, after)| before != after).count();
    assert!(moved >= 8 && moved < bases.len() / 4, "{moved} of {}", bases.len());
    for word in ["size ", "flow-end -", "log ", "bytes -", "path "] {
        assert!(lines.lines().filter(|line| line.starts_with(word)).count() >= 20, "{word}");
    }
}
