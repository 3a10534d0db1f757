//! DPDK's log as `tracing` events under the target `dpdk`, and its last words when a call fails.

use crate::LogTail;
use std::ffi::{c_char, c_int};
use std::sync::{Mutex, PoisonError};
use weir_dpdk_sys as sys;

/// Lines kept for one failed call: enough for a driver's story, bounded in case it loops.
const LINES_MAX: usize = 8;

/// While a call is being watched, what it logged.
static WATCHED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Takes over the log. Returns whether there was memory for it.
pub(crate) fn redirect() -> bool {
    // SAFETY: `sink` is a plain function that lives as long as the process.
    unsafe { sys::weir_log_to(Some(sink)) == 0 }
}

/// Runs a control call and returns what was logged meanwhile at level warning or worse. Callers hold the
/// control lock, so watches do not nest.
pub(crate) fn watch<T>(call: impl FnOnce() -> T) -> (T, LogTail) {
    *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    let result = call();
    let lines = WATCHED.lock().unwrap_or_else(PoisonError::into_inner).take();
    (result, LogTail(lines.unwrap_or_default()))
}

unsafe extern "C" fn sink(level: c_int, text: *const c_char, length: usize) {
    // SAFETY: the C library hands over `length` initialised bytes for the time of this call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        record(level.unsigned_abs(), line);
    }
}

fn record(level: u32, line: &str) {
    if level <= sys::RTE_LOG_WARNING {
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = watched.as_mut().filter(|lines| lines.len() < LINES_MAX) {
            lines.push(line.to_owned());
        }
    }
    match level {
        ..=sys::RTE_LOG_ERR => tracing::error!(target: "dpdk", "{line}"),
        sys::RTE_LOG_WARNING => tracing::warn!(target: "dpdk", "{line}"),
        sys::RTE_LOG_NOTICE => tracing::info!(target: "dpdk", "{line}"),
        sys::RTE_LOG_INFO => tracing::debug!(target: "dpdk", "{line}"),
        _ => tracing::trace!(target: "dpdk", "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_keeps_warnings_and_forgets_them_afterwards() {
        // Under the control lock, like every watch: other tests make control calls meanwhile.
        let eal = crate::testing::eal();
        let ((), log) = eal.control(|| {
            record(sys::RTE_LOG_INFO, "probing");
            for n in 0..20 {
                record(sys::RTE_LOG_ERR, &format!("no driver {n}"));
            }
        });
        assert_eq!(log.0.len(), LINES_MAX);
        assert!(log.to_string().starts_with("; DPDK said: no driver 0 | "), "{log}");
        assert_eq!(eal.control(|| ()).1, LogTail::default());
    }
}
