//! How each program is started over the source's ports.

use crate::Args;
use crate::exposition::LISTEN;
use crate::plan::{Subject, Traffic};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Guard's floor on what all flows send together. Above what any core moves (20 Mpps of 64 bytes are 10 Gb/s), so that
/// senders are not held back and their frames are held for moments only. The source sends at full speed whatever the
/// rate, as no sender does: below its speed, what is held could only grow.
const FLOOR_BPS: u64 = 20_000_000_000;
/// The router that the stations of `source/weirgen.c` know, at the Ethernet addresses to which its frames go.
const ROUTE: &str = r#"
[route]
icmp_rate = 100
[route.inside]
addresses = ["192.0.2.1/24"]
mtu = 1500
mac = "02:00:00:00:00:02"
[route.outside]
addresses = ["198.51.100.254/24"]
mtu = 1500
mac = "02:00:00:00:00:01"
[[route.to]]
prefix = "10.0.0.0/8"
via = "192.0.2.2"
side = "inside"
"#;
/// Ways to the network between which one of the networks chooses.
pub(crate) const WAYS: usize = 4;
/// The same addresses with the server behind four neighbours. Which one is chosen for every frame, whatever the last one got.
const BALANCE: &str = r#"
[balance]
to = ["198.51.100.1/32"]
rule = "maglev"
model = "balance"
cadence = "packet"
flowlet_gap = "100ms"
hysteresis = 0.0
control_share = 0.0
explore_share = 0.0
"#;
/// How long a program may take to go once asked.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A started program. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Running {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().map_or(true, |status| status.is_some())
    }

    /// Asks it to end and waits.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        kill(Pid::from_raw(self.pid() as i32), Signal::SIGINT).context("cannot signal it")?;
        let by = Instant::now() + STOP_MAX;
        while Instant::now() < by {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("it did not end within {} s of SIGINT; see {}", STOP_MAX.as_secs(), self.log.display())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `subject` in `folder`, with the source's counters in `board`.
pub(crate) fn start(
    args: &Args,
    subject: Subject,
    traffic: &Traffic,
    folder: &Path,
    board: &Path,
) -> Result<Running> {
    let ports = ports(subject, traffic, board);
    let mut command = match subject {
        Subject::Io => testpmd(args, "io", &ports),
        Subject::Macswap => testpmd(args, "macswap", &ports),
        Subject::FiveTupleSwap => testpmd(args, "5tswap", &ports),
        Subject::L3fwd => l3fwd(args, traffic, folder, &ports)?,
        Subject::Forward | Subject::Route | Subject::Rule | Subject::Model | Subject::Networks => {
            weir(args, subject, traffic, folder, &ports)?
        }
    };
    let log = folder.join("log");
    let out = File::create(&log)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    Ok(Running { child, log })
}

/// The two devices. With neighbours for a router.
fn ports(subject: Subject, traffic: &Traffic, board: &Path) -> [String; 2] {
    let Traffic { flows, rtt_us, train, copy, cold } = traffic;
    let inside = format!(
        "net_weirgen0,flows={flows},rtt_us={rtt_us},train={train},copy={},cold={},neighbours={},board={}",
        u8::from(*copy),
        u8::from(*cold),
        subject.neighbours(),
        board.display()
    );
    [inside, "net_weirgen1".to_owned()]
}

fn eal(command: &mut Command, args: &Args, cores: &str, memory_mb: u32, ports: &[String; 2]) {
    command.args(["-l", cores, "--no-pci", "--in-memory", "--no-telemetry", "--file-prefix=bench"]);
    command.args(["-m", &memory_mb.to_string(), "-d"]).arg(args.peers.join("libweirgen.so"));
    command.args(ports.iter().map(|port| format!("--vdev={port}"))).arg("--");
}

/// testpmd sleeps on its main core and forwards on the other.
fn testpmd(args: &Args, mode: &str, ports: &[String; 2]) -> Command {
    let mut command = Command::new("dpdk-testpmd");
    let main = usize::from(args.core == 0);
    eal(&mut command, args, &format!("{main},{}", args.core), 256, ports);
    command.arg(format!("--forward-mode={mode}"));
    // At its start it would throw away what the ports deliver, SYNs included. With a period it ignores its input.
    command.args(["--total-num-mbufs=16384", "--burst=32", "--no-flush-rx", "--stats-period=3600"]);
    command
}

/// l3fwd polls on its main core. The ports classify frames for it, so that it need not.
fn l3fwd(args: &Args, traffic: &Traffic, folder: &Path, ports: &[String; 2]) -> Result<Command> {
    let (v4, v6) = (folder.join("v4.cfg"), folder.join("v6.cfg"));
    fs::write(&v4, rules(traffic.flows))?;
    fs::write(&v6, "R2001:0200:0:0:0:0:0:0 2001:0200:0:0:0:0:0:1 9 9 0x11 0\n")?;
    let mut command = Command::new(args.peers.join("l3fwd"));
    eal(&mut command, args, &args.core.to_string(), 1_500, ports);
    command.args(["-p", "3", "-P", "--lookup=em"]);
    command.arg(format!("--config=(0,0,{0}),(1,0,{0})", args.core));
    command.arg(format!("--rule_ipv4={}", v4.display())).arg(format!("--rule_ipv6={}", v6.display()));
    Ok(command)
}

/// Both directions of every flow as the source makes them: out of the port that faces the destination.
fn rules(flows: u32) -> String {
    let mut text = String::with_capacity(flows as usize * 90);
    for flow in 0..flows {
        let (host, port) = (
            format_args!("10.{}.{}.{}", flow >> 16 & 255, flow >> 8 & 255, flow & 255),
            0x4000 | flow & 0x3fff,
        );
        let _ = writeln!(text, "R198.51.100.1 {host} 443 {port} 0x06 1");
        let _ = writeln!(text, "R{host} 198.51.100.1 {port} 443 0x06 0");
    }
    text
}

/// Weir as it ships; only its ports and limits are the bench's.
fn weir(
    args: &Args,
    subject: Subject,
    traffic: &Traffic,
    folder: &Path,
    ports: &[String; 2],
) -> Result<Command> {
    let config = folder.join("weir.toml");
    fs::write(&config, configuration(args, subject, traffic, ports)?)?;
    let mut command = Command::new(&args.weir);
    command.arg("run").arg(&config);
    if subject.paces() {
        let floor = FLOOR_BPS / u64::from(traffic.flows);
        for (key, rate) in [("rate_min", floor), ("rate_start", floor), ("rate_max", 10 * FLOOR_BPS)] {
            command.arg("--set").arg(format!("pacing.{key}={rate}bps"));
        }
    }
    if subject == Subject::Networks {
        for set in ["cadence=packet", "control_share=0", "explore_share=0"] {
            command.arg("--set").arg(format!("pacing.{set}"));
        }
    }
    // It lets no plugin be named; loaded beforehand the driver is there when EAL looks.
    command.env("LD_PRELOAD", fs::canonicalize(args.peers.join("libweirgen.so"))?);
    // Tables on huge pages: transparent ones, which glibc asks for when told so.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    Ok(command)
}

fn configuration(args: &Args, subject: Subject, traffic: &Traffic, ports: &[String; 2]) -> Result<String> {
    let flows_max = traffic.flows + traffic.flows / 8 + 1_024;
    let mut text = format!(
        r#"[eal]
hugepages = true
memory_mb = 256
[cores]
control = {control}
workers = [{core}]
[ports]
mode = "{mode}"
inside = "{inside}"
outside = "{outside}"
[engine]
seed = 1
flows_max = {flows_max}
half_open_max = 16384
flow_idle_max = "120s"
held_max = 8192
drain_max = "2s"
[metrics]
listen = "{LISTEN}"
"#,
        control = usize::from(args.core == 0),
        core = args.core,
        mode = if subject.neighbours() > 0 { "route" } else { "wire" },
        inside = ports[0],
        outside = ports[1],
    );
    if subject.neighbours() > 0 {
        text.push_str(ROUTE);
    }
    if subject == Subject::Networks {
        text.push_str(BALANCE);
        for way in 1..=WAYS {
            let _ = writeln!(
                text,
                "[[path]]\nname = \"way-{way}\"\nkind = \"next_hop\"\nvia = \"198.51.100.{way}\"\nrate = \"10Gbps\""
            );
        }
        text.push_str(&balance_model(args)?);
    }
    if subject.paces() {
        text.push_str(&pacing(args, subject)?);
    }
    Ok(text)
}

/// The sections `[pacing]` and `[[model]]` of the demo's configuration, without the model for a run under the rule.
fn pacing(args: &Args, subject: Subject) -> Result<String> {
    let demo =
        fs::read_to_string(&args.demo).with_context(|| format!("cannot read {}", args.demo.display()))?;
    let folder = fs::canonicalize(&args.demo)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut section = "";
    let mut text = String::new();
    for line in demo.lines() {
        if line.starts_with('[') {
            section = line.split(']').next().unwrap_or("");
        }
        let of_model = section == "[[model" || line.starts_with("model =");
        if (section == "[pacing" || of_model) && (subject != Subject::Rule || !of_model) {
            let line = line.replace("\"models/", &format!("\"{}/models/", folder.display()));
            text.push_str(&line);
            text.push('\n');
        }
    }
    anyhow::ensure!(text.contains("[pacing]"), "{} has no section [pacing]", args.demo.display());
    Ok(text)
}

/// The section `[[model]]` that `balance.toml`, beside the demo's configuration, shows as a comment; in 8 bits.
fn balance_model(args: &Args) -> Result<String> {
    let file = args.demo.with_file_name("balance.toml");
    let balance = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = fs::canonicalize(&file)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut text = String::new();
    for line in balance.lines().skip_while(|line| !line.starts_with("# [[model]]")) {
        let line = line.strip_prefix("# ").unwrap_or(line);
        // Words about what follows, which stay a comment.
        if line.starts_with(|first: char| first.is_uppercase()) {
            continue;
        }
        let line = line.replace("\"models/", &format!("\"{}/models/", folder.display()));
        // What 12 bits are for, small differences of scores, does not matter to how long it takes.
        text.push_str(&line.replace("\"12bit\"", "\"8bit\""));
        text.push('\n');
        if line == "]" {
            return Ok(text);
        }
    }
    anyhow::bail!("{} shows no [[model]] that chooses paths", file.display())
}
