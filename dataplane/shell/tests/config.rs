//! Broken configurations and what Weir says about each: one line with file, line, column, key, what was expected and
//! what was found.

use std::path::Path;
use weir_shell::config::{Plan, PortsPlan, Source};

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
        "mode = \"route\"",
        "conf/x.toml:11:8: ports.mode: expected one of \"wire\", found \"route\"",
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
        "conf/x.toml:3:13: eal.memory_mb: expected at least 2631 for engine.held_max = 1000000 frames, found 128",
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

#[test]
fn each_break_is_named_with_its_place() {
    let mut wrong = Vec::new();
    for (from, to, expected) in BROKEN {
        assert!(GOOD.contains(from), "{from:?}");
        let said = plan(&GOOD.replacen(from, to, 1), &[]).expect_err(to);
        if said != *expected {
            wrong.push(format!("{to:?}\n  said     {said}\n  expected {expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn overrides_are_read_as_toml_or_as_text_and_named_when_wrong() {
    let plan_with = |overrides: &[&str]| plan(GOOD, overrides);
    let changed = plan_with(&[
        "pacing.rate_min=20Mbps",
        "pacing.rate_start=20Mbps",
        "pacing.sample_share=1",
        "model[0].precision=12bit",
        "engine.seed=7",
    ])
    .unwrap();
    let pacing = changed.engine.pacing.unwrap();
    assert_eq!((pacing.rate_min.0, pacing.sample_share, changed.engine.seed), (20_000_000, 65_536, 7));
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
