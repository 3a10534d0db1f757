//! The three namespaces and the wires between them.

use anyhow::{Context, Result};
use weir_link::Settings;
use weir_link::live::Options;

use crate::link::LinkThread;
use crate::netns::Netns;

/// CPU of everything but Weir's worker: traffic, the link, measurements.
pub const CPU: usize = 0;
/// The server's IPv4 address.
pub const SERVER_V4: &str = "10.9.0.2";
/// The server's IPv6 address.
pub const SERVER_V6: &str = "fd09::2";
/// The client's addresses where Weir is a wire, and the one network is the server's.
const NEAR_V4: &str = "10.9.0.1";
const NEAR_V6: &str = "fd09::1";
/// Where Weir is a router: a network of its own.
const ROUTED_V4: &str = "10.8.0.2";
const ROUTED_V6: &str = "fd08::2";
/// Weir's own addresses then, as `conf/route.toml` has them: the client's gateways and the server's.
pub const INSIDE_V4: &str = "10.8.0.1";
/// Likewise, IPv6.
pub const INSIDE_V6: &str = "fd08::1";
/// Likewise, towards the server.
pub const OUTSIDE_V4: &str = "10.9.0.1";
/// Likewise, towards the server, IPv6.
pub const OUTSIDE_V6: &str = "fd09::1";
/// Frames that a tap holds for the link. Enough that the queue that drops is the emulated one, also while the
/// link's thread waits for its CPU: 10 000 full frames are 1.2 s at 100 Mb/s.
const TAP_QUEUE_FRAMES: u32 = 10_000;
/// How often the link reports: fine enough to see a queue of some round trips build up.
const REPORT_EVERY_NS: u64 = 50_000_000;

/// Client, server, and what is between them.
///
/// Fields drop in order: the link first, so that its taps go before their namespaces.
#[derive(Debug)]
pub struct Bed {
    /// The emulated link between Weir (or the client) and the server.
    pub link: LinkThread,
    /// Where the senders run.
    pub client: Netns,
    /// Where Weir runs, with its two ports `weir-in` and `weir-out`.
    pub weir: Option<Netns>,
    /// Where the receivers run.
    pub server: Netns,
}

impl Bed {
    /// Makes everything but Weir itself. Without `with_weir` the client's own device is the link's first tap.
    ///
    /// # Errors
    /// Not root, or a tool or a kernel feature is missing.
    pub fn new(with_weir: bool, settings: Settings, seed: u64) -> Result<Bed> {
        let bed = Bed::wired(with_weir, settings, seed)?;
        address(&bed.client, "c0", NEAR_V4, NEAR_V6)?;
        address(&bed.server, "s0", SERVER_V4, SERVER_V6)?;
        Ok(bed)
    }

    /// Makes everything but Weir itself, which is to be the router between the client's network and the server's.
    ///
    /// # Errors
    /// Not root, or a tool or a kernel feature is missing.
    pub fn routed(settings: Settings, seed: u64) -> Result<Bed> {
        let bed = Bed::wired(true, settings, seed)?;
        for (end, device, own, gateways) in [
            (&bed.client, "c0", [ROUTED_V4, ROUTED_V6], [INSIDE_V4, INSIDE_V6]),
            (&bed.server, "s0", [SERVER_V4, SERVER_V6], [OUTSIDE_V4, OUTSIDE_V6]),
        ] {
            address(end, device, own[0], own[1])?;
            for gateway in gateways {
                end.ip(&format!("route add default via {gateway} dev {device}"))?;
            }
        }
        Ok(bed)
    }

    /// Namespaces, devices and the link, without addresses.
    fn wired(with_weir: bool, settings: Settings, seed: u64) -> Result<Bed> {
        let client = Netns::new("client")?;
        let server = Netns::new("server")?;
        let weir = with_weir.then(|| Netns::new("weir")).transpose()?;
        for end in [&client, &server] {
            end.sysctl("net.ipv4.tcp_ecn=1")?;
            // Addresses are usable at once.
            end.sysctl("net.ipv6.conf.default.accept_dad=0")?;
        }
        let near = match &weir {
            None => format!("c0@{}", client.name()),
            Some(weir) => {
                // A transparent wire has no voice of its own.
                for scope in ["all", "default"] {
                    weir.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6=1"))?;
                }
                client.ip(&format!("link add c0 type veth peer name weir-in netns {}", weir.name()))?;
                format!("weir-out@{}", weir.name())
            }
        };
        let far = format!("s0@{}", server.name());
        let tap = |name: &str| name.parse().map_err(anyhow::Error::msg);
        let link = LinkThread::start(
            Options {
                taps: [tap(&near)?, tap(&far)?],
                settings: [settings; 2],
                seed,
                schedule: Vec::new(),
                report_every_ns: REPORT_EVERY_NS,
            },
            CPU,
        )
        .context("cannot start the link")?;

        let bed = Bed { link, client, weir, server };
        if let Some(weir) = &bed.weir {
            raise(weir, "weir-in", None)?;
            raise(weir, "weir-out", Some(TAP_QUEUE_FRAMES))?;
        }
        let client_queue = bed.weir.is_none().then_some(TAP_QUEUE_FRAMES);
        raise(&bed.client, "c0", client_queue)?;
        raise(&bed.server, "s0", Some(TAP_QUEUE_FRAMES))?;
        Ok(bed)
    }

    /// Frames that never reached the link because a tap was full. Should stay 0; if it does not, the table
    /// must not hide it.
    ///
    /// # Errors
    /// A device is gone.
    pub fn tap_drops(&self) -> Result<u64> {
        let (near, device) = match &self.weir {
            Some(weir) => (weir, "weir-out"),
            None => (&self.client, "c0"),
        };
        Ok(dropped(near, device)? + dropped(&self.server, "s0")?)
    }
}

fn raise(netns: &Netns, device: &str, queue_frames: Option<u32>) -> Result<()> {
    netns.offloads_off(device)?;
    if let Some(frames) = queue_frames {
        netns.ip(&format!("link set {device} txqueuelen {frames}"))?;
    }
    netns.ip(&format!("link set {device} up")).map(|_| ())
}

fn address(netns: &Netns, device: &str, v4: &str, v6: &str) -> Result<()> {
    netns.ip(&format!("addr add {v4}/24 dev {device}"))?;
    netns.ip(&format!("addr add {v6}/64 dev {device} nodad")).map(|_| ())
}

fn dropped(netns: &Netns, device: &str) -> Result<u64> {
    let text = netns.ip(&format!("-s -j link show dev {device}"))?;
    let links: serde_json::Value = serde_json::from_str(&text).context("ip -j wrote no JSON")?;
    links[0]["stats64"]["tx"]["dropped"].as_u64().with_context(|| format!("{device} has no drop counter"))
}
