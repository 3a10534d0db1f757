//! Everything together: an event at a time.

use crate::conn::{self, Conn, End, FlowReport, FlowSpec, Outcome};
use crate::edge::probes::{self, Test};
use crate::edge::{Departure, Edge, PathChange, Probing, Truth, Way};
use crate::events::EventQueue;
use crate::fabric::{Fabric, PATH_VLAN, Switch};
use crate::frame::{HostId, SimFrame};
use crate::link::{Link, LinkConfig};
use crate::source::{DISCARD_PORT, Source, SourceConfig};
use crate::weir::{Weir, WeirConfig};
use crate::{books::Books, random};
use std::collections::VecDeque;
use std::sync::Arc;
use weir_engine::io::{Frame as _, Side};
use weir_engine::models::Generation;
use weir_engine::time::Ns;
use weir_engine::wire::{Parsed, Segment, Untracked, parse};
use weir_env::Rng;

/// What is to happen at a time of its own.
#[derive(Clone, Debug)]
pub enum Script {
    /// A link behaves otherwise.
    Link {
        /// Which one.
        link: usize,
        /// How.
        config: LinkConfig,
    },
    /// A link goes down, or comes up.
    Cut {
        /// Which one.
        link: usize,
        /// Whether it works from now on.
        up: bool,
    },
    /// A host's Weir gets another model.
    Swap {
        /// Whose.
        host: HostId,
        /// Which.
        model: Arc<Generation>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Delivery(u32),
    Turn(u16),
    Timer(u32, End),
    Start(u32),
    Source(u32),
    Script(u32),
    Gauge(u32),
    Probes(u16),
}

/// A queue that is looked at again and again.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// Which link's.
    pub link: usize,
    /// How often.
    pub every: Ns,
    /// When, and how long a frame that came then would have waited.
    pub seen: Vec<(Ns, Ns)>,
}

struct Host {
    uplink: usize,
    weir: Option<Weir>,
    edge: Option<Edge>,
    waits: bool,
}

/// A world: hosts, links, perhaps a fabric between them, and one clock.
pub struct World {
    now: Ns,
    seed: u64,
    events: EventQueue<Event>,
    links: Vec<Link>,
    fabric: Option<Fabric>,
    hosts: Vec<Host>,
    conns: Vec<Conn>,
    sources: Vec<Source>,
    scripts: Vec<Script>,
    gauges: Vec<Gauge>,
    /// Hosts whose Weir has frames to look at.
    due: VecDeque<u16>,
    emitted: Vec<SimFrame>,
    labels: Rng,
    open: usize,
    books: Books,
}

/// Links of a world without a fabric that frames for any host may leave by.
pub const BOTTLENECK: usize = 0;

impl World {
    /// `hosts` hosts that share the links given: each host's own is `uplinks[host]`, and what a link delivers goes to
    /// whomever it is addressed to.
    pub fn shared(seed: u64, links: Vec<LinkConfig>, uplinks: &[usize]) -> World {
        let links = links
            .into_iter()
            .zip(0..)
            .map(|(config, at)| Link::new(config, random::stream(seed, "loss", at)))
            .collect();
        World::new(seed, links, None, uplinks)
    }

    /// A leaf-spine fabric with all its hosts.
    pub fn fabric(seed: u64, fabric: Fabric) -> World {
        let links = (0..fabric.links())
            .map(|at| Link::new(fabric.link_config(at), random::stream(seed, "loss", at as u64)))
            .collect();
        let uplinks: Vec<usize> = (0..fabric.hosts()).map(|host| fabric.host_up(HostId(host))).collect();
        World::new(seed, links, Some(fabric), &uplinks)
    }

    fn new(seed: u64, links: Vec<Link>, fabric: Option<Fabric>, uplinks: &[usize]) -> World {
        let host = |uplink: &usize| Host { uplink: *uplink, weir: None, edge: None, waits: false };
        World {
            now: Ns::ZERO,
            seed,
            events: EventQueue::new(),
            links,
            fabric,
            hosts: uplinks.iter().map(host).collect(),
            conns: Vec::new(),
            sources: Vec::new(),
            scripts: Vec::new(),
            gauges: Vec::new(),
            due: VecDeque::new(),
            emitted: Vec::new(),
            labels: random::stream(seed, "labels", 0),
            open: 0,
            books: Books::default(),
        }
    }

