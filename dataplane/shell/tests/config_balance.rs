//! `[balance]` and `[[path]]`: what they say, what is wrong with them, and what a reload may change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use weir_engine::balance::{BalanceConfig, Cadence, Draws, PathRule, Wrap};
use weir_shell::config::{Plan, Source, needs_restart};

const GOOD: &str = r#"[ports]
mode = "route"
inside = "pcap:in=in.pcap,out=in.out.pcap"
outside = "pcap:in=out.pcap,out=out.out.pcap"
[route.inside]
addresses = ["10.8.0.1/24"]
mac = "02:00:00:00:08:01"
[route.outside]
addresses = ["10.9.1.1/24", "fd09::1/64"]
mac = "02:00:00:00:09:01"
[balance]
to = ["10.7.0.0/24", "::/0"]
rule = "power-of-two"
[[path]]
name = "a"
kind = "ipip"
via = "10.9.1.254"
remote = "10.10.1.1"
weight = 2
rate = "1Gbps"
[[path]]
name = "b"
kind = "vxlan"
via = "fd09::fe"
remote = "fd10::1"
vni = 7
draw = "source_port"
state = "drain"
[[path]]
name = "c"
kind = "next_hop"
via = "10.9.3.254"
vlan = 103
addresses = ["10.9.3.1/24"]
probe = "10.9.3.2"
"#;

fn source(text: &str) -> Source {
    Source::from_text(Path::new("conf/x.toml"), text.to_owned(), &[]).unwrap()
}

fn plan(text: &str) -> Result<Plan, String> {
    Plan::check(&source(text)).map_err(|error| error.to_string())
}

fn balance(plan: &Plan) -> &BalanceConfig {
    plan.engine.route.as_ref().unwrap().balance.as_ref().unwrap()
}

#[test]
fn a_good_one_says_what_it_says() {
    let plan = plan(GOOD).unwrap();
    let balance = balance(&plan);
    assert_eq!(balance.to.len(), 2);
    let [a, b, c] = &balance.paths[..] else { unreachable!("{:?}", balance.paths) };
    assert_eq!((a.inner_mtu(), b.inner_mtu(), c.inner_mtu(), balance.mtu()), (1_480, 1_430, 1_500, 1_430));
    assert_eq!(a.wrap.ends().unwrap().local.to_string(), "10.9.1.1");
    assert_eq!(a.rate_bps, Some(1_000_000_000));
    assert!(matches!(b.wrap, Wrap::Vxlan { vni: 7, source_port: 49_153, .. }) && b.draw == Draws::SourcePort);
    // A tunnel is probed from end to end; a next hop where something is named.
    let probes = balance.paths.iter().map(|path| path.probe.unwrap());
    let probes: Vec<String> = probes.map(|(to, from)| format!("{from} > {to}")).collect();
    assert_eq!(probes, ["10.9.1.1 > 10.10.1.1", "fd09::1 > fd10::1", "10.9.3.1 > 10.9.3.2"]);
    assert_eq!(balance.vlans.len(), 1);
    let settings = &balance.settings;
    assert_eq!(
        (settings.rule, settings.cadence, settings.model),
        (PathRule::PowerOfTwo, Cadence::Flowlet, false)
    );
    assert_eq!(
        (settings.weights[..3].to_vec(), settings.drains[..3].to_vec()),
        (vec![2, 1, 1], vec![false, true, false])
    );
    assert_eq!((settings.hysteresis_q16, settings.control_share), (6_554, 1_311));
    let names: Vec<String> =
        plan.path_names().into_iter().map(|path| format!("{}: {}", path.name, path.made_of)).collect();
    assert_eq!(names[1..], ["b: vxlan 7 fd09::1 > fd10::1", "c: next hop 10.9.3.254"]);
}

