//! Networks that are exchanged under real TCP: windows with swaps and windows without take turns.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use weir_link::Settings;
use weir_testbed::bed::{Bed, SERVER_V4, SERVER_V6};
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::weir::Counters;

use crate::deployment::Deployment;
use crate::means::{Means, SECOND, counters};

/// Flows of each IP version.
const FLOWS: u32 = 4;

#[test]
fn swaps_under_traffic_raise_no_verdict_and_take_no_memory() {
    let Some(means) = Means::find("swaps") else { return };
    swap_under_traffic(means, 4, 20);
}

#[test]
#[ignore = "takes about twenty-five minutes: make nightly runs it"]
fn ten_thousand_swaps_under_traffic_raise_no_verdict_and_take_no_memory() {
    let Some(means) = Means::find("ten thousand swaps") else { return };
    swap_under_traffic(means, 40, 250);
}

fn swap_under_traffic(mut means: Means, windows: usize, swaps: usize) {
    let deployment = Deployment::new(&means.config);
    means.config = deployment.file();
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    // Limits that the traffic does not meet by itself: what is dropped then, a swap has dropped.
    let wide = ["pacing.delay_max=1s", "pacing.flow_held_bytes_max=8MiB", "pacing.rate_min=2Mbps"];
    let mut weir = means.start(&bed, &wide);
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    // Until this test drops them.
    let _flows: Vec<Iperf> = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)]
        .map(|(name, address, port)| {
            means.flow_to(&bed, Plan { name, address, port, flows: FLOWS, seconds: 3_600, from: None })
        })
        .into();
    std::thread::sleep(3 * SECOND);

    let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
    let mut resident = Vec::new();
    let mut last = counters(&mut weir, &bed);
    for _ in 0..windows {
        let began = Instant::now();
        for swap in 0..swaps {
            let (from, to) = ("precision = \"8bit\"", "precision = \"12bit\"");
            if swap % 2 == 0 {
                deployment.rewrite(from, to)
            } else {
                deployment.rewrite("", "")
            }
            let applied = weir.ctl(&["reload"]).unwrap();
            assert_eq!(applied.status.code(), Some(0), "{applied:?}");
        }
        let swapped = counters(&mut weir, &bed);
        add(&mut with, &last, &swapped);
        std::thread::sleep(began.elapsed());
        last = counters(&mut weir, &bed);
        add(&mut without, &swapped, &last);
        resident.push(weir.process().resident_bytes().unwrap());
    }
    let _ = writeln!(std::io::stderr(), "with swaps {with:?}, without {without:?}, resident {resident:?}");

    for (verdict, count) in &with {
        if ["forwarded", "paced", "untracked"].contains(&verdict.as_str()) {
            continue;
        }
        assert!(*count <= without[verdict], "{verdict}: {count} with swaps, {} without", without[verdict]);
    }
    let enough = 100 * windows as u64;
    assert!(with["paced"] > enough && without["paced"] > enough, "{with:?} {without:?}");
    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let seen = scrape.sum("weir_snapshot_swaps_seen_total").unwrap();
    assert_eq!(seen, (windows * swaps) as f64, "the worker has seen each");
    // The first windows make room for what is in flight. A huge page more than that is the kernel's affair, which makes one of small
    // ones that were not all used.
    let (early, late) = (resident[1], resident[resident.len() - 1]);
    assert!(late < early + (4 << 20), "memory grows: {resident:?}");
    assert!(weir.stop(&means.interrupt).unwrap().success());
}

/// Adds by how much each verdict rose.
fn add(sums: &mut BTreeMap<String, u64>, before: &Counters, after: &Counters) {
    for (verdict, count) in &after.account.verdicts {
        *sums.entry(verdict.clone()).or_default() += count - before.account.verdicts[verdict];
    }
}
