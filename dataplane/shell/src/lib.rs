//! DPDK at the edge, threads, config, metrics, control: the composition root.
