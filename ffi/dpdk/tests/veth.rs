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

fn open(device: &str, pool: &Pool) -> (Port, QueuePair) {
    let device: Device = device.parse().unwrap();
    let mut port = Port::configure(testing::eal(), &device, &PortConfig::default(), pool).unwrap();
    let queues = port.start().unwrap().remove(0);
    (port, queues)
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

#[test]
fn frames_cross_a_veth_pair_in_order() {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root for a network namespace");
    }
    // This thread's namespace only; it and the pair vanish with the thread and its ports.
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        return skip(&format!("no network namespace: {error}"));
    }
    ip("link add weir-a type veth peer name weir-b");
    ip("link set weir-a up");
    ip("link set weir-b up");

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
