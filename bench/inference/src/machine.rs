//! Where the figures come from, and whether the machine was quiet.

use serde::Serialize;

/// Names the machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub cpu: String,
    pub kernel: String,
    pub core: usize,
}

impl Machine {
    pub(crate) fn new(core: usize) -> Machine {
        let info = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split(':').nth(1)).unwrap_or("?").trim().to_string()
        };
        let cpu =
            format!("{} (family {}, model {})", weir_cpu::cpu_model(), field("cpu family"), field("model"));
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_string();
        Machine { cpu, kernel, core }
    }
}

/// Nanoseconds that this thread ran, and that it waited for its core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    ran: u64,
    waited: u64,
}

impl Usage {
    /// Up to now.
    pub(crate) fn now() -> Usage {
        let text = read("/proc/thread-self/schedstat");
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        Usage { ran: numbers.next().unwrap_or(0), waited: numbers.next().unwrap_or(0) }
    }

    /// The share of its core that the thread had since `before`.
    pub(crate) fn share_since(&self, before: Usage) -> f64 {
        let (ran, waited) = (self.ran - before.ran, self.waited - before.waited);
        ran as f64 / (ran + waited).max(1) as f64
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
