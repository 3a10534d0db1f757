// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * weir_select: what leaves this host gets a path and a priority from networks.
 *
 * A netfilter hook sees each packet that is sent here (LOCAL_OUT of every namespace; packets to this host itself are left
 * alone). At a flow's first packet the balance network scores the paths, and the least score's mark becomes the packet's
 * fwmark: `ip rule` says where it leads. At a TCP flow's first data the schedule network predicts its size, and the size gives
 * the DSCP. Both stay the flow's own, whatever is published later; where nothing is, rules decide: a hash over the paths, and
 * ageing by bytes sent (PIAS). No connection tracking is needed: only what this host itself sends passes here, so a first packet is one whose
 * tuple has no place in the flow table.
 *
 * A mark or a DSCP that a packet already has is somebody's decision, and stays.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/tcp.h>
#include "weir_select.h"

/* The guard: what is predicted smaller or larger counts as this. */
#define PREDICTED_MIN 100ULL
#define PREDICTED_MAX 10000000000ULL

static unsigned int marks[SELECT_PATHS_MAX];
static int marks_count;
module_param_array(marks, uint, &marks_count, 0444);
MODULE_PARM_DESC(marks, "fwmark of each path, two to eight; without them no path is chosen");

static unsigned int dscp[SELECT_PRIORITIES] = { 40, 32, 24, 16, 10, 0, 8, 1 };
static int dscp_count = SELECT_PRIORITIES;
module_param_array(dscp, uint, &dscp_count, 0444);
MODULE_PARM_DESC(dscp, "DSCP of each of the eight priorities, the most urgent first");

static unsigned long long sizes[SELECT_PRIORITIES - 1] = { 10000, 100000, 1000000, 3000000, 5000000, 10000000, 20000000 };
static int sizes_count = SELECT_PRIORITIES - 1;
module_param_array(sizes, ullong, &sizes_count, 0444);
MODULE_PARM_DESC(sizes, "the seven sizes in bytes that part the priorities, ascending");

static bool priorities = true;
module_param(priorities, bool, 0444);
MODULE_PARM_DESC(priorities, "whether priorities are marked");

static bool flow_label;
module_param(flow_label, bool, 0444);
MODULE_PARM_DESC(flow_label, "whether IPv6 flow labels are set, one for each flow and path");

static unsigned int other_priority = 3;
module_param(other_priority, uint, 0444);
MODULE_PARM_DESC(other_priority, "priority of what is no TCP flow with a place in the table; 7 is the least urgent");

static unsigned int flows_max = 16384;
module_param(flows_max, uint, 0444);
MODULE_PARM_DESC(flows_max, "places for flows, rounded down to eight times a power of two");

/* PIAS' thresholds for web search at load 0.8 (Bai et al., NSDI 2015), in payload of full frames: the rule. */
static const u64 ageing[SELECT_PRIORITIES - 1] = {
	909 * 1460, 1329 * 1460, 1648 * 1460, 1960 * 1460, 2143 * 1460, 2337 * 1460, 2484 * 1460,
};

static atomic64_t begun[SELECT_PRIORITIES];
static struct dentry *statistics;

struct choice {
	u32 path;
	u32 priority;
};

static u32 priority_of(const u64 *thresholds, u64 bytes)
{
	u32 at, priority = 0;

	for (at = 0; at < SELECT_PRIORITIES - 1; at++)
		priority += bytes >= thresholds[at];
	return priority;
}

/* A flow's first data: how much will it be? */
static void predict(struct select_flow *flow, const struct select_packet *packet)
{
	u16 service = min(packet->from, packet->to);
	struct weir_first first = { packet->first, service, packet->from == service };
	struct weir_binding active;
	s32 row[WEIR_SIZE_INPUTS], output;

	flow->begun = true;
	if (select_peer_begin(packet->peer, &first, packet->now_ns, row))
		flow->peer = packet->peer;
	if (select_control(flow->key)) {
		weir_count(select_sizes_control);
	} else if (weir_bind(WEIR_SCHEDULE, &active) && weir_query(WEIR_SCHEDULE, active.generation, row, &output)) {
		u64 bytes = weir_bytes_of_log2(output);

		flow->predicted = true;
		flow->estimate = clamp(bytes, PREDICTED_MIN, PREDICTED_MAX);
		if (flow->estimate != bytes)
			weir_count(guard_size);
		weir_count(select_sizes_model);
	} else {
		weir_count(select_sizes_rule);
	}
}

