//! Broken configurations and what Weir says about each: one line with file, line, column, key, what was expected and
//! what was found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use weir_shell::config::{Plan, PortsPlan, Source, needs_restart};

const GOOD: &str = r#"[eal]
hugepages = false
memory_mb = 128

[cores]
control = 0
workers = [0]
shared = true

[ports]
mode = "wire"
inside = "net_null0"
outside = "net_null1"

[engine]
seed = 1
flows_max = 1024
half_open_max = 1024
flow_idle_max = "120s"
held_max = 1024
drain_max = "2s"

[pacing]
rule = "bbr_lite"
model = "aurora"
rate_min = "500kbps"
rate_max = "10Gbps"
rate_start = "10Mbps"
control_share = 0.02
sample_share = 0.1
mark_delay = "10ms"
delay_max = "100ms"
flow_held_bytes_max = "1MiB"
pin = "interval"

[[model]]
name = "aurora"
function = "pacing"
file = "models/aurora.onnx"
precision = "8bit"
history = 10
inputs = [
  { feature = "sent_latency_inflation", scale = 1.0, offset = 0.0, clip = [-1.0, 1.0] },
  { feature = "latency_ratio", clip = [1.0, 5.0] },
  { feature = "send_ratio", clip = [0, 4] },
]

[metrics]
listen = "127.0.0.1:0"

[control]
socket = "weir.sock"
"#;

fn plan(text: &str, overrides: &[&str]) -> Result<Plan, String> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let load = || {
        let source = Source::from_text(Path::new("conf/x.toml"), text.to_owned(), &overrides)?;
        Plan::check(&source)
    };
    load().map_err(|error: weir_shell::config::ConfigError| error.to_string())
}

#[test]
fn the_good_one_is_good() {
    let plan = plan(GOOD, &[]).unwrap();
    assert!(matches!(plan.ports, PortsPlan::Devices(_)));
    assert_eq!(plan.pacing_model, Some(0));
    assert_eq!(plan.models[0].spec.file, Path::new("conf/models/aurora.onnx"));
    let pacing = plan.engine.pacing.unwrap();
    assert_eq!((pacing.rate_min.0, pacing.rate_max.0), (500_000, 10_000_000_000));
    assert_eq!((pacing.mark_delay.0, pacing.flow_held_bytes_max), (10_000_000, 1 << 20));
    assert_eq!((pacing.control_share, pacing.sample_share), (1_311, 6_554));
    assert_eq!((pacing.explore_share, pacing.explore_sigma_q16), (3_277, 32_768));
    assert_eq!(pacing.spec.clips, [(-65_536, 65_536), (65_536, 327_680), (0, 262_144)]);
}

