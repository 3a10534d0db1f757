//! The queries of a Grafana dashboard, as Grafana would send them.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One query of one panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its row's title, empty above the first row.
    pub row: String,
    /// Its panel's title.
    pub panel: String,
    /// The query with every variable replaced.
    pub text: String,
}

/// Four scrapes, as Grafana chooses it; scrapes are a second apart.
const RATE_INTERVAL: &str = "4s";

/// Reads a dashboard's queries and puts in what Grafana would: every instance, every worker, an interval of four
/// scrapes.
///
/// # Errors
/// It is not a dashboard, a panel that should ask something does not, or a query names an unknown variable.
pub fn queries(json: &str) -> Result<Vec<Query>> {
    let dashboard: Dashboard = serde_json::from_str(json).context("not a Grafana dashboard")?;
    let mut queries = Vec::new();
    let mut row = String::new();
    for panel in dashboard.panels {
        if panel.kind == "row" {
            row = panel.title;
            continue;
        }
        ensure!(!panel.targets.is_empty(), "panel {:?} asks nothing", panel.title);
        for target in panel.targets {
            let text = target
                .expr
                .replace("$__rate_interval", RATE_INTERVAL)
                .replace("$instance", ".*")
                .replace("$worker", ".*");
            ensure!(!text.contains('$'), "panel {:?} names an unknown variable: {text}", panel.title);
            queries.push(Query { row: row.clone(), panel: panel.title.clone(), text });
        }
    }
    Ok(queries)
}

#[derive(Deserialize)]
struct Dashboard {
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
struct Panel {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    expr: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/alerts.yml"));
    const CASES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/alerts_test.yml"));
    const SHIPPED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/grafana/weir.json"));

    #[test]
    fn variables_are_replaced_and_rows_remembered() {
        let text = r#"{"panels":[{"type":"row","title":"R"},
            {"type":"stat","title":"P","targets":[{"expr":"rate(a{instance=~\"$instance\"}[$__rate_interval])"}]}]}"#;
        let expected = Query {
            row: "R".to_owned(),
            panel: "P".to_owned(),
            text: "rate(a{instance=~\".*\"}[4s])".to_owned(),
        };
        assert_eq!(queries(text).unwrap(), [expected]);
    }

    #[test]
    fn a_panel_without_a_query_and_an_unknown_variable_are_errors() {
        assert!(queries(r#"{"panels":[{"type":"stat","title":"P"}]}"#).is_err());
        let unknown = r#"{"panels":[{"type":"stat","title":"P","targets":[{"expr":"a[$__range]"}]}]}"#;
        assert!(queries(unknown).unwrap_err().to_string().contains("unknown variable"));
    }

    #[test]
    fn the_shipped_dashboard_holds_together() {
        assert!(queries(SHIPPED).unwrap().len() > 50);
        let dashboard: serde_json::Value = serde_json::from_str(SHIPPED).unwrap();
        let mut places = Vec::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let (left, top, right, bottom) = (of("x"), of("y"), of("x") + of("w"), of("y") + of("h"));
            assert!(right <= 24, "{}", panel["title"]);
            for &(title, l, t, r, b) in &places {
                let apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(apart, "{} lies on {title}", panel["title"]);
            }
            places.push((panel["title"].as_str().unwrap(), left, top, right, bottom));
        }
    }

    /// `promtool test rules` only runs the cases that there are.
    #[test]
    fn every_alert_has_a_case_and_says_what_to_do() {
        let alerts: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
        assert!(alerts.len() > 10);
        for alert in alerts {
            let name = alert.lines().next().unwrap();
            assert!(
                CASES.contains(&format!("alertname=\"{name}\"")),
                "{name} never fires in alerts_test.yml"
            );
            assert!(alert.contains("runbook: ") && alert.contains("severity: "), "{name}");
        }
    }
}
