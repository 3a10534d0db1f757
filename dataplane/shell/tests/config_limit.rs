//! `[[pacing.limit]]`: what it says, and what is said about it.
#![allow(clippy::unwrap_used)] // Clippy exempts test functions only; here the helpers are test code too.

use std::path::Path;
use weir_engine::io::Side;
use weir_engine::limit::{LIMITS_MAX, LimitConfig, Scope};
use weir_engine::time::Ns;
use weir_shell::config::{Plan, Source, needs_restart};

/// A file that paces by rule, and then says `rest`.
fn limited(rest: &str) -> String {
    format!(
        "[ports]\ninside = \"net_null0\"\noutside = \"net_null1\"\n[pacing]\nrule = \"none\"\nrate_min = \"1Mbps\"\n\
         rate_start = \"1Mbps\"\nrate_max = \"10Gbps\"\nmark_delay = \"10ms\"\ndelay_max = \"100ms\"\n\
         flow_held_bytes_max = \"1MiB\"\n{rest}"
    )
}

fn plan(rest: &str) -> Result<(Plan, Source), String> {
    let load = || {
        let source = Source::from_text(Path::new("conf/x.toml"), limited(rest), &[])?;
        Ok((Plan::check(&source)?, source))
    };
    load().map_err(|error: weir_shell::config::ConfigError| error.to_string())
}

fn limits(rest: &str) -> Vec<LimitConfig> {
    plan(rest).unwrap().0.engine.pacing.unwrap().limits.iter().cloned().collect()
}

const TWO: &str = "[[pacing.limit]]\nname = \"tenant-a\"\nprefix = \"10.1.0.0/16\"\nside = \"inside\"\nrate = \"100Mbps\"\n\
                   [[pacing.limit]]\nname = \"uplink\"\nrate = \"1Gbps\"\n";

#[test]
fn limits_have_defaults_and_read_what_they_are_told() {
    assert!(limits("").is_empty());
    let [tenant, uplink] = &limits(TWO)[..] else { panic!("two limits") };
    assert_eq!((tenant.name.as_str(), tenant.rate.0), ("tenant-a", 100_000_000));
    let Scope::End(Side::Inside, prefix) = tenant.scope else { panic!("{:?}", tenant.scope) };
    assert_eq!(prefix.to_string(), "10.1.0.0/16");
    assert_eq!((tenant.burst_bytes, tenant.queue_bytes), (50_000, 2_500_000));
    assert_eq!((tenant.mark_delay, tenant.delay_max), (Ns::from_millis(10), Ns::from_millis(100)));
    assert_eq!((uplink.scope, uplink.burst_bytes), (Scope::All, 65_536));
    let told = limits(
        "[[pacing.limit]]\nname = \"v6\"\nprefix = \"2001:db8::/32\"\nside = \"outside\"\nrate = \"2Mbps\"\n\
         burst = \"9kB\"\nmark_delay = \"1ms\"\ndelay_max = \"5ms\"\nqueue = \"32KiB\"\n",
    );
    let [v6] = &told[..] else { panic!("one limit") };
    assert_eq!(v6.scope.to_string(), "outside 2001:db8::/32");
    assert_eq!((v6.burst_bytes, v6.queue_bytes), (9_000, 32 << 10));
    assert_eq!((v6.mark_delay, v6.delay_max), (Ns::from_millis(1), Ns::from_millis(5)));
    // A shorter delay than pacing.mark_delay marks as late as it may.
    let short = limits("[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\ndelay_max = \"5ms\"\n");
    assert_eq!(short[0].mark_delay, Ns::from_millis(5));
}

