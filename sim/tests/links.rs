//! Senders over one bottleneck: what TCP is known to do, and that nothing is lost on the way without a name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_sim::frame::{MSS_IPV4, MSS_IPV6};
use weir_sim::link::LinkConfig;
use weir_sim::tcp::{CongestionKind, TcpConfig};
use weir_sim::{FlowSpec, HostId, Priority, World};

const SENDER: HostId = HostId(0);
const RECEIVER: HostId = HostId(1);

/// One sender, one receiver: link 0 there, link 1 back.
fn world(seed: u64, mbps: u64, rtt: Ns, queue_bytes: u64, loss: f64) -> World {
    let forth =
        LinkConfig { loss, ..LinkConfig::new(BitsPerSec::from_mbps(mbps), Ns(rtt.0 / 2), queue_bytes) };
    let back = LinkConfig::new(BitsPerSec::from_mbps(mbps), Ns(rtt.0 / 2), 10 << 20);
    World::shared(seed, vec![forth, back], &[0, 1])
}

fn flow(congestion: CongestionKind, bytes: Option<u64>, version: IpVersion) -> FlowSpec {
    let mss = if version == IpVersion::V4 { MSS_IPV4 } else { MSS_IPV6 };
    let tcp = TcpConfig::linux(congestion, mss);
    FlowSpec {
        from: SENDER,
        to: RECEIVER,
        bytes,
        start: Ns::ZERO,
        tcp,
        version,
        group: 0,
        service: 0,
        priority: Priority::None,
    }
}

/// Megabits per second over 10 s.
fn goodput(congestion: CongestionKind, loss: f64) -> f64 {
    let mut world = world(1, 50, Ns::from_millis(20), 125_000, loss);
    world.add_flow(flow(congestion, None, IpVersion::V4));
    world.run(Ns::from_secs(10), false);
    assert!(world.books().balanced(), "{:?}", world.books());
    world.delivered().sum::<u64>() as f64 * 8.0 / 10.0 / 1e6
}

#[test]
fn every_congestion_control_fills_a_clean_link() {
    for kind in [CongestionKind::Reno, CongestionKind::Cubic, CongestionKind::Bbr, CongestionKind::Dctcp] {
        let found = goodput(kind, 0.0);
        assert!((40.0..=47.9).contains(&found), "{}: {found}", kind.name());
    }
}

#[test]
fn random_loss_halves_reno_and_leaves_bbr_alone() {
    let [reno, cubic, bbr] =
        [CongestionKind::Reno, CongestionKind::Cubic, CongestionKind::Bbr].map(|kind| goodput(kind, 0.01));
    // Mathis et al. 1997: MSS / RTT * sqrt(3/2) / sqrt(p), with delayed acknowledgements sqrt(3/4): 5 to 7 Mb/s here.
    assert!((3.0..9.0).contains(&reno), "{reno}");
    assert!((3.0..14.0).contains(&cubic), "{cubic}");
    assert!(bbr > 40.0, "{bbr}");
}

#[test]
fn a_transfer_ends_whole_whatever_the_path_loses_and_the_same_seed_gives_the_same_run() {
    let run = |seed, version| {
        let mut world = world(seed, 20, Ns::from_millis(10), 20_000, 0.05);
        for bytes in [1, 700, 1_448, 100_000, 1_000_003] {
            world.add_flow(flow(CongestionKind::Cubic, Some(bytes), version));
        }
        world.run(Ns::from_secs(120), true);
        assert_eq!(world.open_flows(), 0);
        let books = world.books();
        assert!(books.balanced() && books.lost > 0, "{books:?}");
        let reports: Vec<_> =
            world.flows().map(|flow| (flow.delivered, flow.finished, flow.retransmitted)).collect();
        let delivered: Vec<u64> = reports.iter().map(|report| report.0).collect();
        assert_eq!(delivered, [1, 700, 1_448, 100_000, 1_000_003]);
        (books, reports)
    };
    for version in [IpVersion::V4, IpVersion::V6] {
        assert_eq!(run(7, version), run(7, version));
        assert_ne!(run(7, version), run(8, version));
    }
}

#[test]
fn marks_spare_losses() {
    let run = |ecn_bytes| {
        let mut world = world(1, 50, Ns::from_millis(10), 125_000, 0.0);
        let config = LinkConfig { ecn_bytes, ..world.link(0).unwrap().config().clone() };
        world.script(Ns::ZERO, weir_sim::Script::Link { link: 0, config });
        for _ in 0..3 {
            let mut spec = flow(CongestionKind::Dctcp, None, IpVersion::V6);
            spec.tcp.ecn = true;
            spec.start = Ns(1);
            world.add_flow(spec);
        }
        world.run(Ns::from_secs(5), false);
        let counters = *world.link(0).unwrap().counters();
        assert!(counters.delivered_bytes * 8 / 5 > 45_000_000, "{counters:?}");
        (counters.waited_ns / counters.delivered, counters.marked)
    };
    let (marked, unmarked) = (run(Some(15_000)), run(None));
    assert!(marked.1 > 100 && unmarked.1 == 0);
    assert!(marked.0 * 3 < unmarked.0, "{marked:?} {unmarked:?}");
}
