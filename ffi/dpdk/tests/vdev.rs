//! Frames through virtual devices: bytes are kept, no buffer is lost, a full queue takes what it can.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use arrayvec::ArrayVec;
use std::time::{Duration, Instant};
use weir_dpdk::{Device, Filter, Mbuf, Pool, Port, PortConfig, QueuePair, Transparent, testing};

type Burst = ArrayVec<Mbuf, 32>;

fn device(text: &str) -> Device {
    text.parse().unwrap()
}

/// A started port of one queue with small rings.
fn open(name: &str, pool: &Pool) -> (Port, QueuePair) {
    let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() };
    let mut port = Port::configure(testing::eal(), &device(name), &config, pool).unwrap();
    let queues = port.start().unwrap().remove(0);
    (port, queues)
}

fn pool(name: &str, buffers: u32) -> Pool {
    Pool::new(testing::eal(), name, buffers, 0, 2048).unwrap()
}

fn frame(pool: &Pool, bytes: &[u8]) -> Mbuf {
    let mut frame = pool.alloc().unwrap();
    frame.append(bytes).unwrap();
    frame
}

#[test]
fn net_null_delivers_and_swallows_without_losing_a_buffer() {
    let pool = pool("null", 255);
    let (port, mut queues) = open("net_null0,size=128", &pool);
    let mut burst = Burst::new();
    for _ in 0..100 {
        assert_eq!(queues.rx(&mut burst), 32);
        assert!(burst.iter().all(|frame| frame.wire_len() == 128 && frame.bytes().len() == 128));
        assert_eq!(queues.tx(&mut burst), 32);
        assert!(burst.is_empty());
    }
    let stats = port.stats().unwrap();
    assert_eq!((stats.rx_frames, stats.tx_frames), (3200, 3200));
    assert_eq!((pool.in_use(), pool.available()), (0, 255));
}

#[test]
fn a_router_s_filter_opens_a_port_only_where_the_device_cannot_take_groups() {
    let pool = pool("filter", 511);
    // net_ring takes groups when told to; net_null has no filter of any kind.
    for (name, filter, promiscuous) in [
        ("net_ring7", Filter::Open, true),
        ("net_ring8", Filter::OwnAndGroups, false),
        ("net_null8", Filter::OwnAndGroups, false),
    ] {
        let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, filter, ..PortConfig::default() };
        let port = Port::configure(testing::eal(), &device(name), &config, &pool).unwrap();
        assert_eq!(port.granted().promiscuous, promiscuous, "{name} {filter:?}");
    }
}

