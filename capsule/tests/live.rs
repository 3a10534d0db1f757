//! Real TCP through the list and Weir, in namespaces of its own. Needs root, hugepages and the release build of the
//! example: `make nightly` has all three.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail their test")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_testbed::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use weir_testbed::interrupt::Interrupt;
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::netns::Netns;
use weir_testbed::ping::reaches;
use weir_testbed::weir::{Counters, Weir};

const SECOND: Duration = Duration::from_secs(1);

const LIST: &str = r#"
default = "allow"
[[rule]]
name = "tcp out"
action = "deny"
from = "inside"
protocol = "tcp"
destination_port = 7001
[[rule]]
name = "tcp back"
action = "deny"
from = "outside"
protocol = "tcp"
source_port = "7002-7003"
[[rule]]
name = "udp"
action = "deny"
protocol = "udp"
destination = "10.9.0.2"
destination_port = 7004
[[rule]]
name = "udp6"
action = "deny"
protocol = "udp"
destination = "fd09::/64"
destination_port = 7004
"#;

/// Datagrams of each version that are denied: fewer than a port's ring holds, so that none is lost before.
const DATAGRAMS: u64 = 500;

struct Means {
    program: PathBuf,
    logs: tempfile::TempDir,
    interrupt: Interrupt,
}

impl Means {
    /// Prints why not, or panics where nothing may be skipped.
    fn find(test: &str) -> Option<Means> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/capsule/release/examples/acl");
        let program = std::env::var_os("WEIR_ACL_BIN").map_or(beside, PathBuf::from);
        let missing = if !program.is_file() {
            Some(format!("no acl at {}: `make capsule` makes it", program.display()))
        } else {
            Netns::new("probe").err().map(|error| format!("{error:#}"))
        };
        if let Some(why) = missing {
            assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "{test}: {why}");
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            return None;
        }
        let logs = tempfile::tempdir().unwrap();
        std::fs::write(logs.path().join("acl.toml"), LIST).unwrap();
        Some(Means { program, logs, interrupt: Interrupt::default() })
    }

    fn start(&self, bed: &Bed, overrides: &[&str]) -> Weir {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acl");
        // The list is looked for beside the configuration.
        let config = self.logs.path().join("weir.toml");
        let text = std::fs::read_to_string(examples.join("weir.toml")).unwrap();
        let models = examples.join("../../../conf/models").canonicalize().unwrap();
        std::fs::write(&config, text.replace("../../../conf/models", models.to_str().unwrap())).unwrap();
        let netns = bed.weir.as_ref().unwrap();
        Weir::start(&self.program, &config, overrides, netns, self.logs.path(), &self.interrupt).unwrap()
    }

    fn flow(&self, bed: &Bed, name: &str, address: &str, port: u16) -> Iperf {
        let plan = Plan { name, address, port, flows: 2, seconds: 4, from: None };
        let mut iperf = Iperf::serve(plan, &bed.server, self.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &bed.client, self.logs.path(), CPU).unwrap();
        iperf
    }
}

fn counters(weir: &mut Weir, bed: &Bed) -> Counters {
    // Refuses a scrape that does not balance.
    Counters::checked(&weir.scrape(bed.weir.as_ref().unwrap()).unwrap()).unwrap()
}

fn denied(weir: &mut Weir, bed: &Bed) -> u64 {
    counters(weir, bed).account.verdicts["denied"]
}

fn listen(server: &Netns, address: &str, port: u16) -> TcpListener {
    let at = SocketAddr::new(address.parse().unwrap(), port);
    server.inside(|| Ok(TcpListener::bind(at)?)).unwrap()
}

fn connect(client: &Netns, to: SocketAddr) -> Result<(), ErrorKind> {
    client
        .inside(|| Ok(TcpStream::connect_timeout(&to, SECOND).map(drop).map_err(|error| error.kind())))
        .unwrap()
}

/// Waits until `reached`, and says whether it was.
fn within(span: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + span;
    while !reached() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(SECOND / 10);
    }
    true
}

/// Frames by reason, as the example prints them at its end.
fn printed(logs: &Path) -> (BTreeMap<String, u64>, String) {
    let text = std::fs::read_to_string(logs.join("weir.out")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("  "));
    let row = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let (count, _action) = (words.pop().unwrap(), words.pop().unwrap());
        (words.join(" "), count.parse().unwrap())
    };
    (rows.map(row).collect(), text)
}

#[test]
fn tcp_passes_the_list_and_weir_and_what_is_denied_has_its_verdict() {
    let Some(means) = Means::find("list") else { return };
    through(&means, &[]);
}

