//! What tests of several modules need.

pub(crate) mod cases;
pub(crate) mod reference;

use crate::ort_engine::{Engine, EngineError, LIBRARY_VARIABLE};
use std::path::Path;
use weir_features::{INPUTS, Sample, Source};

/// ONNX Runtime where it is installed. Where it is not, says loudly what is skipped, or panics when
/// `WEIR_REQUIRE_ALL=1` forbids skipping.
pub(crate) fn engine(compared: &str) -> Option<Engine> {
    // Tests run in the crate's folder, not in the workspace's.
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../third_party/ort/libonnxruntime.so");
    let named = std::env::var_os(LIBRARY_VARIABLE).is_some();
    match Engine::load((!named).then_some(Path::new(library))) {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::Missing(_)) => {
            let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "{error}");
            eprintln!("SKIPPED comparing {compared}: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// One decision of a flow at rest, with an interval of 10 ms at twice its base RTT that brought 7.2 Mb/s.
pub(crate) fn sample() -> Sample {
    Sample {
        source: Source::Model,
        schema_hash: 1,
        generation: 1,
        flow: 1,
        features: [0; INPUTS],
        output_q16: 0,
        action_q16: 0,
        rate_bps: 8_000_000,
        at_ns: 10_000_000,
        duration_ns: 10_000_000,
        sent_bytes: 9_000,
        acked_bytes: 9_000,
        lost_bytes: 0,
        rtt_ns: 20_000_000,
        base_rtt_ns: 10_000_000,
    }
}