/// (what follows `[pacing]`, what Weir says)
const BROKEN: &[(&str, &str)] = &[
    ("[[pacing.limit]]\nname = \"a\"\n", "conf/x.toml:12:1: pacing.limit[0].rate: missing key"),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"0bps\"\n",
        "conf/x.toml:14:8: pacing.limit[0].rate: expected from 16kbps to 1000Gbps, found 0bps",
    ),
    (
        "[[pacing.limit]]\nname = \"a b\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:13:8: pacing.limit[0].name: expected 1 to 32 letters, digits, `_` or `-`, found \"a b\"",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\n[[pacing.limit]]\nname = \"a\"\nprefix = \"10.0.0.0/8\"\n\
         side = \"inside\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:16:8: pacing.limit[1].name: expected each name once, found \"a\" twice",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nprefix = \"10.1.2.3/16\"\nside = \"inside\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:14:10: pacing.limit[0].prefix: expected a network, found 10.1.2.3/16, which has host bits set",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nprefix = \"fd00::1/64\"\nside = \"outside\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:14:10: pacing.limit[0].prefix: expected a network, found fd00::1/64, which has host bits set",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nprefix = \"10.1.0.0\"\nside = \"inside\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:14:10: pacing.limit[0].prefix: expected an address and its prefix length such as \
         \"10.8.0.1/24\", found \"10.1.0.0\"",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nprefix = \"10.1.0.0/16\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:12:1: pacing.limit[0].side: missing key; \"inside\" or \"outside\" says which end of a flow \
         10.1.0.0/16 is about",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nside = \"inside\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:14:8: pacing.limit[0].side: expected only with a prefix: without one a limit is on every frame",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nside = \"left\"\nrate = \"1Mbps\"\n",
        "conf/x.toml:14:8: pacing.limit[0].side: expected one of \"inside\", \"outside\", found \"left\"",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\n[[pacing.limit]]\nname = \"b\"\nrate = \"2Mbps\"\n",
        "conf/x.toml:15:1: pacing.limit[1].prefix: expected a prefix, found none: \"a\" is on every frame already",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nprefix = \"::/0\"\nside = \"inside\"\nrate = \"1Mbps\"\n[[pacing.limit]]\n\
         name = \"b\"\nprefix = \"::/0\"\nside = \"inside\"\nrate = \"2Mbps\"\n",
        "conf/x.toml:19:10: pacing.limit[1].prefix: expected each prefix once per side, found inside ::/0 in \"a\", too",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\nburst = \"1kB\"\n",
        "conf/x.toml:15:9: pacing.limit[0].burst: expected from 1522B, one full frame, to 1GiB, found 1kB",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\nqueue = \"1kB\"\n",
        "conf/x.toml:15:9: pacing.limit[0].queue: expected from 1522B, one full frame, to 4GiB, found 1kB",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\ndelay_max = \"2s\"\n",
        "conf/x.toml:15:13: pacing.limit[0].delay_max: expected more than 0 and at most 1s, found 2s",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\nmark_delay = \"200ms\"\n",
        "conf/x.toml:15:14: pacing.limit[0].mark_delay: expected at most pacing.delay_max = 100ms, found 200ms",
    ),
    (
        "[[pacing.limit]]\nname = \"a\"\nrate = \"1Mbps\"\nceiling = \"2Mbps\"\n",
        "conf/x.toml:15:1: pacing.limit[0].ceiling: unknown key; expected one of: name, prefix, side, rate, burst, \
         mark_delay, delay_max, queue",
    ),
];

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (rest, expected) in BROKEN {
        assert_eq!(plan(rest).map(|_| ()).unwrap_err(), *expected, "{rest}");
    }
    let many: String = (0..=LIMITS_MAX)
        .map(|at| {
            format!("[[pacing.limit]]\nname = \"n{at}\"\nprefix = \"10.{at}.0.0/16\"\nside = \"inside\"\nrate = \"1Mbps\"\n")
        })
        .collect();
    let said = plan(&many).map(|_| ()).unwrap_err();
    assert!(said.ends_with("pacing.limit[64]: expected at most 64 limits, found 65"), "{said}");
}

#[test]
fn a_reload_may_change_limits() {
    let (started, _) = plan(TWO).unwrap();
    for rest in ["", &TWO.replace("100Mbps", "50Mbps"), &TWO.replace("tenant-a", "tenant-b")] {
        let (next, source) = plan(rest).unwrap();
        assert!(needs_restart(&started, &next, &source).is_empty(), "{rest}");
    }
}
