//! The corpus of frames through a worker on real ports: each frame ends as the engine's own table says, and every buffer
//! comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail their test")]

use super::*;
use crate::capture::{CaptureReader, CaptureWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_dpdk::{Pool, Port, PortConfig, testing};
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::policy::Policy;
use weir_engine::verdict::Verdict;
use weir_handoff::{epoch, lane};

/// Net_pcap counts the bytes behind a first buffer in 16 bits.
const READ_MAX: usize = 65_535 + 2_048;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/corpus")
}

/// Verdicts that the table expects of a file's frames, and a copy of the frames that came from inside.
fn scene(file: &str, copy: &Path) -> BTreeMap<String, u64> {
    let table = std::fs::read_to_string(corpus().join("frames.tsv")).unwrap();
    let lines = table.lines().filter(|line| line.split('\t').next() == Some(file));
    let mut frames = CaptureReader::open(&corpus().join(file).with_extension("pcap")).unwrap();
    let mut kept = CaptureWriter::create(copy).unwrap();
    let mut verdicts = BTreeMap::new();
    for line in lines {
        let frame = frames.read().unwrap().unwrap();
        if frame.bytes.len() <= READ_MAX {
            *verdicts.entry(line.split('\t').nth(3).unwrap().to_owned()).or_default() += 1;
            kept.write(frame.at_ns, &frame.bytes, frame.wire_len).unwrap();
        }
    }
    assert!(frames.read().unwrap().is_none());
    kept.finish().unwrap();
    verdicts
}

#[test]
fn the_corpus_ends_as_its_table_says_and_every_buffer_comes_back() {
    let pool = Pool::new(testing::eal(), "through", 511, 0, 2_048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = ["vlan", "ipv4", "ipv6", "icmp", "tcp", "long", "short"];
    for (number, file) in files.into_iter().enumerate() {
        let path = |name: &str| folder.path().join(format!("{file}-{name}.pcap"));
        let expected = scene(file, &path("in"));
        let open = |device: String| {
            let config = PortConfig::default();
            let mut port = Port::configure(testing::eal(), &device.parse().unwrap(), &config, &pool).unwrap();
            let queues = port.start().unwrap().remove(0);
            (port, queues)
        };
        let (input, output) = (path("in"), path("out"));
        let (inside_port, inside) = open(format!("net_pcap{},rx_pcap={}", 2 * number, input.display()));
        let (outside_port, outside) =
            open(format!("net_pcap{},tx_pcap={}", 2 * number + 1, output.display()));
        let clock = TscClock::calibrate().unwrap();
        let mut io = DeviceIo::new([inside, outside], pool, clock, [false; 2], Completed::default());
        let config = EngineConfig {
            seed: 1,
            flows_max: 64,
            half_open_max: 64,
            flow_idle_max: Ns::from_secs(60),
            held_max: 64,
            pacing: None,
            route: None,
            schedule: None,
        };
        let (samples, _) = lane(8, 8);
        let (_publisher, mut readers) = epoch(Policy::default(), 1);
        let mut models = readers.pop().unwrap();
        let mut worker = Worker::new(&config, Ns::from_secs(1), samples);
        while worker.turn(Ns::from_secs(1), &mut io, &mut models).busy {
            assert!(worker.tally().balanced(), "{file}: {:?}", worker.tally());
        }
        let (tally, _) = worker.finish();
        let ended = |verdict: &Verdict| (verdict.name().to_owned(), tally.ended[*verdict as usize]);
        let found: BTreeMap<String, u64> =
            Verdict::ALL.iter().map(ended).filter(|(_, frames)| *frames > 0).collect();
        assert_eq!(found, expected, "{file}");
        drop((io, inside_port, outside_port));
        assert_eq!(pool.in_use(), 0, "{file}");

        let (mut sent, mut left) =
            (CaptureReader::open(&input).unwrap(), CaptureReader::open(&output).unwrap());
        let mut frames = 0;
        while let Some(frame) = left.read().unwrap() {
            let mut came = sent.read().unwrap().unwrap();
            if came.wire_len == 0 {
                came = sent.read().unwrap().unwrap();
            }
            // Net_pcap writes the beginning of the very longest.
            assert!(
                came.bytes.starts_with(&frame.bytes) && frame.bytes.len() >= came.bytes.len().min(16_128)
            );
            frames += 1;
        }
        assert_eq!(frames, tally.sent[Side::Outside as usize], "{file}");
    }
}