/* The priority of a TCP packet; what it brings is counted. */
static u32 schedule_tcp(struct select_flow *flow, const struct select_packet *packet)
{
	u64 position = flow->sent;
	s32 fresh;
	u32 priority;
	bool first = !flow->begun && packet->payload;

	if (packet->syn) {
		flow->next_seq = packet->seq + 1;
		flow->whole = true;
	} else if (first && !flow->whole) {
		flow->next_seq = packet->seq;
	}
	if (first)
		predict(flow, packet);
	/* Data in a SYN come behind its own number. */
	fresh = (s32)(packet->seq + packet->syn + packet->payload - flow->next_seq);
	if (packet->payload && fresh > 0) {
		flow->next_seq += (u32)fresh;
		flow->sent += (u32)fresh;
	}
	if (!flow->begun) {
		priority = 0;
	} else if (flow->predicted) {
		/* One that outlives its prediction is taken for twice as large, as often as need be (FLUX, NSDI 2019). */
		while (position >= flow->estimate && flow->estimate < 1ULL << 62)
			flow->estimate *= 2;
		priority = priority_of(sizes, flow->estimate);
	} else {
		priority = priority_of(ageing, position);
	}
	if (first)
		atomic64_inc(&begun[priority]);
	if (packet->end && flow->begun && !flow->ended)
		select_flow_end(flow);
	return priority;
}

/* What the flow's socket has learned of the path since its last packet. */
static void learn(struct select_flow *flow, const struct select_packet *packet, const struct sk_buff *skb)
{
	const struct sock *sk = skb->sk;
	const struct tcp_sock *tp;
	struct select_feedback feedback;
	u64 in_flight;

	if (!packet->tcp || !sk || !sk_fullsock(sk) || sk->sk_protocol != IPPROTO_TCP ||
	    !((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1)))
		return;
	tp = tcp_sk(sk);
	feedback.delivered = READ_ONCE(tp->delivered) - flow->delivered;
	feedback.marked = READ_ONCE(tp->delivered_ce) != flow->delivered_ce;
	feedback.lost = (s32)(READ_ONCE(tp->lost) - flow->lost) > 0;
	feedback.rtt_ns = (u64)READ_ONCE(tp->rack.rtt_us) * NSEC_PER_USEC;
	if (flow->known && (feedback.delivered || feedback.lost))
		select_path_feedback(flow->path, &feedback, packet->now_ns);
	flow->known = true;
	flow->delivered = READ_ONCE(tp->delivered);
	flow->delivered_ce = READ_ONCE(tp->delivered_ce);
	flow->lost = READ_ONCE(tp->lost);
	in_flight = (u64)tcp_packets_in_flight(tp) * tp->mss_cache;
	select_path_depart(flow->path, skb->len, (s64)(in_flight - flow->in_flight), packet->now_ns);
	flow->in_flight = in_flight;
}

/* The flow's own path and priority; its place is locked. */
static void decide(struct select_flow *flow, const struct select_packet *packet, const struct sk_buff *skb, struct choice *choice)
{
	/* A SYN that is repeated finds a flow that has not begun. */
	if (packet->syn && (flow->begun || flow->ended))
		select_flow_restart(flow);
	if (!flow->routed) {
		weir_count(select_flows);
		flow->routed = true;
		/* In the midst of a connection it may have had no place until now: then it stays where the rule had it. */
		if (packet->tcp && !packet->syn)
			flow->path = (u8)select_path_of(flow->key);
		else if (select_paths_count() && packet->routable)
			flow->path = (u8)select_path_choose(flow->key, packet->now_ns);
	}
	if (select_paths_count())
		learn(flow, packet, skb);
	choice->path = flow->path;
	if (packet->tcp)
		choice->priority = schedule_tcp(flow, packet);
	else if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6)
		choice->priority = 0;
	else
		choice->priority = other_priority;
}

static void choose(const struct select_packet *packet, const struct sk_buff *skb, struct choice *choice)
{
	spinlock_t *lock = select_flow_lock(packet->key);
	struct select_flow *flow;

	spin_lock_bh(lock);
	flow = select_flow_find(packet->key, packet->protocol);
	if (flow)
		decide(flow, packet, skb, choice);
	spin_unlock_bh(lock);
	if (flow)
		return;
	weir_count(select_table_full);
	choice->path = select_path_of(packet->key);
	choice->priority = other_priority;
}