/// (text in the file, what it becomes, what Weir says)
const BROKEN: [(&str, &str, &str); 22] = [
    (
        "mode = \"route\"",
        "mode = \"wire\"",
        "conf/x.toml:5:2: route: expected only with ports.mode = \"route\"",
    ),
    (
        "[balance]\nto = [\"10.7.0.0/24\", \"::/0\"]\nrule = \"power-of-two\"\n",
        "",
        "conf/x.toml:11:1: path[0]: expected a section [balance]",
    ),
    (
        "rule = \"power-of-two\"",
        "rule = \"random\"",
        "conf/x.toml:13:8: balance.rule: expected one of \"maglev\", \"ecmp\", \"letflow\", \"plb\", \"power-of-two\", found \"random\"",
    ),
    (
        "\"10.7.0.0/24\"",
        "\"10.7.0.1/24\"",
        "conf/x.toml:12:7: balance.to[0]: expected a network, found 10.7.0.1/24, which has host bits set",
    ),
    (
        "\"::/0\"]",
        "\"10.7.0.0/24\"]",
        "conf/x.toml:12:22: balance.to[1]: expected each network once, here or in route.to, found 10.7.0.0/24 twice",
    ),
    (
        "rule = \"power-of-two\"",
        "rule = \"plb\"\nmodel = \"x\"",
        "conf/x.toml:14:9: balance.model: expected the name of a [[model]], found \"x\"; the file has no [[model]]",
    ),
    (
        "rule = \"power-of-two\"",
        "rule = \"plb\"\nflowlet_gap = \"2min\"",
        "conf/x.toml:14:15: balance.flowlet_gap: expected 1us to 60s",
    ),
    (
        "rule = \"power-of-two\"",
        "rule = \"plb\"\nprobe_interval = \"10us\"",
        "conf/x.toml:14:18: balance.probe_interval: expected 100us to 60s",
    ),
    (
        "name = \"b\"",
        "name = \"a\"",
        "conf/x.toml:22:8: path[1].name: expected each name once, found \"a\" twice",
    ),
    (
        "name = \"a\"",
        "name = \"a b\"",
        "conf/x.toml:15:8: path[0].name: expected 1 to 32 letters, digits, `_` or `-`, found \"a b\"",
    ),
    (
        "kind = \"ipip\"",
        "kind = \"gre\"",
        "conf/x.toml:16:8: path[0].kind: expected one of \"next_hop\", \"ipip\", \"vxlan\", found \"gre\"",
    ),
    (
        "via = \"10.9.1.254\"",
        "via = \"10.8.0.2\"",
        "conf/x.toml:17:7: path[0].via: expected a neighbour outside (of 10.9.1.1/24, fd09::1/64, 10.9.3.1/24), found 10.8.0.2",
    ),
    ("remote = \"10.10.1.1\"\n", "", "conf/x.toml:14:1: path[0].remote: missing key: the tunnel's other end"),
    (
        "remote = \"10.10.1.1\"",
        "remote = \"10.9.1.1\"",
        "conf/x.toml:18:10: path[0].remote: expected the address of another station, found 10.9.1.1",
    ),
    ("vni = 7\n", "", "conf/x.toml:21:1: path[1].vni: missing key: VXLAN's network identifier"),
    (
        "weight = 2",
        "weight = 257",
        "conf/x.toml:19:10: path[0].weight: expected a whole number from 0 to 256, found 257",
    ),
    (
        "draw = \"source_port\"",
        "draw = \"flow_label\"\nmtu = 1300",
        "conf/x.toml:28:7: path[1].mtu: expected at least 1350, so that 1280 are left for a packet (RFC 8200 section 5), found 1300",
    ),
    (
        "weight = 2",
        "draw = \"flow_label\"",
        "conf/x.toml:19:8: path[0].draw: \"flow_label\" needs IPv6 outside: this tunnel's ends are IPv4",
    ),
    (
        "weight = 2",
        "draw = \"source_port\"",
        "conf/x.toml:19:8: path[0].draw: \"source_port\" is the outer one of kind = \"vxlan\"",
    ),
    (
        "addresses = [\"10.9.3.1/24\"]",
        "addresses = [\"10.9.1.9/25\"]",
        "conf/x.toml:34:14: path[2].addresses[0]: expected another network than 10.9.1.1/24, found 10.9.1.9/25",
    ),
    (
        "vlan = 103\n",
        "",
        "conf/x.toml:33:1: path[2].addresses: expected only with vlan: others stand in route.outside",
    ),
    (
        "probe = \"10.9.3.2\"",
        "probe = \"10.9.3.1\"",
        "conf/x.toml:35:9: path[2].probe: expected the other Weir's address, of a kind that outside has (of 10.9.1.1/24, fd09::1/64, 10.9.3.1/24), found 10.9.3.1",
    ),
];

#[test]
fn broken_ones_are_refused_at_their_place_with_what_was_expected() {
    for (from, to, said) in BROKEN {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        let refused = plan(&text).err().unwrap_or_else(|| unreachable!("accepted: {to}"));
        assert!(refused.starts_with(said), "\n{refused}\n{said}");
    }
    let none = GOOD.replace("weight = 2", "weight = 0").replace("probe = ", "weight = 0\nprobe = ");
    assert!(plan(&none).unwrap_err().contains("path: expected one that takes new flows"));
}

#[test]
fn weights_states_and_how_a_path_is_chosen_may_change_in_a_reload_and_nothing_else() {
    let started = plan(GOOD).unwrap();
    let faults = |from: &str, to: &str| {
        let text = GOOD.replacen(from, to, 1);
        let source = source(&text);
        let next = Plan::check(&source).unwrap();
        let faults = needs_restart(&started, &next, &source);
        (next, faults.into_iter().map(|fault| fault.to_string()).collect::<Vec<_>>())
    };
    for (from, to) in [
        ("weight = 2", "weight = 9"),
        ("state = \"drain\"", "state = \"up\""),
        ("rule = \"power-of-two\"", "rule = \"letflow\"\nflowlet_gap = \"1ms\"\nslow_start = \"0s\""),
    ] {
        let (next, faults) = faults(from, to);
        assert_eq!(faults, Vec::<String>::new());
        assert_ne!(balance(&next).settings, balance(&started).settings);
    }
    for (from, to, said) in [
        (
            "via = \"10.9.1.254\"",
            "via = \"10.9.1.253\"",
            "conf/x.toml:17:7: path[0].via: needs a restart: was \"10.9.1.254\", is now \"10.9.1.253\"",
        ),
        (
            "\"10.7.0.0/24\"",
            "\"10.7.1.0/24\"",
            "conf/x.toml:12:1: balance.to: needs a restart: was [\"10.7.0.0/24\",\"::/0\"], is now",
        ),
        ("name = \"c\"", "name = \"d\"", "conf/x.toml:30:8: path[2].name: needs a restart"),
    ] {
        let (_, faults) = faults(from, to);
        assert!(faults.len() == 1 && faults[0].starts_with(said), "{faults:?}\n{said}");
    }
}
