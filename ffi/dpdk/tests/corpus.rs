//! The corpus of frames through real ports: files in, files out, chains of buffers included; and no buffer is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use arrayvec::ArrayVec;
use std::fs;
use std::path::{Path, PathBuf};
use weir_dpdk::{Mbuf, Pool, Port, PortConfig, QueuePair, testing};

type Burst = ArrayVec<Mbuf, 32>;

/// What net_pcap 22.11 writes at most of a frame that lies in several buffers, as measured.
const WRITTEN_MAX: usize = 16_128;
/// What it reads whole: see [`long`].
const READ_MAX: usize = 65_535 + 2_048;

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dataplane/engine/corpus");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "pcap"));
    files.sort();
    files
}

/// The corpus' long frames, in a file of their own, up to what net_pcap can read: it counts the bytes behind a first
/// buffer in 16 bits.
fn long(folder: &Path) -> PathBuf {
    let long = captures().into_iter().find(|file| file.ends_with("long.pcap")).unwrap();
    let capture = fs::read(&long).unwrap();
    let mut kept = capture[..24].to_vec();
    for (frame, wire_len) in records(&long) {
        if frame.len() <= READ_MAX {
            kept.extend([0, 0, frame.len() as u32, wire_len as u32].map(u32::to_le_bytes).concat());
            kept.extend(frame);
        }
    }
    let file = folder.join("long.pcap");
    fs::write(&file, kept).unwrap();
    file
}

/// Frames of a capture: what was captured, and the length on the wire.
fn records(file: &Path) -> Vec<(Vec<u8>, usize)> {
    let capture = fs::read(file).unwrap();
    let mut rest = &capture[24..];
    let mut records = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        records.push((after[..word(8)].to_vec(), word(12)));
        rest = &after[word(8)..];
    }
    records
}

fn bytes(frame: &Mbuf) -> Vec<u8> {
    frame.segments().collect::<Vec<_>>().concat()
}

fn open(device: &str, pool: &Pool) -> (Port, QueuePair) {
    let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() };
    let mut port = Port::configure(testing::eal(), &device.parse().unwrap(), &config, pool).unwrap();
    let queues = port.start().unwrap().remove(0);
    (port, queues)
}

#[test]
fn every_frame_goes_from_file_to_file_and_every_buffer_comes_back() {
    let pool = Pool::new(testing::eal(), "corpus", 511, 0, 2_048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut chains = 0;
    let mut captures = captures();
    assert_eq!(captures.len(), 8);
    captures.retain(|file| !file.ends_with("long.pcap"));
    captures.push(long(folder.path()));
    for (number, capture) in captures.iter().enumerate() {
        let output = folder.path().join(format!("{number}.pcap"));
        let device = format!("net_pcap{number},rx_pcap={},tx_pcap={}", capture.display(), output.display());
        let (port, mut queues) = open(&device, &pool);
        let expected = records(capture);
        let mut received = 0;
        let mut burst = Burst::new();
        while queues.rx(&mut burst) > 0 {
            for frame in &burst {
                let (found, sent) = (bytes(frame), &expected[received].0);
                let lens = (found.len(), sent.len());
                assert!(found == *sent, "frame {received} of {}: {lens:?}", capture.display());
                assert_eq!(frame.wire_len() as usize, expected[received].1);
                chains += usize::from(frame.segments().count() > 1);
                received += 1;
            }
            let held = burst.len();
            assert_eq!(queues.tx(&mut burst), held);
        }
        assert_eq!(received, expected.len(), "{}", capture.display());
        let stats = port.stats().unwrap();
        assert_eq!((stats.rx_frames, stats.tx_frames), (received as u64, received as u64));
        drop((queues, port));
        assert_eq!(pool.in_use(), 0, "after {}", capture.display());
        for (written, (sent, wire_len)) in records(&output).iter().zip(&expected) {
            assert_eq!(written.1, *wire_len);
            assert_eq!(written.0, sent[..sent.len().min(written.0.len())]);
            assert!(written.0.len() == sent.len() || written.0.len() == WRITTEN_MAX, "{}", written.0.len());
        }
        assert_eq!(records(&output).len(), expected.len());
    }
    assert_eq!(chains, 4, "jumbo and longer frames lie in several buffers");
}

#[test]
fn a_chain_is_freed_whole_wherever_it_is_dropped() {
    let pool = Pool::new(testing::eal(), "chains", 511, 0, 2_048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (port, mut queues) = open(&format!("net_pcap8,rx_pcap={}", long(folder.path()).display()), &pool);
    let (_ring, mut loopback) = open("net_ring7", &pool);
    let mut burst = Burst::new();
    assert_eq!(queues.rx(&mut burst), 6);
    let buffers: usize = burst.iter().map(|frame| frame.segments().count()).sum();
    assert_eq!(pool.in_use() as usize, buffers);
    assert!(buffers > 70, "{buffers}");

    // A chain is one frame to a queue, and comes back as it was.
    let whole: Vec<Vec<u8>> = burst.iter().map(bytes).collect();
    assert_eq!(loopback.tx(&mut burst), 6);
    assert_eq!(pool.in_use() as usize, buffers, "in the ring");
    assert_eq!(loopback.rx(&mut burst), 6);
    assert!(burst.iter().map(bytes).eq(whole));
    // Nothing can be added behind a first buffer that others follow.
    assert_eq!(burst[4].append(b"x").unwrap_err().room, 0);

    burst.truncate(4);
    assert!((pool.in_use() as usize) < buffers);
    drop(burst);
    assert_eq!(pool.in_use(), 0);
    drop((queues, port));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_that_finds_no_buffers_is_counted() {
    // Room for ordinary frames, not for the longest behind them.
    let pool = Pool::new(testing::eal(), "few", 7, 0, 2_048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (port, mut queues) = open(&format!("net_pcap9,rx_pcap={}", long(folder.path()).display()), &pool);
    let mut burst = Burst::new();
    let mut received = 0;
    for _ in 0..32 {
        received += queues.rx(&mut burst) as u64;
        burst.clear();
    }
    let stats = port.stats().unwrap();
    let lost = stats.rx_no_buffer + stats.rx_errors + stats.rx_missed;
    assert_eq!(received + lost, 6, "{stats:?}");
    assert!(received >= 2 && lost >= 2, "{stats:?}");
    drop((queues, port));
    assert_eq!(pool.in_use(), 0, "a chain that was begun is given back");
}
