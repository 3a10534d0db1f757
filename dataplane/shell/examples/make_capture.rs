//! Makes the captures of `conf/pcap.toml`:
//!
//! ```text
//! cargo run -p weir-shell --example make_capture -- conf/pcap
//! ```

#[path = "../tests/captures/mod.rs"]
mod captures;

use std::process::ExitCode;

/// The seed of the files in the repository.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: make_capture FOLDER");
        return ExitCode::FAILURE;
    };
    match captures::write(folder.as_ref(), SEED) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make_capture: {error}");
            ExitCode::FAILURE
        }
    }
}
