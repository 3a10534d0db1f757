//! `pacing.datagrams`: what it needs, and what is said where that is missing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use weir_shell::config::{Plan, Source, needs_restart};

const GOOD: &str = r#"[ports]
mode = "route"
inside = "pcap:in=in.pcap,out=in.out.pcap"
outside = "pcap:in=out.pcap,out=out.out.pcap"
[route.inside]
addresses = ["10.8.0.1/24"]
mac = "02:00:00:00:08:01"
[route.outside]
addresses = ["10.9.1.1/24", "10.9.2.1/24"]
mac = "02:00:00:00:09:01"
[balance]
to = ["10.7.0.0/24"]
rule = "maglev"
probe_interval = "20ms"
[[path]]
name = "a"
kind = "ipip"
via = "10.9.1.254"
remote = "10.10.1.1"
[[path]]
name = "b"
kind = "next_hop"
via = "10.9.2.254"
probe = "10.9.2.2"
[pacing]
rule = "bbr_lite"
rate_min = "1Mbps"
rate_start = "10Mbps"
rate_max = "1Gbps"
mark_delay = "10ms"
delay_max = "100ms"
flow_held_bytes_max = "1MiB"
datagrams = true
"#;

fn source(text: &str) -> Source {
    Source::from_text(Path::new("conf/x.toml"), text.to_owned(), &[]).unwrap()
}

fn plan(text: &str) -> Result<Plan, String> {
    Plan::check(&source(text)).map_err(|error| error.to_string())
}

fn paces(text: &str) -> bool {
    plan(text).unwrap().engine.route.unwrap().balance.unwrap().paces_datagrams
}

#[test]
fn it_is_off_where_nothing_is_said() {
    assert!(paces(GOOD));
    assert!(!paces(&GOOD.replace("datagrams = true", "datagrams = false")));
    assert!(!paces(&GOOD.replace("datagrams = true\n", "")));
}

/// (text in the file, what it becomes, what Weir says)
const BROKEN: [(&str, &str, &str); 5] = [
    ("datagrams = true", "datagrams = 1", "conf/x.toml:33:13: pacing.datagrams: expected"),
    (
        "datagrams = true",
        "datagrams = true\n[schedule]\nrule = \"fifo\"\nlink_rate = \"1Gbps\"\n",
        "conf/x.toml:33:13: pacing.datagrams: expected only without [schedule]: when a datagram departs from behind a shaper",
    ),
    (
        "probe = \"10.9.2.2\"\n",
        "",
        "conf/x.toml:20:1: path[1].probe: missing key: pacing.datagrams wants each path probed",
    ),
    (
        "\"20ms\"",
        "\"300ms\"",
        "conf/x.toml:14:18: balance.probe_interval: expected at most 250ms with pacing.datagrams, which hears of a path once in \
         each, found 300ms",
    ),
    (
        "[balance]\nto = [\"10.7.0.0/24\"]\nrule = \"maglev\"\nprobe_interval = \"20ms\"\n[[path]]\nname = \"a\"\n\
         kind = \"ipip\"\nvia = \"10.9.1.254\"\nremote = \"10.10.1.1\"\n[[path]]\nname = \"b\"\nkind = \"next_hop\"\n\
         via = \"10.9.2.254\"\nprobe = \"10.9.2.2\"\n",
        "",
        "conf/x.toml:19:13: pacing.datagrams: expected only with [balance]: datagrams are paced by what probes say",
    ),
];

#[test]
fn what_it_needs_is_said() {
    for (text, becomes, wanted) in BROKEN {
        assert!(GOOD.contains(text), "{text}");
        let found = plan(&GOOD.replace(text, becomes)).expect_err(wanted);
        assert!(found.starts_with(wanted), "{found}\n  not\n{wanted}");
    }
}

#[test]
fn it_is_fixed_at_the_start() {
    let started = plan(GOOD).unwrap();
    let faults = |text: &str| {
        let source = source(text);
        let next = Plan::check(&source).unwrap();
        let faults = needs_restart(&started, &next, &source);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let wanted = "conf/x.toml:33:13: pacing.datagrams: needs a restart: was true, is now false";
    assert_eq!(faults(&GOOD.replace("datagrams = true", "datagrams = false")), [wanted]);
    assert_eq!(faults(&GOOD.replace("rate_start = \"10Mbps\"", "rate_start = \"20Mbps\"")), [""; 0]);
    assert_eq!(faults(&GOOD.replace("\"bbr_lite\"", "\"none\"")), [""; 0]);
}
