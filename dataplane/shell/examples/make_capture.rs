//! Makes the captures of `conf/pcap.toml`:
//!
//! ```text
//! cargo run -p weir-shell --example make_capture -- conf/pcap
//! ```

#[path = "../tests/captures/mod.rs"]
mod captures;

use std::path::Path;
use std::process::ExitCode;
use weir_shell::capture::{CaptureError, CaptureWriter};

/// The seed of the files in the repository.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: make_capture FOLDER");
        return ExitCode::FAILURE;
    };
    match write(folder.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make_capture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), CaptureError> {
    for (name, frames) in ["inside.pcap", "outside.pcap"].iter().zip(captures::make(SEED)) {
        let mut writer = CaptureWriter::create(&folder.join(name))?;
        for (at_ns, bytes, wire_len) in frames {
            writer.write(at_ns, &bytes, wire_len)?;
        }
        writer.finish()?;
    }
    Ok(())
}
