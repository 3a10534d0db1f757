//! What tests of several modules need.

use crate::ort_engine::{Engine, EngineError, LIBRARY_VARIABLE};
use std::path::Path;

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
