//! What `weir ctl status` prints, on fixed reports.

use weir_shell::control::protocol::{
    ConfigReport, Decisions, Drops, LastReload, LimitReport, ModelReport, PathReport, PortReport,
    ReloadResult, Reloaded, ScheduleReport, StatusReport, WorkerReport,
};
use weir_shell::control::screen::render;
use weir_shell::status::{BufferStatus, PortStatus};

fn port(side: &str, name: &str) -> PortReport {
    let status = PortStatus { name: name.to_owned(), up: true, ..PortStatus::default() };
    PortReport { side: side.to_owned(), status }
}

fn calm() -> StatusReport {
    StatusReport {
        weir: "0.1.0".to_owned(),
        dpdk: "22.11.8".to_owned(),
        pid: 4_711,
        unix_seconds: 1_795_730_655.5,
        started_unix_seconds: 1_795_719_000.0,
        hindrances: Vec::new(),
        config: ConfigReport {
            file: "/etc/weir/weir.toml".to_owned(),
            loaded_unix_seconds: 1_795_719_000.0,
            ..ConfigReport::default()
        },
        ports: vec![port("inside", "net_af_packet0"), port("outside", "net_af_packet1")],
        buffers: Some(BufferStatus { total: 16_384, in_use: 4_219 }),
        workers: vec![WorkerReport {
            worker: 0,
            core: 1,
            received_frames_per_second: 12_345.6,
            received_bits_per_second: 98_120_000.0,
            sent_frames_per_second: 12_340.0,
            sent_bits_per_second: 98_000_000.0,
            busy_share: 0.431,
            turn_seconds_max: 0.000_213,
            flows: 12,
            paced_flows: 4,
            held_frames: 31,
            drops: Vec::new(),
        }],
        paths: Vec::new(),
        limits: Vec::new(),
        models: vec![ModelReport {
            name: "aurora".to_owned(),
            function: "pacing".to_owned(),
            generation: 3,
            precision: "8bit".to_owned(),
            executor: "avx512_vnni".to_owned(),
            schema: "0123456789abcdef".to_owned(),
            checksum: "89abcdef".to_owned(),
            age_seconds: 722.0,
        }],
        decisions: Decisions { model: 4_970, explored: 260, rule: 0, control: 107 },
        schedule: None,
    }
}

#[test]
fn all_is_well() {
    insta::assert_snapshot!(render(&calm()));
}

#[test]
fn the_scheduler_has_two_lines() {
    let schedule =
        ScheduleReport { model: 70, rule: 2, control: 1, waiting: 31, left: [9, 8, 7, 6, 5, 4, 3, 2] };
    let screen = render(&StatusReport { schedule: Some(schedule), ..calm() });
    let without = render(&calm());
    let added: Vec<&str> =
        screen.lines().filter(|line| !without.lines().any(|other| other == *line)).collect();
    assert_eq!(
        added,
        [
            "scheduled  70 flows by model, 2 by rule, 1 by rule for control; 31 frames wait",
            "priority   9 8 7 6 5 4 3 2 frames left, of 0 to 7",
        ]
    );
    assert_eq!(screen.lines().count(), without.lines().count() + 2);
}

#[test]
fn much_is_wrong() {
    let mut report = calm();
    report.hindrances = vec!["port net_af_packet1 is down or gone".to_owned()];
    report.ports[1].status.up = false;
    report.ports[1].status.downs = 2;
    report.ports[1].status.rx_missed = 1_234;
    let second = WorkerReport {
        worker: 1,
        core: 2,
        received_frames_per_second: 3_100_000.0,
        received_bits_per_second: 9_999_999_999.0,
        busy_share: 1.0,
        drops: vec![Drops { verdict: "pace_full".to_owned(), frames: 8 }],
        ..report.workers[0].clone()
    };
    report.workers[0].drops = vec![
        Drops { verdict: "pace_full".to_owned(), frames: 75 },
        Drops { verdict: "tx_full".to_owned(), frames: 2 },
    ];
    report.workers.push(second);
    report.models.clear();
    report.decisions = Decisions::default();
    report.config = ConfigReport {
        overrides: vec!["pacing.rule=none".to_owned()],
        applied: 3,
        unchanged: 1,
        refused: 2,
        loaded_unix_seconds: report.unix_seconds - 100.0,
        last: Some(LastReload {
            unix_seconds: report.unix_seconds - 20.0,
            outcome: Reloaded {
                result: ReloadResult::Refused,
                reasons: vec![
                    "/etc/weir/weir.toml:4:13: eal.memory_mb: needs a restart: was 256, is now 512"
                        .to_owned(),
                    "/etc/weir/weir.toml:16:8: engine.seed: needs a restart: was 1, is now 2".to_owned(),
                ],
            },
        }),
        ..report.config
    };
    insta::assert_snapshot!(render(&report));
}

#[test]
fn paths_are_shown_with_what_is_wrong_with_them() {
    let path = |name: &str, made_of: &str| PathReport {
        name: name.to_owned(),
        made_of: made_of.to_owned(),
        workers_up: 2,
        workers: 2,
        share: 1.0,
        flows: 120,
        frames: 1_000_000,
        sent_bits_per_second: 940_000_000.0,
        rtt_seconds: 0.000_312,
        base_rtt_seconds: 0.000_205,
        loss_share: 0.0,
        ecn_share: 0.031,
        probes: 4_000,
        answers: 3_998,
        failures: 0,
    };
    let down = PathReport {
        workers_up: 0,
        share: 0.0,
        rtt_seconds: 0.0,
        failures: 2,
        ..path("b", "ipip 10.9.2.1 > 10.9.2.2")
    };
    let report = StatusReport {
        paths: vec![
            path("a", "next hop 10.9.1.2"),
            down,
            PathReport { share: 0.25, ..path("c", "vxlan 7 fd09:3::1 > fd09:3::2") },
            PathReport { share: 0.0, ..path("d", "next hop 10.9.4.2") },
            PathReport { workers_up: 1, ..path("e", "next hop 10.9.5.2") },
        ],
        ..calm()
    };
    insta::assert_snapshot!(render(&report));
    insta::assert_snapshot!("paths_json", serde_json::to_string_pretty(&report.paths[..1]).unwrap());
}

#[test]
fn limits_are_shown_with_what_they_cost() {
    let limit = LimitReport {
        name: "tenant-a".to_owned(),
        on: "inside 10.1.0.0/16".to_owned(),
        rate_bits_per_second: 100e6,
        sent_bits_per_second: 99.7e6,
        frames: 1_234_567,
        bytes: 1_800_000_000,
        waits: 400_000,
        wait_seconds: 800.0,
        marked: 12,
        dropped: 345,
        held_bytes: 48_000,
    };
    let idle = LimitReport {
        name: "uplink".to_owned(),
        on: "every frame".to_owned(),
        rate_bits_per_second: 10e9,
        waits: 0,
        wait_seconds: 0.0,
        marked: 0,
        dropped: 0,
        ..limit.clone()
    };
    let report = StatusReport { limits: vec![limit, idle], ..calm() };
    insta::assert_snapshot!(render(&report));
    insta::assert_snapshot!("limits_json", serde_json::to_string_pretty(&report.limits[..1]).unwrap());
}

/// The documented form: names may be added to, never changed.
#[test]
fn the_json_has_the_documented_names() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&calm()).unwrap());
}
