//! Two Weirs and three ways between them, each through an emulated link of its own:
//!
//! ```text
//! client - weir-a - near === link 0: north === far - weir-b - server
//!                        === link 1: south ===
//!                        === link 2: west  ===
//! ```
//!
//! `near` and `far` are the kernel's routers, which know nothing but where each tunnel's ends are. Addresses are those of
//! `conf/balance.toml`, whose mirror the second Weir gets.

use anyhow::{Context, Result};
use weir_link::Settings;
use weir_link::live::Options;

use crate::bed::CPU;
use crate::link::LinkThread;
use crate::netns::Netns;

/// Ways.
pub const WAYS: usize = 3;
/// Their names in `conf/balance.toml`.
pub const NAMES: [&str; WAYS] = ["north", "south", "west"];
/// The server behind the second Weir.
pub const FAR_V4: &str = "10.7.0.2";
/// Likewise, IPv6.
pub const FAR_V6: &str = "fd07::2";
/// Where the tunnels end, at each Weir.
const ENDS: [[&str; WAYS]; 2] = [["10.9.1", "10.9.2", "fd09:3:"], ["10.10.1", "10.10.2", "fd10:3:"]];
/// Frames that a tap holds for its link.
const TAP_QUEUE_FRAMES: u32 = 4_000;

/// Everything but the Weirs. Fields drop in order: the links first.
#[derive(Debug)]
pub struct PathsBed {
    /// By way.
    pub links: Vec<LinkThread>,
    /// Where the senders run.
    pub client: Netns,
    /// Where each Weir runs, with its ports `weir-in` and `weir-out`.
    pub weirs: [Netns; 2],
    /// The router beside the first Weir: its device `n0` sees every frame between that Weir and the network.
    pub near: Netns,
    /// The router beside the second.
    pub far: Netns,
    /// Where the receivers run.
    pub server: Netns,
}

impl PathsBed {
    /// Makes it, each link with these settings both ways.
    ///
    /// # Errors
    /// Not root, or a tool or a kernel feature is missing.
    pub fn new(settings: Settings, seed: u64) -> Result<PathsBed> {
        let [client, a, near, far, b, server] =
            ["client", "weir-a", "near", "far", "weir-b", "server"].map(Netns::new);
        let (client, weirs, near, far, server) = (client?, [a?, b?], near?, far?, server?);
        for end in [&client, &near, &far, &server] {
            end.sysctl("net.ipv4.tcp_ecn=1")?;
            end.sysctl("net.ipv6.conf.default.accept_dad=0")?;
        }
        for weir in &weirs {
            for scope in ["all", "default"] {
                weir.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6=1"))?;
            }
        }
        veth(&client, "c0", &weirs[0], "weir-in")?;
        veth(&near, "n0", &weirs[0], "weir-out")?;
        veth(&far, "f0", &weirs[1], "weir-out")?;
        veth(&server, "s0", &weirs[1], "weir-in")?;
        for (end, device, net) in [(&client, "c0", 8), (&server, "s0", 7)] {
            end.ip(&format!("addr add 10.{net}.0.2/24 dev {device}"))?;
            end.ip(&format!("addr add fd0{net}::2/64 dev {device} nodad"))?;
            end.ip(&format!("route add default via 10.{net}.0.1"))?;
            end.ip(&format!("route add default via fd0{net}::1"))?;
        }
        let mut links = Vec::with_capacity(WAYS);
        for way in 0..WAYS {
            links.push(link(way, &near, &far, settings, seed + way as u64)?);
        }
        for (router, device, own, other, last) in
            [(&near, "n0", ENDS[0], ENDS[1], 1), (&far, "f0", ENDS[1], ENDS[0], 2)]
        {
            router.sysctl("net.ipv4.ip_forward=1")?;
            router.sysctl("net.ipv6.conf.all.forwarding=1")?;
            for way in 0..WAYS {
                let hop = 3 - last;
                raise(router, &format!("p{way}"), Some(TAP_QUEUE_FRAMES))?;
                if way < 2 {
                    router.ip(&format!("addr add {}.254/24 dev {device}", own[way]))?;
                    router.ip(&format!("addr add 172.16.{way}.{last}/24 dev p{way}"))?;
                    router.ip(&format!("route add {}.0/24 via 172.16.{way}.{hop}", other[way]))?;
                } else {
                    router.ip(&format!("addr add {}:fe/64 dev {device} nodad", own[way]))?;
                    router.ip(&format!("addr add fd16::{last}/64 dev p{way} nodad"))?;
                    router.ip(&format!("route add {}:/64 via fd16::{hop}", other[way]))?;
                }
            }
        }
        Ok(PathsBed { links, client, weirs, near, far, server })
    }

    /// What makes of `conf/balance.toml` the other end's configuration.
    pub fn mirror() -> Vec<String> {
        let [a, b] = ENDS;
        let mut words = vec![
            "route.inside.addresses=[\"10.7.0.1/24\", \"fd07::1/64\"]".to_owned(),
            format!("route.outside.addresses=[\"{}.1/24\", \"{}.1/24\", \"{}:1/64\"]", b[0], b[1], b[2]),
            "balance.to=[\"10.8.0.0/24\", \"fd08::/64\"]".to_owned(),
        ];
        for way in 0..WAYS {
            let (dot, via) = if way < 2 { (".", "254") } else { (":", "fe") };
            words.push(format!("path[{way}].via={}{dot}{via}", b[way]));
            words.push(format!("path[{way}].local={}{dot}1", b[way]));
            words.push(format!("path[{way}].remote={}{dot}1", a[way]));
        }
        words
    }
}

fn veth(own: &Netns, device: &str, other: &Netns, peer: &str) -> Result<()> {
    own.ip(&format!("link add {device} type veth peer name {peer} netns {}", other.name()))?;
    raise(own, device, None)?;
    raise(other, peer, None)
}

fn link(way: usize, near: &Netns, far: &Netns, settings: Settings, seed: u64) -> Result<LinkThread> {
    let tap = |netns: &Netns| format!("p{way}@{}", netns.name()).parse().map_err(anyhow::Error::msg);
    let options = Options {
        taps: [tap(near)?, tap(far)?],
        settings: [settings; 2],
        seed,
        schedule: Vec::new(),
        report_every_ns: 50_000_000,
    };
    LinkThread::start(options, CPU).with_context(|| format!("cannot start link {way}"))
}

fn raise(netns: &Netns, device: &str, queue_frames: Option<u32>) -> Result<()> {
    netns.offloads_off(device)?;
    if let Some(frames) = queue_frames {
        netns.ip(&format!("link set {device} txqueuelen {frames}"))?;
    }
    netns.ip(&format!("link set {device} up")).map(|_| ())
}