#[test]
fn rx_appends_up_to_the_free_room() {
    let pool = pool("append", 255);
    let (_port, mut queues) = open("net_null1", &pool);
    let mut burst = Burst::new();
    burst.push(frame(&pool, b"already here"));
    assert_eq!(queues.rx(&mut burst), 31);
    assert_eq!(burst[0].bytes(), b"already here");
    assert_eq!(queues.rx(&mut burst), 0, "no room, no frames");
    assert_eq!(pool.in_use(), 32);
    burst.truncate(10);
    assert_eq!(pool.in_use(), 10);
    drop(burst);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn net_ring_gives_back_the_bytes_it_was_given() {
    let pool = pool("ring", 255);
    let (port, mut queues) = open("net_ring0", &pool);
    let sent: Vec<Vec<u8>> = (0..32u8).map(|n| (0..=n).map(|i| i ^ n).chain([n; 60]).collect()).collect();
    let mut burst: Burst = sent.iter().map(|bytes| frame(&pool, bytes)).collect();
    assert_eq!(queues.tx(&mut burst), 32);
    assert_eq!(pool.in_use(), 32, "in the ring");
    assert_eq!(queues.rx(&mut burst), 32);
    for (received, sent) in burst.iter().zip(&sent) {
        assert_eq!(received.bytes(), sent);
        assert_eq!(received.wire_len() as usize, sent.len());
        assert!(received.segments().eq([sent.as_slice()]));
    }
    let stats = port.stats().unwrap();
    assert_eq!((stats.rx_frames, stats.tx_frames, stats.tx_errors), (32, 32, 0));
    drop(burst);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_full_queue_takes_the_front_and_leaves_the_tail_in_order() {
    let pool = pool("partial", 1279);
    let (_port, mut queues) = open("net_ring1", &pool);
    let mut next = 0u32;
    let mut refused = Burst::new();
    // The device's ring holds 1023 frames, which is not a multiple of the burst.
    for _ in 0..40 {
        let mut burst: Burst = (0..32).map(|n| frame(&pool, &(next + n).to_be_bytes())).collect();
        let sent = queues.tx(&mut burst);
        assert_eq!(burst.len(), 32 - sent);
        next += sent as u32;
        if sent < 32 {
            refused = burst;
            break;
        }
    }
    assert_eq!(next, 1023);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].bytes(), 1023u32.to_be_bytes());
    assert_eq!(queues.tx(&mut refused), 0);
    assert_eq!(pool.in_use(), 1024, "every frame is in the ring or with us");

    let mut expected = 0u32;
    let mut burst = Burst::new();
    while queues.rx(&mut burst) != 0 {
        for frame in burst.drain(..) {
            assert_eq!(frame.bytes(), expected.to_be_bytes());
            expected += 1;
        }
    }
    assert_eq!(expected, 1023);
    assert_eq!(queues.tx(&mut refused), 1, "room again");
    assert_eq!(queues.rx(&mut burst), 1);
    drop(burst);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_wrapper_type_moves_through_queues() {
    #[repr(transparent)]
    struct Wrapped(Mbuf);
    #[allow(unsafe_code, reason = "the promise under test")]
    // SAFETY: transparent over `Mbuf`, no drop code, no invariant.
    unsafe impl Transparent for Wrapped {}

    let pool = pool("wrapped", 127);
    let (_port, mut queues) = open("net_ring2", &pool);
    let mut burst: ArrayVec<Wrapped, 8> = ArrayVec::new();
    burst.push(Wrapped(frame(&pool, b"inside")));
    assert_eq!(queues.tx(&mut burst), 1);
    assert_eq!(queues.rx(&mut burst), 1);
    assert_eq!(burst[0].0.bytes(), b"inside");
    drop(burst);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn bytes_are_added_at_both_ends_until_the_buffer_is_full() {
    let pool = pool("edit", 3);
    let mut frame = frame(&pool, b"middle");
    frame.append(b" end").unwrap();
    frame.prepend(b"start ").unwrap();
    frame.bytes_mut()[0] = b'S';
    assert_eq!(frame.bytes(), b"Start middle end");
    assert_eq!(frame.wire_len(), 16);

    let refused = frame.append(&[0; 4096]).unwrap_err();
    assert_eq!((refused.wanted, refused.room), (4096, 2048 - 10));
    assert_eq!(frame.prepend(&[0; 129]).unwrap_err().room, 128 - 6);
    frame.append(&vec![1; refused.room]).unwrap();
    assert_eq!(frame.append(&[1]).unwrap_err().room, 0);
    assert_eq!(frame.wire_len(), 2048 + 6);
    assert_eq!(frame.bytes()[..16], *b"Start middle end");
}

#[test]
fn an_empty_pool_gives_none_until_a_frame_is_dropped() {
    let pool = pool("exhausted", 3);
    let mut frames: Vec<Mbuf> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((frames.len(), pool.available()), (3, 0));
    frames.pop();
    assert!(pool.alloc().is_some());
    let raw = frames.pop().unwrap().into_raw();
    assert_eq!(pool.in_use(), 2, "given up, not freed");
    #[allow(unsafe_code, reason = "the inverse of the line above")]
    // SAFETY: this pointer was given up just now.
    drop(unsafe { Mbuf::from_raw(raw) });
    assert_eq!(pool.in_use(), 1);
}

#[test]
fn a_port_tells_its_address_link_and_counters() {
    let pool = pool("asked", 255);
    let (port, mut queues) = open("net_null2", &pool);
    assert_eq!(port.name(), "net_null2");
    assert_eq!(port.mac().unwrap().to_string().len(), "00:00:00:00:00:00".len());
    let link = port.link().unwrap();
    assert!(link.up && link.full_duplex, "{link:?}");
    assert_eq!(link.mbps, Some(10_000));
    let mut burst = Burst::new();
    queues.rx(&mut burst);
    let xstats = port.xstats().unwrap();
    assert!(xstats.contains(&("rx_good_packets".to_owned(), 32)), "{xstats:?}");
    assert!(!port.is_removed());
}

#[test]
fn what_is_granted_is_reported() {
    let pool = pool("granted", 1023);
    let mut config = PortConfig { workers: 2, mtu: Some(1400), ..PortConfig::default() };
    config.offloads.rx_scatter = true;
    let mut port = Port::configure(testing::eal(), &device("net_null3"), &config, &pool).unwrap();
    let granted = port.granted();
    assert!(!granted.offloads.rx_scatter, "net_null does not scatter");
    assert_eq!(granted.mtu, 1400);
    assert!(granted.rss, "net_null claims RSS");
    assert!(granted.rx_descriptors > 0 && granted.tx_descriptors > 0);
    assert_eq!(port.start().unwrap().len(), 2);
}

#[test]
fn a_worker_beyond_the_receive_queues_sends_and_receives_nothing() {
    let pool = pool("uneven", 1023);
    let folder = tempfile::tempdir().unwrap();
    let files = ["in", "out0", "out1"].map(|name| folder.path().join(name));
    // A capture of one frame of 60 bytes: file header, record header, frame.
    let mut capture =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]);
    capture.extend([7; 60]);
    std::fs::write(&files[0], capture).unwrap();
    let [input, out0, out1] = files.each_ref().map(|file| file.to_str().unwrap().to_owned());
    let name = format!("net_pcap0,rx_pcap={input},tx_pcap={out0},tx_pcap={out1}");
    let config = PortConfig { workers: 2, ..PortConfig::default() };
    let mut port = Port::configure(testing::eal(), &device(&name), &config, &pool).unwrap();
    assert_eq!((port.granted().rx_queues, port.granted().rss), (1, false));
    let mut queues = port.start().unwrap();
    let mut burst = Burst::new();
    assert_eq!(queues[1].rx(&mut burst), 0);
    assert_eq!(queues[0].rx(&mut burst), 1);
    assert_eq!((queues[1].tx(&mut burst), burst.len()), (1, 0));
    drop((queues, port));
    assert!(std::fs::metadata(&files[2]).unwrap().len() > std::fs::metadata(&files[1]).unwrap().len());
}

