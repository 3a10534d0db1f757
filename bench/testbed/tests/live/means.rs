//! What every live test needs: Weir's binary and files, traffic, and counters that balance.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use weir_testbed::bed::{Bed, CPU, SERVER_V4};
use weir_testbed::interrupt::Interrupt;
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::netns::Netns;
use weir_testbed::ping::reaches;
use weir_testbed::weir::{Counters, Weir};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Where `weir` and its configuration are, or why the test cannot run.
pub(crate) struct Means {
    pub(crate) weir: PathBuf,
    pub(crate) config: PathBuf,
    /// Of a router.
    pub(crate) routed: PathBuf,
    pub(crate) logs: TempDir,
    pub(crate) interrupt: Interrupt,
}

impl Means {
    /// Prints why not, or panics where nothing may be skipped.
    pub(crate) fn find(test: &str) -> Option<Means> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let weir =
            std::env::var_os("WEIR_BIN").map_or_else(|| root.join("target/release/weir"), PathBuf::from);
        let missing = if !weir.is_file() {
            Some(format!("no weir at {}: `make build` makes it", weir.display()))
        } else {
            Netns::new("probe").err().map(|error| format!("{error:#}"))
        };
        if let Some(why) = missing {
            assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "{test}: {why}");
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            return None;
        }
        let logs = tempfile::tempdir().unwrap();
        let [config, routed] = ["conf/demo.toml", "conf/route.toml"].map(|file| root.join(file));
        Some(Means { weir, config, routed, logs, interrupt: Interrupt::default() })
    }

    pub(crate) fn start(&self, bed: &Bed, overrides: &[&str]) -> Weir {
        self.start_with(&self.config, bed, overrides)
    }

    pub(crate) fn start_with(&self, config: &Path, bed: &Bed, overrides: &[&str]) -> Weir {
        let netns = bed.weir.as_ref().unwrap();
        Weir::start(&self.weir, config, overrides, netns, self.logs.path(), &self.interrupt).unwrap()
    }

    pub(crate) fn reaches(&self, bed: &Bed, address: &str) -> bool {
        reaches(&bed.client, address, self.logs.path(), 3 * SECOND, &self.interrupt).unwrap()
    }

    /// One IPv4 TCP flow of `seconds`, already sending.
    pub(crate) fn flow(&self, bed: &Bed, seconds: u32) -> Iperf {
        self.flow_to(
            bed,
            Plan { name: "flow", address: SERVER_V4, port: 5201, flows: 1, seconds, from: None },
        )
    }

    pub(crate) fn flow_to(&self, bed: &Bed, plan: Plan<'_>) -> Iperf {
        let mut iperf = Iperf::serve(plan, &bed.server, self.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &bed.client, self.logs.path(), CPU).unwrap();
        iperf
    }

    /// What `ping` of the client says, and whether it was answered.
    pub(crate) fn ping(&self, bed: &Bed, words: &str) -> (bool, String) {
        let words: Vec<&str> = ["ping", "-n"].into_iter().chain(words.split(' ')).collect();
        let mut ping = bed.client.spawn("ping", self.logs.path(), None, &words).unwrap();
        let status = ping.wait(15 * SECOND, &self.interrupt).unwrap();
        (status.success(), ping.output().unwrap())
    }
}

pub(crate) fn counters(weir: &mut Weir, bed: &Bed) -> Counters {
    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let counters = Counters::of(&scrape).unwrap();
    assert!(counters.balanced(), "{counters:?}");
    counters
}

/// Overrides for two workers, one of them on control's core.
pub(crate) const TWO_WORKERS: [&str; 2] = ["cores.workers=[0, 1]", "cores.shared=true"];

/// An override: a port of two queues on a kernel interface. The kernel's fanout spreads the frames over the queues by its
/// own hash: to the wrong worker for half of the flows.
pub(crate) fn two_queues(side: &str, interface: &str) -> String {
    let number = u8::from(side == "outside");
    format!(
        "ports.{side}=net_af_packet{number},iface={interface},blocksz=65536,framesz=2048,framecnt=2048,qpairs=2"
    )
}

/// Overrides for two workers on the bed's two interfaces.
pub(crate) fn two_workers() -> [String; 4] {
    let [workers, shared] = TWO_WORKERS.map(str::to_owned);
    [workers, shared, two_queues("inside", "weir-in"), two_queues("outside", "weir-out")]
}