/// (text in the good file, what it becomes, what Weir says)
const BROKEN: &[(&str, &str, &str)] = &[
    // The wrong kind of value, or a value that does not parse.
    (
        "rate_min = \"500kbps\"",
        "rate_min = \"10 apples\"",
        "conf/x.toml:26:12: pacing.rate_min: expected a rate such as \"10Mbps\" (bps, kbps, Mbps or Gbps), \
         found \"10 apples\"",
    ),
    (
        "rate_min = \"500kbps\"",
        "rate_min = 500",
        "conf/x.toml:26:12: pacing.rate_min: expected a rate such as \"10Mbps\" (bps, kbps, Mbps or Gbps), found 500",
    ),
    (
        "delay_max = \"100ms\"",
        "delay_max = \"100 msec\"",
        "conf/x.toml:32:13: pacing.delay_max: expected a duration such as \"10ms\" (ns, us, ms, s or min), \
         found \"100 msec\"",
    ),
    (
        "flow_held_bytes_max = \"1MiB\"",
        "flow_held_bytes_max = \"1 mib\"",
        "conf/x.toml:33:23: pacing.flow_held_bytes_max: expected a size such as \"1MiB\" (B, kB, KiB, MB, MiB, GB or \
         GiB), found \"1 mib\"",
    ),
    (
        "pin = \"interval\"",
        "mode = \"ac/dc\"",
        "conf/x.toml:34:8: pacing.mode: expected one of \"transparent\", \"yield\", found \"ac/dc\"",
    ),
    (
        "hugepages = false",
        "hugepages = \"no\"",
        "conf/x.toml:2:13: eal.hugepages: expected true or false, found \"no\"",
    ),
    (
        "memory_mb = 128",
        "memory_mb = \"128\"",
        "conf/x.toml:3:13: eal.memory_mb: expected a whole number from 64 to 1048576, found \"128\"",
    ),
    (
        "memory_mb = 128",
        "memory_mb = 63",
        "conf/x.toml:3:13: eal.memory_mb: expected a whole number from 64 to 1048576, found 63",
    ),
    ("seed = 1", "seed = -1", "conf/x.toml:16:8: engine.seed: expected a whole number from 0, found -1"),
    (
        "control_share = 0.02",
        "control_share = 2",
        "conf/x.toml:29:17: pacing.control_share: expected a share from 0 to 1, found 2",
    ),
    (
        "sample_share = 0.1",
        "sample_share = nan",
        "conf/x.toml:30:16: pacing.sample_share: expected a share from 0 to 1, found NaN",
    ),
    (
        "pin = \"interval\"",
        "pin = \"flow\"\npin_max = \"2min\"",
        "conf/x.toml:35:11: pacing.pin_max: expected more than 0 and at most 1min, found 2min",
    ),
    (
        "pin = \"interval\"",
        "explore_share = -0.1",
        "conf/x.toml:34:17: pacing.explore_share: expected a share from 0 to 1, found -0.1",
    ),
    (
        "pin = \"interval\"",
        "explore_sigma = 3.5",
        "conf/x.toml:34:17: pacing.explore_sigma: expected from 0.01 to 3, found 3.5",
    ),
    (
        "pin = \"interval\"",
        "explore_sigma = 0",
        "conf/x.toml:34:17: pacing.explore_sigma: expected from 0.01 to 3, found 0",
    ),
    ("workers = [0]", "workers = 0", "conf/x.toml:7:11: cores.workers: expected an array, found 0"),
    (
        "rule = \"bbr_lite\"",
        "rule = \"bbr\"",
        "conf/x.toml:24:8: pacing.rule: expected one of \"none\", \"bbr_lite\", \"fixed\", found \"bbr\"",
    ),
    (
        "precision = \"8bit\"",
        "precision = 8",
        "conf/x.toml:40:13: model[0].precision: expected one of \"8bit\", \"12bit\", found 8",
    ),
    (
        "mode = \"wire\"",
        "mode = \"bridge\"",
        "conf/x.toml:11:8: ports.mode: expected one of \"wire\", \"route\", found \"bridge\"",
    ),
    (
        "mode = \"wire\"",
        "mode = \"route\"",
        "conf/x.toml:11:8: ports.mode: \"route\" needs a section [route] with both sides' addresses",
    ),
    (
        "clip = [1.0, 5.0]",
        "clip = [1.0]",
        "conf/x.toml:44:32: model[0].inputs[1].clip: expected an array of length 2, found length 1",
    ),
    // Keys.
    ("rate_min = ", "ratemin = ", "conf/x.toml:26:1: pacing.ratemin: unknown key; did you mean `rate_min`?"),
    (
        "seed = 1",
        "zeal = 1",
        "conf/x.toml:16:1: engine.zeal: unknown key; expected one of: seed, flows_max, half_open_max, flow_idle_max, \
         held_max, drain_max",
    ),
    ("[engine]", "[engines]", "conf/x.toml:15:2: engines: unknown key; did you mean `engine`?"),
    (
        "history = 10",
        "history = 10\npreference = [0.5, 0.5, 0.5]",
        "conf/x.toml:42:1: model[0].preference: expected weights of throughput, latency and loss that add up to 1, \
         found 1.5",
    ),
    (
        "history = 10",
        "history = 10\npreference = [1.5, -0.5, 0.0]",
        "conf/x.toml:42:15: model[0].preference[0]: expected a share from 0 to 1, found 1.5",
    ),
    (
        "history = 10",
        "history = 10\npreference = [0.5, 0.5]",
        "conf/x.toml:42:1: model[0].preference: expected an array of length 3, found length 2",
    ),
    ("feature = \"latency_ratio\", ", "", "conf/x.toml:44:3: model[0].inputs[1].feature: missing key"),
    ("rate_max = \"10Gbps\"\n", "", "conf/x.toml:23:2: pacing.rate_max: missing key"),
    (
        "[ports]\nmode = \"wire\"\ninside = \"net_null0\"\noutside = \"net_null1\"\n",
        "",
        "conf/x.toml:1:1: ports: missing key",
    ),
    // Relations.
    (
        "rate_max = \"10Gbps\"",
        "rate_max = \"100kbps\"",
        "conf/x.toml:27:12: pacing.rate_max: expected at least pacing.rate_min = 500kbps, found 100kbps",
    ),
    (
        "rate_start = \"10Mbps\"",
        "rate_start = \"100kbps\"",
        "conf/x.toml:28:14: pacing.rate_start: expected from pacing.rate_min = 500kbps to pacing.rate_max = 10Gbps, \
         found 100kbps",
    ),
    (
        "rate_min = \"500kbps\"",
        "rate_min = \"1bps\"",
        "conf/x.toml:26:12: pacing.rate_min: expected at least 16kbps, found 1bps",
    ),
    (
        "mark_delay = \"10ms\"",
        "mark_delay = \"101ms\"",
        "conf/x.toml:31:14: pacing.mark_delay: expected at most pacing.delay_max = 100ms, found 101ms",
    ),
    (
        "rule = \"bbr_lite\"",
        "rule = \"fixed\"",
        "conf/x.toml:24:8: pacing.rule: \"fixed\" needs pacing.rate, such as \"20Mbps\"",
    ),
    (
        "rule = \"bbr_lite\"",
        "rule = \"none\"\nrate = \"20Mbps\"",
        "conf/x.toml:25:8: pacing.rate: expected only with pacing.rule = \"fixed\"",
    ),
    (
        "pin = \"interval\"",
        "pin = \"flow\"",
        "conf/x.toml:34:7: pacing.pin: \"flow\" needs pacing.pin_max, such as \"2s\"",
    ),
    (
        "model = \"aurora\"",
        "cadence = \"packet\"",
        "conf/x.toml:25:11: pacing.cadence: \"packet\" expected only with pacing.model: a rule decides at interval ends",
    ),
    (
        "pin = \"interval\"",
        "cadence = \"flowlet\"",
        "conf/x.toml:34:11: pacing.cadence: expected one of \"interval\", \"packet\", found \"flowlet\"",
    ),
    (
        "model = \"aurora\"",
        "model = \"auorra\"",
        "conf/x.toml:25:9: pacing.model: expected the name of a [[model]], found \"auorra\"; did you mean \"aurora\"?",
    ),
    (
        "shared = true\n",
        "",
        "conf/x.toml:7:12: cores.workers[0]: expected another core than cores.control (0); cores.shared = true allows \
         it, at the cost of gaps in the worker's polling whenever control runs",
    ),
    (
        "workers = [0]",
        "workers = [0, 0]",
        "conf/x.toml:7:15: cores.workers[1]: expected each core once, found 0 twice",
    ),
    (
        "workers = [0]",
        "workers = []",
        "conf/x.toml:7:1: cores.workers: expected at least one core, found none",
    ),
    (
        "inside = \"net_null0\"",
        "inside = \"net_af_packet0,iface=eth1,qpairs=0\"",
        "conf/x.toml:12:10: ports.inside: expected qpairs=1 among the arguments of net_af_packet0: 1 in cores.workers need a \
         transmit queue each; found 0",
    ),
    (
        "held_max = 1024",
        "held_max = 1000000",
        "conf/x.toml:3:13: eal.memory_mb: expected at least 2631 for engine.held_max = 1000000 frames and \
         buffers of 2048 bytes, found 128",
    ),
    (
        "outside = \"net_null1\"",
        "outside = \"net_null0\"",
        "conf/x.toml:13:11: ports.outside: expected another device than ports.inside, found \"net_null0\" twice",
    ),
    (
        "outside = \"net_null1\"",
        "outside = \"eth1\"",
        "conf/x.toml:13:11: ports.outside: expected a PCI address such as \"0000:03:00.0\", a DPDK virtual device such \
         as \"net_af_packet0,iface=eth1\", or \"pcap:in=FILE,out=FILE\", found \"eth1\"",
    ),
    (
        "outside = \"net_null1\"",
        "outside = \"pcap:in=a,out=b\"",
        "conf/x.toml:13:11: ports.outside: expected the same kind of port on both sides: two capture files or two \
         devices",
    ),
    (
        "inside = \"net_null0\"\noutside = \"net_null1\"",
        "inside = \"pcap:in=a,out=b\"\noutside = \"pcap:in=b,out=c\"",
        "conf/x.toml:13:11: ports.outside: conf/b is both input and output",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "listen = \"localhost\"",
        "conf/x.toml:49:10: metrics.listen: expected an address and port such as \"127.0.0.1:9464\", found \
         \"localhost\"",
    ),
    (
        "socket = \"weir.sock\"",
        "socket = \"\"",
        "conf/x.toml:52:10: control.socket: expected a path of at most 107 bytes, found \"\"",
    ),
    (
        "history = 10",
        "history = 8",
        "conf/x.toml:41:11: model[0].history: a pacing model has a history of 10 intervals, found 8",
    ),
    (
        "\"latency_ratio\"",
        "\"latency\"",
        "conf/x.toml:44:15: model[0].inputs[1].feature: input 1 must be the feature \"latency_ratio\"",
    ),
    // Not TOML.
    ("[eal]", "[eal", "conf/x.toml:1:5: not valid TOML: expected a right bracket, found a newline"),
    ("seed = 1", "seed = 1\nseed = 2", "conf/x.toml:17:1: not valid TOML: duplicate key: `seed`"),
];

