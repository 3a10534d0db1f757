//! The real worker in the world: it paces what it is told to, its books balance, swaps and late decisions do what they say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::sync::Arc;
use weir_engine::config::{PacingCadence, PacingMode, PacingRule};
use weir_engine::models::Generation;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_features::PacingSpec;
use weir_sim::experiment::{ModelUse, PacingUse, WeirSettings};
use weir_sim::frame::MSS_IPV4;
use weir_sim::link::LinkConfig;
use weir_sim::tcp::{CongestionKind, TcpConfig};
use weir_sim::{Books, FlowSpec, HostId, Priority, Script, World};
use weir_snapshot::{Executable, Executor, Precision};
use weir_trainer::ModelSpec;

const SENDER: HostId = HostId(0);
const RECEIVER: HostId = HostId(1);

fn model(number: u32) -> ModelUse {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");
    let built = weir_trainer::build(&ModelSpec::pacing("aurora", file.as_ref(), Precision::Bits8)).unwrap();
    let schema = built.snapshot.schema_hash();
    let executable = Executable::new(built.snapshot, Executor::best()).unwrap();
    let generation = Arc::new(Generation::new(number, executable, schema).unwrap());
    ModelUse { generation, spec: PacingSpec::default() }
}

fn settings(rule: PacingRule, model: Option<ModelUse>) -> WeirSettings {
    let mbps = BitsPerSec::from_mbps;
    let pacing = PacingUse {
        rule,
        model,
        swap: None,
        interval: None,
        cadence: PacingCadence::Interval,
        mode: PacingMode::Transparent,
        rate_min: mbps(1),
        rate_max: mbps(1_000),
        rate_start: mbps(10),
    };
    WeirSettings { pacing: Some(pacing), decision_delay: Ns::ZERO, decision_cost: Ns::ZERO }
}

/// The same for senders that answer no loss, as those here do.
fn yielding(settings: &WeirSettings) -> WeirSettings {
    let pacing = settings.pacing.clone().map(|pacing| PacingUse { mode: PacingMode::Yield, ..pacing });
    WeirSettings { pacing, ..settings.clone() }
}

struct Ran {
    world: World,
    books: Books,
    mbps: f64,
}

/// Two flows over 50 Mb/s and 20 ms for 10 s; goodput of the second half.
fn run(settings: &WeirSettings, scripts: &[(Ns, Script)]) -> Ran {
    let rate = BitsPerSec::from_mbps(50);
    let delay = Ns::from_millis(10);
    let links = vec![LinkConfig::new(rate, delay, 125_000), LinkConfig::new(rate, delay, 10 << 20)];
    let mut world = World::shared(5, links, &[0, 1]);
    world.install(SENDER, &settings.config(5));
    for (at, script) in scripts {
        world.script(*at, script.clone());
    }
    for number in 0..2 {
        // What Weir holds must not outlive the sender's timeout.
        let tcp = TcpConfig { receive_window: 200_000, ..TcpConfig::linux(CongestionKind::Yield, MSS_IPV4) };
        let start = Ns(number * 1_000_000);
        let spec = FlowSpec {
            from: SENDER,
            to: RECEIVER,
            bytes: None,
            start,
            tcp,
            version: IpVersion::V4,
            group: 0,
            service: 0,
            priority: Priority::None,
        };
        world.add_flow(spec);
    }
    world.run(Ns::from_secs(5), false);
    let before: u64 = world.delivered().sum();
    world.run(Ns::from_secs(10), false);
    let bytes = world.delivered().sum::<u64>() - before;
    let books = world.books();
    assert!(books.balanced(), "{books:?}");
    Ran { world, books, mbps: bytes as f64 * 8.0 / 5.0 / 1e6 }
}

#[test]
fn a_fixed_rate_is_kept() {
    let mut ran = run(&settings(PacingRule::Fixed(BitsPerSec::from_mbps(12)), None), &[]);
    // Rates count frames: 1 514 bytes to 1 448 of payload.
    let expected = 2.0 * 12.0 * 1_448.0 / 1_514.0;
    assert!((ran.mbps / expected - 1.0).abs() < 0.002, "{} {expected}", ran.mbps);
    let stats = *ran.world.weir_mut(SENDER).unwrap().stats();
    assert_eq!((stats.paced_flows, ran.books.dropped), (2, 0));
}

#[test]
fn the_network_and_the_rule_fill_a_link_that_yield_alone_would_flood() {
    let flooded = run(&settings(PacingRule::None, None), &[]);
    assert!(flooded.books.dropped > 1_000, "{:?}", flooded.books);
    // Two flows that each remember their best round want more than a queue of one BDP holds: the rule drops, too, as long as it
    // takes its senders for ones that answer loss.
    let ruled = settings(PacingRule::BbrLite, None);
    let yielding = yielding(&ruled);
    let [ruled, mut yielded] = [&ruled, &yielding].map(|settings| run(settings, &[]));
    let decided = run(&settings(PacingRule::None, Some(model(1))), &[]);
    for (name, ran) in [("rule", &ruled), ("rule, yield", &yielded), ("network", &decided)] {
        eprintln!("{name}: {} Mb/s, {:?}", ran.mbps, ran.books);
        assert!(ran.mbps > 40.0, "{name}: {}", ran.mbps);
    }
    assert!(ruled.books.dropped < flooded.books.dropped, "{:?} {:?}", ruled.books, flooded.books);
    assert!(yielded.books.dropped * 6 < ruled.books.dropped, "{:?} {:?}", yielded.books, ruled.books);
    assert!(decided.books.dropped * 20 < flooded.books.dropped, "{:?} {:?}", decided.books, flooded.books);
    let stats = *yielded.world.weir_mut(SENDER).unwrap().stats();
    assert!(stats.guard_loss > 0 && stats.windows_lowered > 1_000, "{stats:?}");
}

#[test]
fn swapping_in_the_same_snapshot_changes_no_frame() {
    let settings = settings(PacingRule::None, Some(model(1)));
    let swap = |number, seconds| {
        let model = model(number).generation;
        (Ns::from_secs(seconds), Script::Swap { host: SENDER, model })
    };
    let (plain, mut swapped) = (run(&settings, &[]), run(&settings, &[swap(2, 2), swap(3, 4), swap(4, 6)]));
    let weir = swapped.world.weir_mut(SENDER).unwrap();
    assert_eq!((weir.generation(), weir.refused, weir.stats().swaps_seen), (4, 0, 3));
    assert!(weir.stats().rebinds >= 6);
    // All but the events and turns of the swaps themselves.
    let frames = |books: Books| Books { events: 0, turns: 0, ..books };
    assert_eq!(frames(plain.books), frames(swapped.books));
    assert_eq!(plain.mbps.to_bits(), swapped.mbps.to_bits());
}

#[test]
fn a_decision_that_is_late_counts_late_and_one_that_takes_the_core_holds_frames_up() {
    let inline = settings(PacingRule::None, Some(model(1)));
    let late = WeirSettings { decision_delay: Ns::from_millis(200), ..inline.clone() };
    let costly = WeirSettings { decision_cost: Ns::from_millis(2), ..inline.clone() };
    let [inline, late, costly] = [&inline, &late, &costly].map(|settings| run(settings, &[]));
    assert_ne!(inline.books, late.books);
    // Twenty round trips' halves late, a controller swings: it drops more, or leaves more of the link idle.
    assert!(
        late.books.dropped > inline.books.dropped || late.mbps < inline.mbps,
        "{:?} {:?}",
        late.books,
        inline.books
    );
    assert!(costly.books.turns < inline.books.turns, "{:?} {:?}", costly.books, inline.books);
}