    /// Puts a Weir between a host's stack and its uplink.
    pub fn install(&mut self, host: HostId, config: &WeirConfig) {
        let now = self.now;
        if let Some(host) = self.hosts.get_mut(usize::from(host.0)) {
            host.weir = Some(Weir::new(config, now));
        }
    }

    /// Gives a host a policy of choosing paths.
    pub fn choose_paths(&mut self, host: HostId, edge: Edge) {
        let hosts = self.hosts.len() as u64;
        if let Some(place) = self.hosts.get_mut(usize::from(host.0)) {
            if let Some(probing) = edge.probing() {
                // Not all at the same moment.
                let phase = Ns(probing.interval.0 * u64::from(host.0) / hosts.max(1));
                self.events.schedule(self.now + phase, Event::Probes(host.0));
            }
            place.edge = Some(edge);
        }
    }

    /// Adds a transfer; returns its number.
    pub fn add_flow(&mut self, spec: FlowSpec) -> usize {
        let number = self.conns.len();
        let start = spec.start;
        let label = self.labels.bits() as u32;
        self.conns.push(Conn::new(number as u32, spec, label));
        self.events.schedule(start, Event::Start(number as u32));
        self.open += 1;
        number
    }

    /// Adds background traffic.
    pub fn add_source(&mut self, config: SourceConfig) {
        let number = self.sources.len();
        let rng = random::stream(self.seed, "source", number as u64);
        self.sources.push(Source::new(config, number as u16, rng));
        self.events.schedule(self.now, Event::Source(number as u32));
    }

    /// Lets something happen at a time.
    pub fn script(&mut self, at: Ns, script: Script) {
        self.events.schedule(at, Event::Script(self.scripts.len() as u32));
        self.scripts.push(script);
    }

    /// Looks at a link's queue again and again from `from` on; returns the gauge's number.
    pub fn gauge(&mut self, link: usize, from: Ns, every: Ns) -> usize {
        self.events.schedule(from, Event::Gauge(self.gauges.len() as u32));
        self.gauges.push(Gauge { link, every: Ns(every.0.max(1)), seen: Vec::new() });
        self.gauges.len() - 1
    }