const ROUTED: &str = r#"[ports]
mode = "route"
inside = "pcap:in=a,out=b"
outside = "pcap:in=c,out=d"

[route.inside]
addresses = ["10.8.0.1/24", "fd08::1/64"]
mac = "02:00:00:00:08:01"

[route.outside]
addresses = ["10.9.0.1/24"]
mtu = 1400
mac = "02:00:00:00:09:01"

[[route.to]]
prefix = "0.0.0.0/0"
via = "10.9.0.254"
side = "outside"

[[route.to]]
prefix = "2001:db8::/32"
via = "fe80::99"
side = "outside"
"#;

#[test]
fn a_router_is_what_its_section_says() {
    let plan = plan(ROUTED, &[]).unwrap();
    assert_eq!(plan.mac_of_port, [false; 2]);
    let route = plan.engine.route.unwrap();
    let [inside, outside] = &route.sides;
    assert_eq!((inside.mac, inside.mtu, outside.mtu), ([2, 0, 0, 0, 8, 1], 1_500, 1_400));
    let shown = |prefixes: &[weir_engine::route::Prefix]| {
        prefixes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown(&inside.addresses), ["10.8.0.1/24", "fd08::1/64"]);
    assert_eq!((route.routes.len(), route.icmp_errors_per_sec), (2, 100));
    assert_eq!(shown(&[route.routes[1].prefix]), ["2001:db8::/32"]);
    assert_eq!(route.routes[1].out, weir_engine::io::Side::Outside);
}

