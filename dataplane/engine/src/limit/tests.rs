//! Which limits a frame is under.

use super::*;
use crate::wire::Endpoint;
use core::net::IpAddr;

pub(crate) fn limit(name: &str, scope: Scope) -> LimitConfig {
    LimitConfig {
        name: name.to_owned(),
        scope,
        rate: BitsPerSec::from_mbps(10),
        burst_bytes: 1_522,
        mark_delay: Ns::from_millis(10),
        delay_max: Ns::from_millis(100),
        queue_bytes: 1 << 20,
    }
}

fn end(side: Side, prefix: &str) -> Scope {
    let (address, len) = prefix.split_once('/').unwrap();
    Scope::End(side, Prefix { address: address.parse().unwrap(), len: len.parse().unwrap() })
}

fn key(source: &str, destination: &str) -> Tuple {
    let endpoint = |text: &str| {
        let mut address = [0; 16];
        match text.parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => address[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => address = v6.octets(),
        }
        Endpoint { address, port: 1 }
    };
    let version = if source.contains(':') { IpVersion::V6 } else { IpVersion::V4 };
    Tuple { source: endpoint(source), destination: endpoint(destination), version }
}

#[test]
fn a_frame_is_under_the_longest_prefix_of_each_end_and_the_limit_on_all() {
    let limits = Limits::new(vec![
        limit("wide", end(Side::Inside, "10.0.0.0/8")),
        limit("narrow", end(Side::Inside, "10.1.0.0/16")),
        limit("server", end(Side::Outside, "192.0.2.7/32")),
        limit("six", end(Side::Inside, "fd00:1::/32")),
        limit("six-out", end(Side::Outside, "::/0")),
        limit("all", Scope::All),
        limit("four", end(Side::Inside, "0.0.0.0/0")),
    ]);
    let on = |source, destination| limits.on(&key(source, destination)).iter().collect::<Vec<u8>>();
    assert_eq!(on("10.1.2.3", "192.0.2.7"), [1, 2, 5]);
    assert_eq!(on("10.2.2.3", "192.0.2.8"), [0, 5]);
    assert_eq!(on("172.16.0.1", "10.1.2.3"), [6, 5], "an end is an end of that side only");
    assert_eq!(on("fd00:1::1", "2001:db8::1"), [3, 4, 5]);
    // As bytes this is 10.0.0.1, and it is no IPv4 address.
    assert_eq!(on("a00:1::", "2001:db8::1"), [4, 5]);
    assert_eq!(limits.on_any().iter().collect::<Vec<u8>>(), [5]);
    assert!(Limits::none().on(&key("10.1.2.3", "192.0.2.7")).is_empty());
}

#[test]
fn limits_that_say_the_same_keep_their_clocks() {
    let make = |rate| {
        let mut all = limit("all", Scope::All);
        all.rate = BitsPerSec(rate);
        Limits::new(vec![all])
    };
    let live = make(1_000_000);
    assert_eq!(make(1_000_000).or_same(&live).number(), live.number());
    let other = make(2_000_000);
    let number = other.number();
    assert!(number != live.number());
    assert_eq!(other.or_same(&live).number(), number);
}

#[test]
fn what_is_shown_can_be_read_back() {
    let mut next = 0;
    let stats = LimitStats::from_words(|| {
        next += 1;
        next
    });
    let mut words = Vec::new();
    stats.each(|stat| words.push(stat.value));
    assert_eq!(words, (1..=LimitStats::COUNT as u64).collect::<Vec<_>>());
}
