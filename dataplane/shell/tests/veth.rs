//! `weir run` between two hosts whose kernels do what kernels do by default: leave checksums to the device, hand over
//! frames that are longer than the wire's, use jumbo frames.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![cfg(feature = "dpdk")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};
use weir_testbed::interrupt::Interrupt;
use weir_testbed::netns::Netns;
use weir_testbed::process::run;
use weir_testbed::weir::Weir;

/// With the metrics where the testbed looks for them.
const CONFIG: &str = r#"
[eal]
hugepages = false
memory_mb = 96
[cores]
control = 0
workers = [0]
shared = true
[ports]
inside = "net_af_packet0,iface=w-in,blocksz=65536,framesz=2048,framecnt=256"
outside = "net_af_packet1,iface=w-out,blocksz=65536,framesz=2048,framecnt=256"
[engine]
flows_max = 1024
half_open_max = 1024
held_max = 1024
[metrics]
listen = "127.0.0.1:9464"
"#;

/// What only slow machines need all of.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two hosts, and Weir's namespace between them. Dropped in this order: the process goes first.
struct Bed {
    weir: Option<Weir>,
    folder: tempfile::TempDir,
    between: Netns,
    client: Netns,
    server: Netns,
}

impl Bed {
    /// Hosts 10.9.0.1 (client) and 10.9.0.2 (server). `None`, said loudly, where that needs root.
    fn new(role: &str) -> Option<Bed> {
        if !nix::unistd::geteuid().is_root() {
            let why = "needs root for network namespaces";
            assert!(
                std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"),
                "cannot run: {why}"
            );
            eprintln!("SKIPPED weir between two hosts: {why}");
            return None;
        }
        let space = |name: &str| Netns::new(&format!("{role}-{name}")).unwrap();
        let bed = Bed {
            weir: None,
            folder: tempfile::tempdir().unwrap(),
            between: space("weir"),
            client: space("client"),
            server: space("server"),
        };
        for (host, address, near, far) in
            [(&bed.client, "10.9.0.1/24", "c0", "w-in"), (&bed.server, "10.9.0.2/24", "s0", "w-out")]
        {
            host.ip(&format!("link add {near} type veth peer name {far} netns {}", bed.between.name()))
                .unwrap();
            host.ip(&format!("addr add {address} dev {near}")).unwrap();
            host.ip(&format!("link set {near} up")).unwrap();
            bed.between.ip(&format!("link set {far} up")).unwrap();
        }
        Some(bed)
    }

    /// Sets a feature of both hosts' interfaces, and of Weir's.
    fn ethtool(&self, words: &str) {
        for (space, device) in
            [(&self.client, "c0"), (&self.server, "s0"), (&self.between, "w-in"), (&self.between, "w-out")]
        {
            let command = ["netns", "exec", space.name(), "ethtool", "-K", device];
            run("ip", command.into_iter().chain(words.split(' '))).unwrap();
        }
    }

    fn mtu(&self, mtu: u32) {
        for (space, device) in
            [(&self.client, "c0"), (&self.server, "s0"), (&self.between, "w-in"), (&self.between, "w-out")]
        {
            space.ip(&format!("link set {device} mtu {mtu}")).unwrap();
        }
    }

    fn try_start(&mut self, overrides: &[&str]) -> anyhow::Result<()> {
        let config = self.folder.path().join("veth.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_weir"));
        let interrupt = Interrupt::install().unwrap();
        let weir = Weir::start(binary, &config, overrides, &self.between, self.folder.path(), &interrupt)?;
        self.weir = Some(weir);
        Ok(())
    }

    fn metric(&mut self, name: &str, label: &str, value: &str) -> f64 {
        let scrape = self.weir.as_mut().unwrap().scrape(&self.between).unwrap();
        scrape.by(name, label).unwrap()[value]
    }

    /// Partial checksums completed, inside and outside, once nothing moves any more: control looks every 20 ms, and a
    /// connection's last frames cross after its bytes have come back, on a busy host more than 300 ms after.
    fn partial_checksums(&mut self) -> [f64; 2] {
        let deadline = Instant::now() + PATIENCE;
        let mut last = [-1.0; 2];
        loop {
            let now = ["inside", "outside"]
                .map(|side| self.metric("weir_port_rx_partial_checksums_total", "side", side));
            if now == last || Instant::now() > deadline {
                return now;
            }
            last = now;
            std::thread::sleep(Duration::from_millis(1_000));
        }
    }

    /// Sends bytes from client to server over TCP, and the server sends them back. Returns how many came back.
    fn echo(&self, bytes: usize, limit: Duration) -> usize {
        let serve = || -> anyhow::Result<()> {
            let listener = TcpListener::bind("10.9.0.2:5201")?;
            listener.set_nonblocking(true)?;
            let deadline = Instant::now() + limit;
            let mut stream = loop {
                match listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                    Err(error) => return Err(error.into()),
                }
            };
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            let mut buffer = vec![0; 1 << 16];
            while let Ok(got @ 1..) = stream.read(&mut buffer) {
                stream.write_all(&buffer[..got])?;
            }
            Ok(())
        };
        let ask = || {
            std::thread::sleep(Duration::from_millis(50));
            let address = "10.9.0.2:5201".parse()?;
            let mut stream = TcpStream::connect_timeout(&address, limit)?;
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            let sent: Vec<u8> = (0..bytes).map(|at| ((at * 31) >> 3) as u8).collect();
            let mut writer = stream.try_clone()?;
            std::thread::scope(|scope| {
                scope.spawn(|| writer.write_all(&sent));
                let mut back = vec![0; bytes];
                let (mut got, deadline) = (0, Instant::now() + limit);
                while got < bytes && Instant::now() < deadline {
                    match stream.read(&mut back[got..]) {
                        Ok(more @ 1..) => got += more,
                        _ => break,
                    }
                }
                assert!(back[..got] == sent[..got], "bytes were changed");
                let _ = stream.shutdown(std::net::Shutdown::Both);
                Ok(got)
            })
        };
        std::thread::scope(|scope| {
            let server = scope.spawn(|| self.server.inside(serve));
            let got = self.client.inside(ask).unwrap_or(0);
            let _ = server.join().unwrap();
            got
        })
    }
}