#[test]
fn a_port_lends_its_ethernet_address_where_none_is_configured() {
    let devices = [("pcap:in=a,out=b", "net_null0"), ("pcap:in=c,out=d", "net_null1")];
    let text = devices.iter().fold(ROUTED.to_owned(), |text, (from, to)| text.replace(from, to));
    let cores = "[cores]\nworkers = [0]\nshared = true\n";
    let plan = plan(&[cores, &text].concat(), &["route.inside.mac="]).unwrap();
    assert_eq!(plan.mac_of_port, [true, false]);
}

/// (text in the routed file, what it becomes, what Weir says)
const BROKEN_ROUTES: &[(&str, &str, &str)] = &[
    (
        "mode = \"route\"",
        "mode = \"wire\"",
        "conf/x.toml:6:2: route: expected only with ports.mode = \"route\"",
    ),
    (
        "\"10.8.0.1/24\"",
        "\"10.8.0.1\"",
        "conf/x.toml:7:14: route.inside.addresses[0]: expected an address and its prefix length such as \
         \"10.8.0.1/24\", found \"10.8.0.1\"",
    ),
    (
        "\"fd08::1/64\"",
        "\"fd08::1/129\"",
        "conf/x.toml:7:29: route.inside.addresses[1]: expected an address and its prefix length such as \
         \"10.8.0.1/24\", found \"fd08::1/129\"",
    ),
    (
        "[\"10.9.0.1/24\"]",
        "[]",
        "conf/x.toml:11:1: route.outside.addresses: expected 1 to 8 addresses, found 0",
    ),
    (
        "\"10.8.0.1/24\"",
        "\"10.8.0.255/24\"",
        "conf/x.toml:7:14: route.inside.addresses[0]: expected the address of one station, found 10.8.0.255/24",
    ),
    (
        "\"fd08::1/64\"",
        "\"fe80::1/64\"",
        "conf/x.toml:7:29: route.inside.addresses[1]: expected the address of one station, found fe80::1/64",
    ),
    (
        "\"fd08::1/64\"",
        "\"10.8.0.9/30\"",
        "conf/x.toml:7:29: route.inside.addresses[1]: expected another network than 10.8.0.1/24, found 10.8.0.9/30",
    ),
    (
        "\"10.9.0.1/24\"",
        "\"10.0.0.1/8\"",
        "conf/x.toml:11:14: route.outside.addresses[0]: expected another network than inside's 10.8.0.1/24, found \
         10.0.0.1/8",
    ),
    (
        "mtu = 1400",
        "mtu = 1279",
        "conf/x.toml:12:7: route.outside.mtu: expected a whole number from 1280 to 9216, found 1279",
    ),
    (
        "\"02:00:00:00:08:01\"",
        "\"03:00:00:00:08:01\"",
        "conf/x.toml:8:7: route.inside.mac: expected the Ethernet address of one station such as \
         \"02:00:00:00:00:01\", found \"03:00:00:00:08:01\"",
    ),
    (
        "mac = \"02:00:00:00:08:01\"\n",
        "",
        "conf/x.toml:6:8: route.inside.mac: missing key: capture files have no Ethernet address of their own",
    ),
    (
        "\"0.0.0.0/0\"",
        "\"10.1.1.1/8\"",
        "conf/x.toml:16:10: route.to[0].prefix: expected a network, found 10.1.1.1/8, which has host bits set",
    ),
    (
        "\"2001:db8::/32\"\nvia = \"fe80::99\"",
        "\"0.0.0.0/0\"\nvia = \"10.9.0.254\"",
        "conf/x.toml:21:10: route.to[1].prefix: expected each network once, found 0.0.0.0/0 twice",
    ),
    (
        "\"fe80::99\"",
        "\"10.9.0.254\"",
        "conf/x.toml:22:7: route.to[1].via: expected an address of the kind of 2001:db8::/32, found 10.9.0.254",
    ),
    (
        "\"10.9.0.254\"",
        "\"10.8.0.254\"",
        "conf/x.toml:17:7: route.to[0].via: expected a neighbour outside (of 10.9.0.1/24), found 10.8.0.254",
    ),
    (
        "\"10.9.0.254\"",
        "\"10.9.0.1\"",
        "conf/x.toml:17:7: route.to[0].via: expected a neighbour, found the own address 10.9.0.1",
    ),
    (
        "side = \"outside\"",
        "side = \"outsdie\"",
        "conf/x.toml:18:8: route.to[0].side: expected one of \"inside\", \"outside\", found \"outsdie\"",
    ),
    (
        "prefix = \"0",
        "net = \"0",
        "conf/x.toml:16:1: route.to[0].net: unknown key; expected one of: prefix, via, side",
    ),
];