#[test]
fn memif_carries_each_queue_on_its_own() {
    let pool = pool("memif", 4095);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("memif.sock");
    let end = |name: &str, role: &str| {
        let name = format!("{name},role={role},socket={},socket-abstract=no,rsize=8", socket.display());
        let config = PortConfig { workers: 2, ..PortConfig::default() };
        let mut port = Port::configure(testing::eal(), &device(&name), &config, &pool).unwrap();
        let queues = port.start().unwrap();
        (port, queues)
    };
    let (server, mut here) = end("net_memif0", "server");
    let (client, mut there) = end("net_memif1", "client");
    assert_eq!((server.granted().rx_queues, client.granted().rx_queues), (2, 2));
    // The two shake hands on DPDK's interrupt thread.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !(server.link().unwrap().up && client.link().unwrap().up) {
        assert!(Instant::now() < deadline, "memif does not connect");
        std::thread::sleep(Duration::from_millis(5));
    }
    for queue in 0..2_u8 {
        let mut burst: Burst = (0..32).map(|n| frame(&pool, &[queue, n].repeat(30))).collect();
        assert_eq!(there[usize::from(queue)].tx(&mut burst), 32);
        assert_eq!(here[usize::from(1 - queue)].rx(&mut burst), 0, "another queue's frames");
        let deadline = Instant::now() + Duration::from_secs(5);
        while burst.len() < 32 && Instant::now() < deadline {
            here[usize::from(queue)].rx(&mut burst);
        }
        assert!((0..32).eq(burst.iter().map(|frame| frame.bytes()[1])) && burst[0].bytes()[0] == queue);
    }
}

#[test]
fn a_memif_without_its_peer_says_what_to_do() {
    let pool = pool("alone", 255);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("memif.sock");
    let open = |name: &str, role: &str| {
        let name = format!("{name},role={role},socket={},socket-abstract=no", socket.display());
        Port::configure(testing::eal(), &device(&name), &PortConfig::default(), &pool)
    };
    let refused = open("net_memif2", "client").unwrap().start().unwrap_err().to_string();
    assert!(refused.contains("its server must listen first"), "{refused}");
    // As a server that was killed leaves it.
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refused = open("net_memif3", "server").unwrap_err().to_string();
    assert!(refused.contains("Address already in use") && refused.contains("remove that"), "{refused}");
}

#[test]
fn a_device_can_be_opened_again_once_its_port_and_queues_are_gone() {
    let pool = pool("again", 255);
    for _ in 0..3 {
        let (port, mut queues) = open("net_ring3", &pool);
        drop(port);
        // The queues alone keep it open and working.
        let mut burst: Burst = [frame(&pool, b"still open")].into_iter().collect();
        assert_eq!(queues.tx(&mut burst), 1);
        assert_eq!(queues.rx(&mut burst), 1);
    }
    assert_eq!(pool.in_use(), 0);
}
