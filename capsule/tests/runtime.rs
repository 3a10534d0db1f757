//! Capsule's own runtime over today's DPDK: the published crate, unmodified, polls a port and sends.

use capsule::Runtime;
use capsule::batch::{Batch, Poll};
use capsule::config::RuntimeConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_pipeline_runs_on_a_port_for_a_second_and_the_runtime_ends() {
    let cpus = weir_cpu::allowed_cpus().unwrap();
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    let config: RuntimeConfig = toml::from_str(&format!(
        r#"
        app_name = "capsule"
        master_core = {first}
        duration = 1
        dpdk_args = "--no-huge -m 128 --no-shconf --no-pci --no-telemetry --iova-mode=va"
        [mempool]
        capacity = 2047
        [[ports]]
        name = "null"
        device = "net_null0"
        cores = [{last}]
        "#
    ))
    .unwrap();
    let frames = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&frames);
    Runtime::build(config)
        .unwrap()
        .add_pipeline_to_port("null", move |queue| {
            let seen = Arc::clone(&seen);
            let count = move |_: &capsule::Mbuf| {
                seen.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            Poll::new(queue.clone()).for_each(count).send(queue)
        })
        .unwrap()
        .execute()
        .unwrap();
    // More than the pool holds: buffers come back.
    assert!(frames.load(Ordering::Relaxed) > 2_047, "{frames:?}");
}
