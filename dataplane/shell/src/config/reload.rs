//! What a reload may change, and what it may not.
//!
//! A policy, that is `[pacing]` but for `datagrams`, `[schedule]` but for its tables' sizes, `[[model]]`, how `[balance]` chooses and what a
//! `[[path]]` takes, changes while frames flow. Everything else was given to DPDK, to a thread
//! or to a table at the start, so a file that changes it is refused whole. A key is fixed unless it is listed here:
//! a new one cannot be overlooked.

use super::error::ConfigError;
use super::plan::Plan;
use super::source::Source;
use serde_json::Value;
use std::path::Path;

/// The tables that a reload may change. That `pacing` is there at all is fixed: its tables are made at the start.
const CHANGEABLE: [&str; 2] = ["pacing", "model"];
/// The keys that may not, of those tables.
const FIXED_KEYS: [(&str, &str); 1] = [("pacing", "datagrams")];
/// The keys that may change in tables that are otherwise fixed.
const CHANGEABLE_KEYS: [(&str, &[&str]); 3] = [
    (
        "balance",
        &[
            "rule",
            "model",
            "cadence",
            "flowlet_gap",
            "hysteresis",
            "tie",
            "control_share",
            "explore_share",
            "sample_share",
            "slow_start",
            "timeout_min",
        ],
    ),
    ("path", &["weight", "state"]),
    (
        "schedule",
        &[
            "rule",
            "model",
            "link_rate",
            "overhead_bytes",
            "burst",
            "wait_max",
            "mark_frames",
            "sizes",
            "size_thresholds",
            "ageing_thresholds",
            "predicted_min",
            "predicted_max",
            "other_priority",
            "control_share",
            "sample_share",
            "trust",
            "dscp",
            "pcp",
        ],
    ),
];

/// Reads a configuration again in a process that was `started` with another, and checks that it can change to it.
///
/// # Errors
/// What is wrong with it, or each key that needs a restart.
pub fn reload(file: &Path, overrides: &[String], started: &Plan) -> Result<(Plan, Source), Vec<ConfigError>> {
    let load = || {
        let source = Source::read(file, overrides)?;
        let plan = Plan::check_beside(Some(started), &source)?;
        Ok((plan, source))
    };
    let (plan, source) = load().map_err(|error| vec![error])?;
    let fixed = needs_restart(started, &plan, &source);
    if fixed.is_empty() { Ok((plan, source)) } else { Err(fixed) }
}

/// The keys in which `next`, which `source` holds, differs from the plan that Weir was `started` with and that cannot
/// change while it runs. One error each, in the file's order of tables; none when `next` may be taken up.
pub fn needs_restart(started: &Plan, next: &Plan, source: &Source) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    compare("", &started.keys, &next.keys, &mut |key, was, is| {
        let mut reason = format!("needs a restart: was {}, is now {}", shown(was), shown(is));
        if key == "pacing" {
            reason.push_str("; with rule = \"none\" and no model the section paces nothing");
        }
        faults.push(source.error(key, reason));
    });
    faults
}

fn compare(key: &str, was: &Value, is: &Value, differs: &mut impl FnMut(&str, &Value, &Value)) {
    if let (Value::Object(was), Value::Object(is)) = (was, is) {
        let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            if is_changeable(key, name) {
                continue;
            }
            let of = |table: &serde_json::Map<String, Value>| table.get(name).cloned().unwrap_or_default();
            compare(&path, &of(was), &of(is), differs);
        }
    } else if let (true, Value::Array(was), Value::Array(is)) = (key == "path", was, is)
        && was.len() == is.len()
    {
        for (index, (was, is)) in was.iter().zip(is).enumerate() {
            compare(&format!("{key}[{index}]"), was, is, differs);
        }
    } else if was != is && !(was.is_array() && CHANGEABLE.contains(&key)) {
        differs(key, was, is);
    }
}

/// Whether a key of a table that is otherwise fixed may change; of an array's tables, `path[0]` is one.
fn is_changeable(table: &str, key: &str) -> bool {
    let table = table.split('[').next().unwrap_or_default();
    if CHANGEABLE.contains(&table) {
        return !FIXED_KEYS.contains(&(table, key));
    }
    CHANGEABLE_KEYS.iter().any(|(name, keys)| *name == table && keys.contains(&key))
}

/// A value as a user would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::Object(_) => "set".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a shipped file's table that need a restart.
    fn fixed(file: &str, table: &str) -> Vec<String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf").join(file);
        let source = Source::read(&file, &[]).unwrap();
        let plan = Plan::check(&source).unwrap();
        let keys = plan.keys.pointer(table).and_then(Value::as_object).unwrap();
        let table = table.trim_start_matches('/').split('/').next().unwrap();
        let changeable = CHANGEABLE_KEYS.iter().find(|(name, _)| *name == table).unwrap().1;
        for key in changeable {
            assert!(keys.contains_key(*key), "no key {table}.{key}");
        }
        keys.keys().filter(|key| !is_changeable(table, key)).cloned().collect()
    }

    #[test]
    fn of_tables_that_change_in_part_these_keys_are_fixed() {
        assert_eq!(fixed("balance.toml", "/balance"), ["probe_interval", "to"]);
        assert_eq!(fixed("schedule.toml", "/schedule"), ["peers_max", "queue_frames_max"]);
        let mut path = fixed("balance.toml", "/path/0");
        path.sort();
        assert_eq!(
            path,
            [
                "addresses",
                "draw",
                "kind",
                "local",
                "mtu",
                "name",
                "peer_mac",
                "probe",
                "rate",
                "remote",
                "source_port",
                "via",
                "vlan",
                "vni",
            ]
        );
        assert!(!is_changeable("route", "rule") && is_changeable("path[7]", "weight"));
    }
}
