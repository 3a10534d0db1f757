//! Closures on worker cores.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use arrayvec::ArrayVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_dpdk::{Mbuf, Pool, Port, PortConfig, testing};

#[test]
fn a_worker_forwards_and_gives_back_its_result_its_panic_and_its_core() {
    let eal = testing::eal();
    // With a cache: frames freed on the worker wait there, and still count as available.
    let pool = Pool::new(eal, "worker", 1023, 64, 2048).unwrap();
    let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() };
    let mut port = Port::configure(eal, &"net_null0".parse().unwrap(), &config, &pool).unwrap();
    let mut queues = port.start().unwrap().remove(0);

    let lcore = testing::worker();
    let (id, cpu) = (lcore.id(), lcore.cpu());
    let running = lcore.run(move || {
        let mut burst: ArrayVec<Mbuf, 32> = ArrayVec::new();
        let mut sent = 0;
        while sent < 3200 {
            queues.rx(&mut burst);
            sent += queues.tx(&mut burst);
        }
        (sent, weir_cpu::current_cpu().unwrap(), weir_cpu::allowed_cpus().unwrap())
    });
    let (lcore, result) = running.unwrap().join();
    assert_eq!(result.unwrap(), (3200, cpu, vec![cpu]));
    assert_eq!((pool.in_use(), pool.available()), (0, 1023));

    let (lcore, result) = lcore.run(|| panic!("on purpose")).unwrap().join();
    let payload: Box<dyn std::any::Any + Send> = match result {
        Ok(()) => panic!("the closure panicked"),
        Err(payload) => payload,
    };
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));

    let (lcore, result) = lcore.run(|| 7).unwrap().join();
    assert_eq!((lcore.id(), result.unwrap()), (id, 7), "the core works on after a panic");
}

#[test]
fn dropping_a_running_job_waits_for_its_end() {
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let running = testing::worker().run(move || {
        std::thread::sleep(Duration::from_millis(100));
        seen.store(true, Ordering::Release);
    });
    let running = running.unwrap();
    assert!(!running.is_finished());
    drop(running);
    assert!(done.load(Ordering::Acquire));
}
