//! The key `pacing.datagrams`: what flows of datagrams are paced by is what probes say of the paths that they leave by, so there have
//! to be such.

use super::error::ConfigError;
use super::route::RoutePlan;
use super::schema::File;
use super::source::Source;
use super::units::Span;
use weir_engine::time::Ns;

/// A quarter of the longest monitor interval: so that one is decided although three probes in a row are lost.
const PROBE_INTERVAL_MAX: Span = Span(Ns::from_millis(250));

/// Checks the key against the sections that it needs, and tells those who choose paths. To be called after they were checked.
pub(super) fn check(file: &File, route: Option<&mut RoutePlan>, source: &Source) -> Result<(), ConfigError> {
    if !file.pacing.as_ref().is_some_and(|pacing| pacing.datagrams) {
        return Ok(());
    }
    let refuse = |reason: &str| Err(source.error("pacing.datagrams", reason));
    let Some(balance) = route.and_then(|route| route.config.balance.as_mut()) else {
        return refuse(
            "expected only with [balance]: datagrams are paced by what probes say of the paths that they leave by, and there \
             is none",
        );
    };
    if file.schedule.is_some() {
        return refuse(
            "expected only without [schedule]: when a datagram departs from behind a shaper, no probe can tell of it",
        );
    }
    if let Some(path) = balance.paths.iter().position(|path| path.probe.is_none()) {
        let reason =
            "missing key: pacing.datagrams wants each path probed; say which address of the other Weir";
        return Err(source.error(&format!("path[{path}].probe"), reason));
    }
    let interval = Span(balance.probe_interval);
    if interval > PROBE_INTERVAL_MAX {
        let reason = format!(
            "expected at most {PROBE_INTERVAL_MAX} with pacing.datagrams, which hears of a path once in each, found {interval}"
        );
        return Err(source.error("balance.probe_interval", reason));
    }
    balance.paces_datagrams = true;
    Ok(())
}