#[test]
fn tcp_and_udp_pass_with_checksum_offload_on_and_off() {
    let Some(mut bed) = Bed::new("sum") else { return };
    bed.ethtool("tx on tso off gso off gro off");
    bed.try_start(&[]).unwrap();
    const BYTES: usize = 1 << 20;
    assert_eq!(bed.echo(BYTES, PATIENCE), BYTES, "with offload");
    let [inside, outside] = bed.partial_checksums();
    assert!(inside > 100.0 && outside > 100.0, "the kernels left {inside} and {outside} checksums open");

    let receiver = bed.server.inside(|| Ok(UdpSocket::bind("10.9.0.2:5000")?)).unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let sender = bed.client.inside(|| Ok(UdpSocket::bind("10.9.0.1:0")?)).unwrap();
    sender.send_to(b"a datagram", "10.9.0.2:5000").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 10);

    bed.ethtool("tx off");
    let before = bed.partial_checksums();
    assert_eq!(bed.echo(BYTES, PATIENCE), BYTES, "without offload");
    assert_eq!(bed.partial_checksums(), before, "full checksums are left alone");
}

/// Segmentation offload hands over frames of up to 64 KB, of which a slot of the packet ring takes 2 KB. They are not
/// lost without a word: an IP length that is longer than its frame is counted.
#[test]
fn frames_longer_than_the_ring_are_counted() {
    let Some(mut bed) = Bed::new("gso") else { return };
    bed.ethtool("tx on sg on tso on gso on");
    bed.try_start(&[]).unwrap();
    bed.echo(1 << 20, Duration::from_secs(2));
    let cut = bed.metric("weir_malformed_frames_total", "fault", "ip_length");
    assert!(cut > 0.0, "no frame was cut");
    let log = std::fs::read_to_string(bed.folder.path().join("weir.err")).unwrap();
    assert!(log.contains("ethtool -K"), "and the log says what to do: {log}");
}

#[test]
fn jumbo_frames_pass_where_the_slots_hold_them_and_are_refused_at_the_start_where_not() {
    let Some(mut bed) = Bed::new("jumbo") else { return };
    bed.ethtool("tx on tso off gso off gro off");
    bed.mtu(9_000);
    let refused = bed.try_start(&[]).unwrap_err();
    let said = format!("{refused:#}");
    assert!(said.contains("MTU 9000") && said.contains("framesz=16384"), "{said}");

    let port = |n, iface| format!("net_af_packet{n},iface={iface},blocksz=65536,framesz=16384,framecnt=64");
    let ports = [format!("ports.inside={}", port(0, "w-in")), format!("ports.outside={}", port(1, "w-out"))];
    let overrides = [&ports[0], &ports[1], "eal.memory_mb=320"];
    let refused = bed.try_start(&[&overrides[..], &["ports.mtu=9000"]].concat()).unwrap_err();
    assert!(format!("{refused:#}").contains("ip link set IFACE mtu 9000"), "{refused:#}");
    bed.try_start(&overrides).unwrap();
    let ping = [
        "netns",
        "exec",
        bed.client.name(),
        "ping",
        "-c",
        "3",
        "-W",
        "5",
        "-M",
        "do",
        "-s",
        "8972",
        "10.9.0.2",
    ];
    run("ip", ping).unwrap();
    const BYTES: usize = 1 << 20;
    assert_eq!(bed.echo(BYTES, PATIENCE), BYTES);
}

/// Two queues that work are in the live tests, on a tap.
#[test]
fn several_queues_of_af_xdp_are_refused_where_the_interface_has_no_combined_channels() {
    let Some(mut bed) = Bed::new("xdp") else { return };
    let ports =
        ["ports.inside=net_af_xdp0,iface=w-in,queue_count=2", "ports.outside=net_af_xdp1,iface=w-out"];
    let said = format!("{:#}", bed.try_start(&ports).unwrap_err());
    assert!(
        said.contains(
            "ports.inside: queue_count=2 of net_af_xdp0 needs that many combined channels, and interface w-in has none and \
             so counts for one (see `ethtool -l w-in`): take net_af_packet with qpairs=2, or fewer workers and \
             queue_count=1"
        ),
        "{said}"
    );
}