static void mark_header(struct sk_buff *skb, const struct nf_hook_state *state, const struct select_packet *packet,
			const struct choice *choice)
{
	struct select_header header = { .dscp = priorities ? (int)dscp[choice->priority] : -1 };

	if (flow_label) {
		/* 20 bits, not 0, other ones for another path. */
		header.label = (u32)((packet->key ^ choice->path * 0x9E3779B97F4A7C15ULL) >> 40) & 0xfffff;
		header.label = header.label ?: 1;
	}
	select_header_set(skb, state, &header);
}

static unsigned int select_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct select_packet packet = { 0 };
	struct choice choice;

	if (!state->out || state->out->flags & IFF_LOOPBACK || !select_parse(skb, state, &packet))
		return NF_ACCEPT;
	choose(&packet, skb, &choice);
	mark_header(skb, state, &packet, &choice);
	if (!select_paths_count() || !packet.routable)
		return NF_ACCEPT;
	if (skb->mark) {
		weir_count(select_kept);
		return NF_ACCEPT;
	}
	skb->mark = select_path_mark(choice.path);
	/* The route was looked up without it. Where there is none with it, the packet keeps the one that it has. */
	if (state->pf == NFPROTO_IPV4 ? ip_route_me_harder(state->net, state->sk, skb, RTN_UNSPEC) :
					ip6_route_me_harder(state->net, state->sk, skb)) {
		skb->mark = 0;
		weir_count(select_unroutable);
	}
	return NF_ACCEPT;
}

static const struct nf_hook_ops hooks[] = {
	{ .hook = select_hook, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_OUT, .priority = NF_IP_PRI_MANGLE },
	{ .hook = select_hook, .pf = NFPROTO_IPV6, .hooknum = NF_INET_LOCAL_OUT, .priority = NF_IP6_PRI_MANGLE },
};

static int __net_init select_net_init(struct net *net)
{
	return nf_register_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

static void __net_exit select_net_exit(struct net *net)
{
	nf_unregister_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

static struct pernet_operations select_nets = {
	.init = select_net_init,
	.exit = select_net_exit,
};

static int select_show(struct seq_file *file, void *unused)
{
	u32 at;

	select_flows_show(file);
	select_paths_show(file);
	for (at = 0; at < SELECT_PRIORITIES; at++)
		seq_printf(file, "priority %u dscp %u flows %llu\n", at, dscp[at], (u64)atomic64_read(&begun[at]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(select);

static int __init check_parameters(void)
{
	int at, other;

	for (at = 0; at < marks_count; at++) {
		for (other = 0; other < at && marks[other] != marks[at]; other++)
			;
		if (!marks[at] || other < at) {
			pr_err("weir_select: marks: expected numbers that differ and are not 0, found %u\n", marks[at]);
			return -EINVAL;
		}
	}
	if (marks_count == 1) {
		pr_err("weir_select: marks: expected two to %u, found one\n", SELECT_PATHS_MAX);
		return -EINVAL;
	}
	for (at = 0; at < SELECT_PRIORITIES; at++) {
		if (dscp_count != SELECT_PRIORITIES || dscp[at] > 63) {
			pr_err("weir_select: dscp: expected eight numbers from 0 to 63\n");
			return -EINVAL;
		}
	}
	for (at = 1; at < SELECT_PRIORITIES - 1; at++) {
		if (sizes_count != SELECT_PRIORITIES - 1 || sizes[at] < sizes[at - 1]) {
			pr_err("weir_select: sizes: expected seven ascending numbers of bytes\n");
			return -EINVAL;
		}
	}
	if (other_priority >= SELECT_PRIORITIES || flows_max < 8 || flows_max > 1 << 20) {
		pr_err("weir_select: expected other_priority from 0 to 7 and flows_max from 8 to 1048576, found %u and %u\n",
		       other_priority, flows_max);
		return -EINVAL;
	}
	return 0;
}

static int __init select_module_init(void)
{
	int err = check_parameters();

	if (err)
		return err;
	select_packets_init();
	select_paths_init(marks, (u32)marks_count);
	err = select_flows_init(flows_max);
	if (err)
		return err;
	err = register_pernet_subsys(&select_nets);
	if (err) {
		select_flows_exit();
		return err;
	}
	statistics = debugfs_create_file("select", 0444, weir_debugfs, NULL, &select_fops);
	return 0;
}

static void __exit select_module_exit(void)
{
	debugfs_remove(statistics);
	unregister_pernet_subsys(&select_nets);
	/* A packet may still be in the hook. */
	synchronize_net();
	select_flows_exit();
}

module_init(select_module_init);
module_exit(select_module_exit);
MODULE_DESCRIPTION("Weir: path and priority of new flows by quantised networks");
MODULE_LICENSE("Dual MIT/GPL");
