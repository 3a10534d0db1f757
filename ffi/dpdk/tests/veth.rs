//! Frames through the kernel: two AF_PACKET ports at the ends of a veth pair, in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use arrayvec::ArrayVec;
use nix::sched::{CloneFlags, unshare};
use std::process::Command;
use std::time::{Duration, Instant};
use weir_dpdk::{Device, Mbuf, Pool, Port, PortConfig, QueuePair, testing};

/// Marks our frames (IEEE local experimental EtherType 1), so that the kernel's own are told apart.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

fn skip(why: &str) {
    assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "cannot run: {why}");
    eprintln!("SKIPPED af_packet over veth: {why}");
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A started port of so many workers.
fn open_for(workers: u16, device: &str, pool: &Pool) -> (Port, Vec<QueuePair>) {
    let device: Device = device.parse().unwrap();
    let config = PortConfig { workers, ..PortConfig::default() };
    let mut port = Port::configure(testing::eal(), &device, &config, pool).unwrap();
    assert_eq!(port.granted().rx_queues, workers);
    let queues = port.start().unwrap();
    (port, queues)
}

fn open(device: &str, pool: &Pool) -> (Port, QueuePair) {
    let (port, mut queues) = open_for(1, device, pool);
    (port, queues.remove(0))
}

fn frame(pool: &Pool, number: u8, length: usize) -> Mbuf {
    let mut bytes = vec![number; length];
    bytes[..6].copy_from_slice(&[0xff; 6]);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    bytes[12..14].copy_from_slice(&ETHERTYPE);
    let mut frame = pool.alloc().unwrap();
    frame.append(&bytes).unwrap();
    frame
}

/// A pair `weir-a`, `weir-b` in a namespace of this thread only: it and the pair vanish with the thread
/// and its ports. False where it cannot be.
fn veth_pair() -> bool {
    if !nix::unistd::geteuid().is_root() {
        skip("needs root for a network namespace");
        return false;
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        skip(&format!("no network namespace: {error}"));
        return false;
    }
    ip("link add weir-a type veth peer name weir-b");
    ip("link set weir-a up");
    ip("link set weir-b up");
    true
}

/// A UDP frame over IPv4 from this port; the kernel's fanout looks at nothing less.
fn udp(pool: &Pool, port: u16) -> Mbuf {
    let mut bytes = vec![0; 60];
    bytes[..6].copy_from_slice(&[0xff; 6]);
    bytes[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[17] = 46;
    (bytes[22], bytes[23]) = (64, 17);
    bytes[26..34].copy_from_slice(&[198, 18, 0, 1, 198, 18, 0, 2]);
    bytes[34..36].copy_from_slice(&port.to_be_bytes());
    (bytes[37], bytes[39]) = (9, 26);
    let mut frame = pool.alloc().unwrap();
    frame.append(&bytes).unwrap();
    frame
}

/// 64 UDP flows of four frames, through both queues of one end in turn: every frame arrives once at the other, and all of
/// one flow at one queue.
#[test]
fn af_packet_spreads_flows_over_its_queue_pairs() {
    if !veth_pair() {
        return;
    }
    let pool = Pool::new(testing::eal(), "fanout", 4095, 0, 2048).unwrap();
    let rings = "blocksz=65536,framesz=2048,framecnt=256,qpairs=2";
    let (near, mut a) = open_for(2, &format!("net_af_packet10,iface=weir-a,{rings}"), &pool);
    let (far, mut b) = open_for(2, &format!("net_af_packet11,iface=weir-b,{rings}"), &pool);
    let mut counts = [[0_u32; 64]; 2];
    let mut burst: ArrayVec<Mbuf, 32> = ArrayVec::new();
    for round in 0..8_u16 {
        burst.extend((0..32).map(|n| udp(&pool, 1_000 + (32 * round + n) % 64)));
        let deadline = Instant::now() + Duration::from_secs(5);
        while !burst.is_empty() && Instant::now() < deadline {
            a[usize::from(round / 2 % 2)].tx(&mut burst);
        }
        assert!(burst.is_empty(), "not sent");
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while counts.as_flattened().iter().sum::<u32>() < 256 && Instant::now() < deadline {
        for (queue, counts) in b.iter_mut().zip(&mut counts) {
            queue.rx(&mut burst);
            for frame in burst.drain(..).filter(|frame| frame.bytes()[26..28] == [198, 18]) {
                counts[usize::from(u16::from_be_bytes([frame.bytes()[34], frame.bytes()[35]]) - 1_000)] += 1;
            }
        }
    }
    for flow in 0..64 {
        let [one, other] = [counts[0][flow], counts[1][flow]];
        assert_eq!(one + other, 4, "flow {flow}: {counts:?}");
        assert!(one * other == 0, "flow {flow} is at both queues: {counts:?}");
    }
    assert!(counts.iter().all(|counts| counts.iter().sum::<u32>() > 32), "one queue has it all: {counts:?}");
    drop((near, far, a, b, burst));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_cross_a_veth_pair_in_order() {
    if !veth_pair() {
        return;
    }
    let pool = Pool::new(testing::eal(), "veth", 4095, 0, 2048).unwrap();
    let rings = "blocksz=65536,framesz=2048,framecnt=256";
    let (near, mut a) = open(&format!("net_af_packet0,iface=weir-a,{rings}"), &pool);
    let (far, mut b) = open(&format!("net_af_packet1,iface=weir-b,{rings}"), &pool);
    assert!(near.granted().promiscuous && near.link().unwrap().up);
    assert_eq!(near.granted().mtu, 1500);

    let lengths = [60, 64, 1000, 1514];
    let mut burst: ArrayVec<Mbuf, 32> =
        (0..32).map(|n| frame(&pool, n, lengths[usize::from(n) % 4])).collect();
    assert_eq!(a.tx(&mut burst), 32);
    let mut arrived = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while arrived.len() < 32 && Instant::now() < deadline {
        b.rx(&mut burst);
        let ours = burst.drain(..).filter(|frame| frame.bytes()[12..14] == ETHERTYPE);
        arrived.extend(ours.map(|frame| (frame.bytes()[14], frame.bytes().len())));
    }
    let expected: Vec<(u8, usize)> = (0..32).map(|n| (n, lengths[usize::from(n) % 4])).collect();
    assert_eq!(arrived, expected);
    assert!(far.stats().unwrap().rx_frames >= 32);
    drop((near, far, a, b, burst));
    assert_eq!(pool.in_use(), 0);
}