/// One router, whether or not several workers do it; and each side's links take no longer packets than its port.
#[test]
fn a_router_has_as_many_workers_as_it_is_given_and_no_longer_packets_than_its_ports() {
    let devices = ROUTED.replace("pcap:in=a,out=b", "net_null0").replace("pcap:in=c,out=d", "net_null1");
    let cores = "[cores]\ncontrol = 0\nworkers = [0, 1]\nshared = true\n";
    let plan_of = |overrides: &[&str]| plan(&[cores, &devices].concat(), overrides);
    let two = plan_of(&["eal.memory_mb=512"]).unwrap();
    assert_eq!((two.cores.workers.len(), two.engine.route.unwrap().icmp_errors_per_sec), (2, 100));
    let said = plan_of(&["eal.memory_mb=512", "ports.mtu=1400"]).unwrap_err();
    assert_eq!(said, "conf/x.toml:10:8: route.inside.mtu: expected at most ports.mtu, 1400, found 1500");
    assert!(plan_of(&["eal.memory_mb=512", "ports.mtu=1400", "route.inside.mtu=1400"]).is_ok());
}

#[test]
fn each_break_is_named_with_its_place() {
    let mut wrong = Vec::new();
    let cases = BROKEN.iter().map(|case| (GOOD, case)).chain(BROKEN_ROUTES.iter().map(|case| (ROUTED, case)));
    for (good, (from, to, expected)) in cases {
        assert!(good.contains(from), "{from:?}");
        let said = plan(&good.replacen(from, to, 1), &[]).expect_err(to);
        if said != *expected {
            wrong.push(format!("{to:?}\n  said     {said}\n  expected {expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn an_mtu_is_within_ip_and_sizes_the_buffers() {
    let mtu = |overrides: &[&str]| plan(GOOD, overrides).map(|plan| (plan.mtu, plan.frame_room()));
    assert_eq!(mtu(&[]), Ok((None, 2_048)));
    assert_eq!(mtu(&["ports.mtu=1500"]), Ok((Some(1_500), 2_048)));
    // A virtual device's buffer holds a whole frame, a NIC's a part of it.
    let virtual_9000 = ["ports.mtu=9000", "eal.memory_mb=512"];
    assert_eq!(mtu(&virtual_9000), Ok((Some(9_000), 9_024)));
    let nics = ["ports.inside=0000:03:00.0", "ports.outside=0000:03:00.1", "ports.mtu=9000"];
    assert_eq!(mtu(&nics), Ok((Some(9_000), 2_048)));
    let slots = ["ports.inside=net_af_packet0,iface=a,framesz=16384", "eal.memory_mb=512"];
    assert_eq!(mtu(&slots), Ok((None, 16_384)));

    for (overrides, expected) in [
        (
            &["ports.mtu=67"][..],
            "--set ports.mtu=67: ports.mtu: expected a whole number from 68 to 65535, found 67",
        ),
        (
            &["ports.mtu=9000"],
            "conf/x.toml:3:13: eal.memory_mb: expected at least 94 for engine.held_max = 1024 frames and buffers of \
             9024 bytes, found 64",
        ),
        (
            &["ports.mtu=9000", "ports.inside=net_af_packet0,iface=a"],
            "--set ports.mtu=9000: ports.mtu: expected none with net_af_packet, which takes its interface's: \
             `ip link set IFACE mtu 9000`, and a framesz that holds it",
        ),
        (
            &["ports.mtu=9000", "ports.inside=pcap:in=a,out=b", "ports.outside=pcap:in=c,out=d"],
            "--set ports.mtu=9000: ports.mtu: expected only with devices: a capture holds any frame",
        ),
    ] {
        let low_memory = GOOD.replacen("memory_mb = 128", "memory_mb = 64", 1);
        assert_eq!(plan(&low_memory, overrides).unwrap_err(), expected);
    }
}

#[test]
fn overrides_are_read_as_toml_or_as_text_and_named_when_wrong() {
    let plan_with = |overrides: &[&str]| plan(GOOD, overrides);
    let changed = plan_with(&[
        "pacing.rate_min=20Mbps",
        "pacing.rate_start=20Mbps",
        "pacing.sample_share=1",
        "pacing.explore_sigma=0.25",
        "model[0].precision=12bit",
        "engine.seed=7",
    ])
    .unwrap();
    let pacing = changed.engine.pacing.unwrap();
    assert_eq!((pacing.rate_min.0, pacing.sample_share, changed.engine.seed), (20_000_000, 65_536, 7));
    assert_eq!(pacing.explore_sigma_q16, 16_384);
    assert_eq!(changed.models[0].spec.precision, weir_snapshot::Precision::Bits12);

    let without_model = plan_with(&["pacing.model=", "pacing.rule=fixed", "pacing.rate=20Mbps"]).unwrap();
    assert!(!without_model.engine.pacing.unwrap().model);

    for (text, expected) in [
        (
            "pacing.rate_min=10 apples",
            "--set pacing.rate_min=10 apples: pacing.rate_min: expected a rate such as \"10Mbps\" (bps, kbps, Mbps or \
             Gbps), found \"10 apples\"",
        ),
        (
            "pacing.ratemin=1bps",
            "--set pacing.ratemin=1bps: pacing.ratemin: unknown key; did you mean `rate_min`?",
        ),
        ("pacing.rate_min", "--set pacing.rate_min: expected key=value, such as pacing.rule=none"),
        ("a b=1", "--set a b=1: expected a key such as pacing.rate_min or model[0].file"),
    ] {
        assert_eq!(plan_with(&[text]).unwrap_err(), expected);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = weir_shell::config::load(Path::new("/nonexistent/x.toml"), &[]).unwrap_err().to_string();
    assert_eq!(error, "/nonexistent/x.toml: cannot read: No such file or directory (os error 2)");
}

fn faults(text: &str, overrides: &[String]) -> Vec<String> {
    let load = |text: &str| {
        let source = Source::from_text(Path::new("conf/x.toml"), text.to_owned(), overrides).unwrap();
        (Plan::check(&source).unwrap(), source)
    };
    let (started, _) = load(GOOD);
    let (next, source) = load(text);
    needs_restart(&started, &next, &source).iter().map(ToString::to_string).collect()
}

/// (text in the good file, what it becomes, what a reload says)
const FIXED: &[(&str, &str, &str)] = &[
    (
        "hugepages = false",
        "hugepages = true",
        "conf/x.toml:2:13: eal.hugepages: needs a restart: was false, is now true",
    ),
    (
        "memory_mb = 128",
        "memory_mb = 256",
        "conf/x.toml:3:13: eal.memory_mb: needs a restart: was 128, is now 256",
    ),
    (
        "shared = true\n\n[ports]\nmode = \"wire\"\ninside = \"net_null0\"",
        "shared = true\n\n[ports]\nmode = \"wire\"\ninside = \"net_null2\"",
        "conf/x.toml:12:10: ports.inside: needs a restart: was \"net_null0\", is now \"net_null2\"",
    ),
    (
        "outside = \"net_null1\"",
        "outside = \"net_null2\"",
        "conf/x.toml:13:11: ports.outside: needs a restart: was \"net_null1\", is now \"net_null2\"",
    ),
    ("seed = 1", "seed = 2", "conf/x.toml:16:8: engine.seed: needs a restart: was 1, is now 2"),
    (
        "flows_max = 1024",
        "flows_max = 2048",
        "conf/x.toml:17:13: engine.flows_max: needs a restart: was 1024, is now 2048",
    ),
    (
        "half_open_max = 1024",
        "half_open_max = 2048",
        "conf/x.toml:18:17: engine.half_open_max: needs a restart: was 1024, is now 2048",
    ),
    (
        "flow_idle_max = \"120s\"",
        "flow_idle_max = \"60s\"",
        "conf/x.toml:19:17: engine.flow_idle_max: needs a restart: was \"2min\", is now \"1min\"",
    ),
    (
        "held_max = 1024",
        "held_max = 2048",
        "conf/x.toml:20:12: engine.held_max: needs a restart: was 1024, is now 2048",
    ),
    // Taken away: the default is what counts.
    ("held_max = 1024\n", "", "conf/x.toml:15:2: engine.held_max: needs a restart: was 1024, is now 8192"),
    (
        "drain_max = \"2s\"",
        "drain_max = \"3s\"",
        "conf/x.toml:21:13: engine.drain_max: needs a restart: was \"2s\", is now \"3s\"",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "listen = \"127.0.0.1:9\"",
        "conf/x.toml:49:10: metrics.listen: needs a restart: was \"127.0.0.1:0\", is now \"127.0.0.1:9\"",
    ),
    (
        "[metrics]\nlisten = \"127.0.0.1:0\"\n",
        "",
        "conf/x.toml:1:1: metrics: needs a restart: was set, is now not set",
    ),
    (
        "socket = \"weir.sock\"",
        "socket = \"other.sock\"",
        "conf/x.toml:52:10: control.socket: needs a restart: was \"weir.sock\", is now \"other.sock\"",
    ),
];

#[test]
fn a_reload_that_needs_a_restart_names_each_such_key() {
    for (from, to, expected) in FIXED {
        assert!(GOOD.contains(from), "{from:?}");
        assert_eq!(faults(&GOOD.replacen(from, to, 1), &[]), [*expected], "{to:?}");
    }
    let both = GOOD.replacen("seed = 1", "seed = 2", 1).replacen("memory_mb = 128", "memory_mb = 96", 1);
    assert_eq!(
        faults(&both, &[]),
        [
            "conf/x.toml:3:13: eal.memory_mb: needs a restart: was 128, is now 96",
            "conf/x.toml:16:8: engine.seed: needs a restart: was 1, is now 2",
        ]
    );
    // `--set` keeps its say over the file.
    assert_eq!(faults(&both, &["engine.seed=7".to_owned(), "eal.memory_mb=256".to_owned()]), [""; 0]);
}

#[test]
fn a_reload_may_change_pacing_and_models_but_not_whether_there_is_pacing() {
    for (from, to) in [
        ("rule = \"bbr_lite\"", "rule = \"none\""),
        ("model = \"aurora\"\n", ""),
        ("rate_min = \"500kbps\"", "rate_min = \"600kbps\""),
        ("rate_max = \"10Gbps\"", "rate_max = \"1Gbps\""),
        ("rate_start = \"10Mbps\"", "rate_start = \"20Mbps\""),
        ("control_share = 0.02", "control_share = 0.5"),
        ("sample_share = 0.1", "sample_share = 0.5\nexplore_share = 0.2\nexplore_sigma = 1"),
        ("mark_delay = \"10ms\"", "mark_delay = \"20ms\""),
        ("delay_max = \"100ms\"", "delay_max = \"50ms\""),
        ("flow_held_bytes_max = \"1MiB\"", "flow_held_bytes_max = \"2MiB\""),
        ("pin = \"interval\"", "pin = \"flow\"\npin_max = \"2s\""),
        ("pin = \"interval\"", "pin = \"interval\"\nmode = \"yield\""),
        ("pin = \"interval\"", "pin = \"interval\"\ncadence = \"packet\""),
        ("file = \"models/aurora.onnx\"", "file = \"models/other.onnx\""),
        ("precision = \"8bit\"", "precision = \"12bit\""),
        ("clip = [0, 4]", "clip = [0, 2]"),
    ] {
        assert!(GOOD.contains(from), "{from:?}");
        assert_eq!(faults(&GOOD.replacen(from, to, 1), &[]), [""; 0], "{to:?}");
    }
    // A default that is written out changes nothing.
    assert_eq!(faults(&GOOD.replacen("mode = \"wire\"\n", "", 1), &[]), [""; 0]);

    let start = GOOD.find("[pacing]").unwrap();
    let end = GOOD.find("[[model]]").unwrap();
    let without = format!("{}{}", &GOOD[..start], &GOOD[end..]);
    assert_eq!(
        faults(&without, &[]),
        [
            "conf/x.toml:1:1: pacing: needs a restart: was set, is now not set; with rule = \"none\" and no model the \
          section paces nothing"
        ]
    );
}

#[test]
fn the_control_socket_is_found_in_a_file_that_is_wrong_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let found = |text: &str| {
        std::fs::write(&file, text).unwrap();
        weir_shell::config::control_socket(&file).map_err(|error| error.to_string())
    };
    assert_eq!(found("[nonsense]\n[control]\nsocket = \"a.sock\"\n").unwrap(), folder.path().join("a.sock"));
    assert_eq!(found("[control]\n").unwrap(), Path::new("/run/weir/weir.sock"));
    assert!(
        found("[control]\nsocket = 5\n")
            .unwrap_err()
            .ends_with("x.toml:2:10: control.socket: expected a text")
    );
    assert!(found("[ports]\n").unwrap_err().contains("control: missing key"));
}

/// A file that schedules by rule.
fn scheduling(rest: &str) -> String {
    let ports = "[ports]\ninside = \"net_null0\"\noutside = \"net_null1\"\n";
    format!("{ports}[schedule]\nrule = \"ageing\"\nlink_rate = \"1Gbps\"\n{rest}")
}

#[test]
fn a_schedule_has_defaults_and_reads_what_it_is_told() {
    use weir_engine::schedule::{ScheduleRule, Thresholds, Trust};
    let plain = plan(&scheduling(""), &[]).unwrap().engine.schedule.unwrap();
    assert_eq!((plain.rule, plain.trust, plain.model), (ScheduleRule::Ageing, Trust::Ignore, false));
    assert_eq!(plain.link_rate.0, 1_000_000_000);
    assert_eq!((plain.overhead_bytes, plain.burst_bytes, plain.mark_frames), (24, 65_536, 0));
    assert_eq!((plain.queue_frames_max, plain.peers_max, plain.other_priority), (4_096, 16_384, 3));
    assert_eq!((plain.wait_max.0, plain.control_share), (50_000_000, 1_311));
    assert_eq!(plain.ageing_thresholds, Thresholds::PIAS_WEB_SEARCH);
    let told = scheduling(
        "trust = \"remark\"\ndscp = [40, 32, 24, 16, 10, 0, 8, 1]\npcp = [7, 6, 5, 4, 3, 2, 1, 0]\nmark_frames = 65\n\
         ageing_thresholds = [\"1kB\", \"2kB\", \"3kB\", \"4kB\", \"5kB\", \"6kB\", \"7kB\"]\n\
         predicted_min = \"1kB\"\npredicted_max = \"1MB\"\nwait_max = \"10ms\"\nother_priority = 5\n",
    );
    let told = plan(&told, &[]).unwrap().engine.schedule.unwrap();
    assert_eq!((told.trust, told.mark_frames, told.other_priority), (Trust::Remark, 65, 5));
    assert_eq!((told.dscp.unwrap()[1], told.pcp.unwrap()[7]), (32, 0));
    assert_eq!(told.ageing_thresholds.0[6], 7_000);
    assert_eq!((told.predicted_min, told.predicted_max), (1_000, 1_000_000));
}

#[test]
fn a_schedule_that_does_not_hold_is_refused_at_its_key() {
    let cases = [
        (
            "model = \"sizes\"",
            "7:9: schedule.model: expected the name of a [[model]], found \"sizes\"; the file has no [[model]]",
        ),
        ("burst = \"1kB\"", "7:9: schedule.burst: expected from 1522B, one full frame, to 1GiB, found 1kB"),
        ("wait_max = \"2s\"", "7:12: schedule.wait_max: expected more than 0 and at most 1s, found 2s"),
        (
            "trust = \"trust\"",
            "7:9: schedule.trust: \"trust\" needs schedule.dscp: the DSCP of each priority, most urgent first",
        ),
        (
            "trust = \"remark\"",
            "7:9: schedule.trust: \"remark\" needs schedule.dscp or schedule.pcp: the mark of each priority, most urgent first",
        ),
        (
            "pcp = [0, 1, 2, 3, 4, 5, 6, 7]",
            "7:1: schedule.pcp: expected only with schedule.trust = \"trust\" or \"remark\": \"ignore\" writes no marks",
        ),
        (
            "trust = \"trust\"\ndscp = [40, 32, 40, 16, 10, 0, 8, 1]",
            "8:17: schedule.dscp[2]: expected each mark once where marks are trusted, found 40 twice",
        ),
        (
            "size_thresholds = [\"2kB\", \"1kB\", \"3kB\", \"4kB\", \"5kB\", \"6kB\", \"7kB\"]",
            "7:27: schedule.size_thresholds[1]: expected at least 2kB, the one before, found 1kB",
        ),
        (
            "mark_frames = 4096",
            "7:15: schedule.mark_frames: expected less than schedule.queue_frames_max = 4096, found 4096",
        ),
        (
            "predicted_min = \"20GB\"",
            "4:1: schedule.predicted_max: expected at least schedule.predicted_min = 20GB, found 10GB",
        ),
    ];
    for (lines, expected) in cases {
        let error = plan(&scheduling(&format!("{lines}\n")), &[]).unwrap_err();
        let (_, said) = error.split_once("conf/x.toml:").unwrap_or(("", &error));
        // Where the key is not in the file, the table's place stands for it.
        let tail = |text: &str| text.split_once(": ").map(|(_, tail)| tail.to_owned());
        match expected.starts_with("4:1") {
            true => assert_eq!(tail(said), tail(expected), "{lines}"),
            false => assert_eq!(said, expected, "{lines}"),
        }
    }
    let missing = plan(&scheduling("sizes = \"no-such.csv\"\n"), &[]).unwrap_err();
    assert!(missing.contains("schedule.sizes: conf/no-such.csv: No such file"), "{missing}");
}

#[test]
fn the_shipped_distribution_parts_the_load() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/schedule.toml");
    let (plan, _) =
        weir_shell::config::load(&conf, &["cores.workers=[0]".into(), "cores.shared=true".into()]).unwrap();
    let schedule = plan.engine.schedule.unwrap();
    assert!(schedule.model && plan.size_model == Some(0) && plan.pacing_model.is_none());
    let sizes = schedule.size_thresholds.0;
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
    // Web search: half of the bytes are in flows of more than some 8 MB.
    assert!((5_000_000..12_000_000).contains(&sizes[3]), "{sizes:?}");
}

#[test]
fn the_shipped_schedules_model_is_one_row_of_flow_sizes() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let text = std::fs::read_to_string(conf.join("schedule.toml")).unwrap();
    let table = text.split_once("\n[[model]]").unwrap().1.split_once("\n\n").unwrap().0;
    let table = format!("[[model]]{table}");
    let sizes = conf.join("workloads/web-search.csv");
    let text = scheduling(&format!("model = \"sizes\"\nsizes = {sizes:?}\n{table}\n"));
    let found = plan(&text, &[]).unwrap();
    assert!(found.engine.schedule.unwrap().model && found.size_model == Some(0));
    assert_eq!(found.models[0].spec.function.name(), "schedule");
    assert_eq!(found.models[0].schema.hash(), weir_trainer::spec::inputs(&found.models[0].spec).unwrap().0);
    let twice = text.replace("history = 1 ", "history = 2 ");
    assert!(
        plan(&twice, &[]).unwrap_err().contains("model[0].history: expected 1: a flow has one row, found 2")
    );
    let other = text.replace("function = \"schedule\"", "function = \"balance\"");
    assert!(plan(&other, &[]).is_err());
}