    /// The present time.
    pub fn now(&self) -> Ns {
        self.now
    }
    /// Transfers that are not through.
    pub fn open_flows(&self) -> usize {
        self.open
    }
    /// What has come of each transfer.
    pub fn flows(&self) -> impl Iterator<Item = FlowReport> + '_ {
        self.conns.iter().map(Conn::report)
    }
    /// Bytes that each transfer has delivered.
    pub fn delivered(&self) -> impl Iterator<Item = u64> + '_ {
        self.conns.iter().map(Conn::delivered)
    }
    /// Bytes that background traffic has sent.
    pub fn background_bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.bytes).sum()
    }
    /// A link.
    pub fn link(&self, link: usize) -> Option<&Link> {
        self.links.get(link)
    }
    /// A gauge.
    pub fn gauge_at(&self, gauge: usize) -> Option<&Gauge> {
        self.gauges.get(gauge)
    }
    /// A host's Weir.
    pub fn weir_mut(&mut self, host: HostId) -> Option<&mut Weir> {
        self.hosts.get_mut(usize::from(host.0))?.weir.as_mut()
    }
    /// Who chooses a host's paths.
    pub fn edge_mut(&mut self, host: HostId) -> Option<&mut Edge> {
        self.hosts.get_mut(usize::from(host.0))?.edge.as_mut()
    }
    /// Who chooses the hosts' paths.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> + '_ {
        self.hosts.iter().filter_map(|host| host.edge.as_ref())
    }
    /// Where every frame is or went.
    pub fn books(&self) -> Books {
        let mut books = self.books;
        for link in &self.links {
            books.add_link(link.counters(), link.inside());
        }
        for weir in self.hosts.iter().filter_map(|host| host.weir.as_ref()) {
            books.add_weir(weir);
        }
        books
    }

    /// Lets time pass until `until`, or until every transfer is through where `stop_when_done`.
    pub fn run(&mut self, until: Ns, stop_when_done: bool) {
        while !(stop_when_done && self.open == 0)
            && let Some((at, event)) = self.events.next(until)
        {
            self.now = at;
            self.books.events += 1;
            self.handle(event);
            while let Some(host) = self.due.pop_front() {
                self.turn(host);
            }
        }
        if !(stop_when_done && self.open == 0) {
            self.now = self.now.max(until);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Delivery(link) => self.deliver(link as usize),
            Event::Turn(host) => self.wake(host),
            Event::Start(number) => {
                if let Some(conn) = self.conns.get_mut(number as usize) {
                    conn.open(now, &mut self.emitted);
                    self.settle(number);
                }
            }
            Event::Timer(number, end) => self.timer(number, end),
            Event::Source(number) => {
                let Some(source) = self.sources.get_mut(number as usize) else { return };
                let (frame, next) = source.send(now);
                let link = source.config.link;
                if next < Ns::NEVER {
                    self.events.schedule(next, event);
                }
                if let Some(frame) = frame {
                    self.books.originated += 1;
                    self.push(link, frame);
                }
            }
            Event::Script(number) => {
                if let Some(script) = self.scripts.get(number as usize).cloned() {
                    self.act(script);
                }
            }
            Event::Probes(host) => self.probe(host),
            Event::Gauge(number) => {
                let Some(gauge) = self.gauges.get_mut(number as usize) else { return };
                if let Some(link) = self.links.get_mut(gauge.link) {
                    gauge.seen.push((now, link.wait(now)));
                }
                let next = now + gauge.every;
                self.events.schedule(next, event);
            }
        }
    }

    fn act(&mut self, script: Script) {
        let now = self.now;
        match script {
            Script::Link { link, config } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.reconfigure(now, config);
                }
            }
            Script::Cut { link, up } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.set_up(now, up);
                }
            }
            Script::Swap { host, model } => {
                if let Some(weir) = self.weir_mut(host) {
                    weir.swap(model);
                }
                self.wake(host.0);
            }
        }
    }

    /// Puts a frame onto a link, and sees that it is taken off in its time.
    fn push(&mut self, at: usize, frame: SimFrame) {
        let Some(link) = self.links.get_mut(at) else {
            self.books.unroutable += 1;
            return;
        };
        link.push(self.now, frame);
        if let Some(due) = link.next_due()
            && link.scheduled == Ns::NEVER
        {
            link.scheduled = due;
            self.events.schedule(due, Event::Delivery(at as u32));
        }
    }

    fn deliver(&mut self, at: usize) {
        let now = self.now;
        while let Some(frame) = self.links.get_mut(at).and_then(|link| link.pop(now)) {
            let end = self.fabric.as_ref().and_then(|fabric| fabric.end(at));
            match end {
                Some(switch) => self.forward(switch, frame),
                None => self.arrive(frame),
            }
        }
        if let Some(link) = self.links.get_mut(at) {
            link.scheduled = link.next_due().unwrap_or(Ns::NEVER);
            if link.scheduled < Ns::NEVER {
                let due = link.scheduled;
                self.events.schedule(due, Event::Delivery(at as u32));
            }
        }
    }

    fn forward(&mut self, switch: Switch, mut frame: SimFrame) {
        let links = &self.links;
        let out = self.fabric.as_ref().zip(frame.route()).and_then(|(fabric, route)| {
            fabric.forward(switch, &route, |link| links.get(link).is_some_and(Link::is_up))
        });
        match out {
            Some((link, untag)) => {
                if untag {
                    frame.pop_vlan();
                }
                self.push(link, frame);
            }
            None => self.books.unroutable += 1,
        }
    }

    /// A frame has come to the host that it is addressed to.
    fn arrive(&mut self, frame: SimFrame) {
        let host = frame.route().map(|route| route.to.0);
        match host.and_then(|host| Some((host, self.hosts.get_mut(usize::from(host))?))) {
            Some((number, host)) => match &mut host.weir {
                Some(weir) => {
                    weir.receive(Side::Outside, frame);
                    self.wake(number);
                }
                None => self.take(frame),
            },
            None => self.books.unroutable += 1,
        }
    }

    /// The stack of a host sends a frame.
    fn send(&mut self, frame: SimFrame, from: HostId) {
        self.books.originated += 1;
        match self.hosts.get_mut(usize::from(from.0)) {
            Some(Host { weir: Some(weir), .. }) => {
                weir.receive(Side::Inside, frame);
                self.wake(from.0);
            }
            Some(_) => self.leave(from.0, frame),
            None => self.books.unroutable += 1,
        }
    }

    fn wake(&mut self, host: u16) {
        if let Some(state) = self.hosts.get_mut(usize::from(host))
            && !state.waits
        {
            state.waits = true;
            self.due.push_back(host);
        }
    }

    fn turn(&mut self, number: u16) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(usize::from(number)) else { return };
        host.waits = false;
        let Some(weir) = &mut host.weir else { return };
        if weir.scheduled <= now {
            weir.scheduled = Ns::NEVER;
        }
        let next = weir.turn(now);
        if let Some(at) = next.filter(|at| *at < weir.scheduled) {
            if at > now {
                weir.scheduled = at;
                self.events.schedule(at, Event::Turn(number));
            } else {
                self.wake(number);
            }
        }
        self.books.turns += 1;
        while let Some(frame) = self.weir_sent(number, Side::Outside) {
            self.leave(number, frame);
        }
        while let Some(frame) = self.weir_sent(number, Side::Inside) {
            self.take(frame);
        }
    }

    fn weir_sent(&mut self, host: u16, side: Side) -> Option<SimFrame> {
        self.weir_mut(HostId(host))?.sent(side)
    }

    /// A frame leaves a host by its uplink, on a path that the host's policy chooses where it has one.
    fn leave(&mut self, number: u16, mut frame: SimFrame) {
        let Some(host) = self.hosts.get_mut(usize::from(number)) else { return };
        let uplink = host.uplink;
        if let (Some(edge), Some(fabric)) = (&mut host.edge, &self.fabric)
            && let Some(route) = frame.route()
            && let Some(conn) = conn::data_owner(route.ports()).and_then(|at| self.conns.get_mut(at as usize))
        {
            let from_leaf = fabric.leaf_of(HostId(number));
            let to_leaf = fabric.leaf_of(route.to);
            if from_leaf != to_leaf {
                let departure = Departure {
                    now: self.now,
                    flow: conn.number(),
                    idle: self.now - conn.last_departure,
                    to_leaf,
                    bytes: frame.wire_len(),
                };
                conn.last_departure = self.now;
                let flow = conn.number();
                let mut truth = Truth {
                    links: &mut self.links,
                    conns: &self.conns,
                    fabric,
                    from_leaf,
                    to_leaf,
                    flow,
                    now: self.now,
                };
                if let Way::Spine(spine) = edge.way(&departure, &frame, &mut truth) {
                    frame.push_vlan(PATH_VLAN + spine);
                    if let Some(conn) = self.conns.get_mut(flow as usize) {
                        conn.spine = Some(spine);
                    }
                }
            }
        }
        self.push(uplink, frame);
    }

    /// A frame has come to a stack.
    fn take(&mut self, frame: SimFrame) {
        self.books.consumed += 1;
        match parse(frame.bytes(), frame.wire_len()) {
            Parsed::Tcp(tcp) => {
                let Some((number, end)) = conn::owner(&tcp) else {
                    self.books.unclaimed += 1;
                    return;
                };
                let Some(conn) = self.conns.get_mut(number as usize) else {
                    self.books.unclaimed += 1;
                    return;
                };
                let was_over = conn.is_over() || conn.finished.is_some();
                let outcome = conn.on_segment(self.now, end, &tcp, &mut self.emitted);
                if outcome.finished && !was_over {
                    self.open -= 1;
                }
                if end == End::Sender {
                    self.feed_back(number, &tcp.segment, &outcome);
                }
                self.settle(number);
            }
            Parsed::Untracked { kind: Untracked::Udp, owner: Some(owner) } => {
                let (from, to) = (owner.source.port, owner.destination.port);
                let claimed = to == DISCARD_PORT || self.on_probe(&frame, from, to).is_some();
                self.books.unclaimed += u64::from(!claimed);
            }
            _ => self.books.unclaimed += 1,
        }
    }

    /// A host's probes are due.
    fn probe(&mut self, number: u16) {
        let now = self.now;
        let (Some(fabric), Some(host)) = (&self.fabric, self.hosts.get_mut(usize::from(number))) else {
            return;
        };
        let uplink = host.uplink;
        let Some(Edge::Engine(engine)) = &mut host.edge else { return };
        let Some(Probing { interval, .. }) = engine.probing() else { return };
        for frame in engine.probe(now, HostId(number), &fabric.config) {
            self.books.originated += 1;
            self.push(uplink, frame);
        }
        self.events.schedule(now + Ns(interval.0.max(1)), Event::Probes(number));
    }

    /// A UDP frame has come to a host that may have sent it a probe, or may be asked to answer one.
    fn on_probe(&mut self, frame: &SimFrame, from: u16, to: u16) -> Option<()> {
        let (sender, own) = (frame.source()?, frame.route()?.to);
        let leaf = self.fabric.as_ref()?.leaf_of(sender);
        let host = self.hosts.get_mut(usize::from(own.0))?;
        let Some(Edge::Engine(engine)) = &mut host.edge else { return None };
        match probes::read(from, to)? {
            Test::Request => {
                let answer = probes::answer(engine.probing()?.version, own, (sender, from));
                let uplink = host.uplink;
                self.books.originated += 1;
                self.push(uplink, answer);
            }
            Test::Answer { spine, low } => engine.on_answer(self.now, leaf, spine, low),
        }
        Some(())
    }

    /// Tells who chooses a host's paths what an acknowledgement says about one.
    fn feed_back(&mut self, number: u32, segment: &Segment, outcome: &Outcome) {
        let Some(conn) = self.conns.get_mut(number as usize) else { return };
        let host = usize::from(conn.spec.from.0);
        if let Some(edge) = self.hosts.get_mut(host).and_then(|host| host.edge.as_mut())
            && let Some(PathChange::Redraw) = edge.on_ack(self.now, number, (segment, outcome))
        {
            conn.flow_label = self.labels.bits() as u32 & 0xf_ffff;
        }
    }

    fn timer(&mut self, number: u32, end: End) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(number as usize) else { return };
        if conn.scheduled[end as usize] > now {
            // Another one has been set since.
            return;
        }
        conn.scheduled[end as usize] = Ns::NEVER;
        if conn.due(end, Ns(now.0.saturating_sub(1))) <= now {
            let timeout = conn.on_timer(now, end, &mut self.emitted);
            if timeout {
                let host = usize::from(conn.spec.from.0);
                if let Some(edge) = self.hosts.get_mut(host).and_then(|host| host.edge.as_mut())
                    && let Some(PathChange::Redraw) = edge.on_timeout(now, number)
                {
                    conn.flow_label = self.labels.bits() as u32 & 0xf_ffff;
                }
            }
        }
        self.settle(number);
    }

    /// Sends what a connection has said, and sets its timers.
    fn settle(&mut self, number: u32) {
        let Some(conn) = self.conns.get_mut(number as usize) else { return };
        for end in [End::Sender, End::Receiver] {
            let due = conn.due(end, self.now);
            let scheduled = &mut conn.scheduled[end as usize];
            if due < *scheduled {
                *scheduled = due;
                self.events.schedule(due.max(self.now), Event::Timer(number, end));
            }
        }
        let mut emitted = std::mem::take(&mut self.emitted);
        for frame in emitted.drain(..) {
            if let Some(from) = frame.source() {
                self.send(frame, from);
            }
        }
        self.emitted = emitted;
    }
}