#[test]
fn each_of_two_workers_has_the_list_in_front_of_it() {
    let Some(means) = Means::find("list and two workers") else { return };
    let port = |side: &str, number: u8, interface: &str| {
        format!(
            "ports.{side}=net_af_packet{number},iface={interface},blocksz=65536,framesz=2048,framecnt=2048,qpairs=2"
        )
    };
    let (inside, outside) = (port("inside", 0, "weir-in"), port("outside", 1, "weir-out"));
    through(&means, &["cores.workers=[0, 1]", "cores.shared=true", &inside, &outside]);
}

fn through(means: &Means, overrides: &[&str]) {
    let bed = Bed::new(true, weir_link::Settings::default(), 1).unwrap();
    let mut weir = means.start(&bed, overrides);
    for address in [SERVER_V4, SERVER_V6] {
        assert!(reaches(&bed.client, address, means.logs.path(), 3 * SECOND, &means.interrupt).unwrap());
    }
    assert_eq!(denied(&mut weir, &bed), 0);

    // Allowed TCP of both versions, while the books are looked at.
    let flows = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)]
        .map(|(name, address, port)| means.flow(&bed, name, address, port));
    for _ in 0..15 {
        std::thread::sleep(SECOND / 5);
        assert_eq!(denied(&mut weir, &bed), 0);
    }
    for flow in flows {
        let flow = flow.finish(&means.interrupt).unwrap();
        let received: f64 = flow.iter().flat_map(|flow| &flow.received).map(|point| point.value).sum();
        assert!(received > 250_000.0, "{received} B arrived");
    }
    let seen = counters(&mut weir, &bed);
    assert!(seen.account.verdicts["paced"] > 300, "{seen:?}");

    // A listener behind an allowed port is reached, one behind a denied port is not: by what goes there, or by what
    // comes back.
    for address in [SERVER_V4, SERVER_V6] {
        for (port, expected) in
            [(7000, Ok(())), (7001, Err(ErrorKind::TimedOut)), (7002, Err(ErrorKind::TimedOut))]
        {
            let listener = listen(&bed.server, address, port);
            let before = denied(&mut weir, &bed);
            let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
            assert_eq!(connect(&bed.client, to), expected, "{to}");
            let more = denied(&mut weir, &bed) - before;
            // What was denied before may still be sent again meanwhile.
            assert!(more > 0 || expected.is_ok(), "{to}: none denied");
            drop(listener);
        }
    }

    // Denied datagrams, each of them counted.
    let before = denied(&mut weir, &bed);
    for address in [SERVER_V4, SERVER_V6] {
        let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 7004);
        let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        bed.client
            .inside(|| {
                let socket = UdpSocket::bind(from)?;
                (0..DATAGRAMS)
                    .try_for_each(|number| Ok(socket.send_to(&number.to_be_bytes(), to).map(drop)?))
            })
            .unwrap();
        std::thread::sleep(SECOND / 4);
    }
    // What remains of the connections above may still be tried again.
    assert!(within(10 * SECOND, || denied(&mut weir, &bed) >= before + 2 * DATAGRAMS));

    // Every buffer comes back, denied frames' included.
    let netns = bed.weir.as_ref().unwrap();
    let in_use = |weir: &mut Weir| weir.scrape(netns).unwrap().sum("weir_buffers_in_use").unwrap();
    assert!(within(10 * SECOND, || in_use(&mut weir) == 0.0), "{} buffers are missing", in_use(&mut weir));

    assert!(weir.stop(&means.interrupt).unwrap().success());
    let (frames, text) = printed(means.logs.path());
    let _ = writeln!(std::io::stderr(), "{text}");
    assert_eq!((frames["udp"], frames["udp6"]), (DATAGRAMS, DATAGRAMS), "{text}");
    assert!(frames["tcp out"] >= 2 && frames["tcp back"] >= 2, "{text}");
    assert_eq!(frames["(unreadable)"], 0, "{text}");
    // The list's books and Weir's are of the same frames.
    let (judged, denied) = (frames.values().sum::<u64>(), frames.values().sum::<u64>() - frames["(default)"]);
    assert!(text.contains(&format!("received {judged} + originated 0 = accounted for (")), "{text}");
    assert!(
        text.contains(&format!("denied {denied})")) || text.contains(&format!("denied {denied},")),
        "{text}"
    );
    assert!(
        text.contains(&format!("acl: judged {judged} = allowed {} + denied {denied}", judged - denied)),
        "{text}"
    );
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("worker") && line.contains("kept") && !line.contains("kept 0")),
        "{text}"
    );
}
