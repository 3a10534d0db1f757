// SPDX-License-Identifier: MIT OR GPL-2.0
/* What weir_select reads of a packet that leaves, and what it writes to its header. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/dsfield.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include "weir_select.h"

static siphash_key_t secret __read_mostly;

void select_packets_init(void)
{
	get_random_bytes(&secret, sizeof(secret));
}

struct tuple {
	struct in6_addr from;
	struct in6_addr to;
	__be16 ports[2];
	u32 net;
	u64 protocol;
};

static void hash(struct select_packet *packet, struct tuple *tuple, const struct net *net)
{
	tuple->net = net_hash_mix(net);
	tuple->protocol = packet->protocol;
	tuple->ports[0] = htons(packet->from);
	tuple->ports[1] = htons(packet->to);
	packet->key = siphash(tuple, sizeof(*tuple), &secret) ?: 1;
	/* Of both addresses and the service. */
	tuple->ports[0] = htons(min(packet->from, packet->to));
	tuple->ports[1] = 0;
	packet->peer = siphash(tuple, sizeof(*tuple), &secret) ?: 1;
}

/* The ports and what TCP says; false for what is cut off. */
static bool parse_transport(const struct sk_buff *skb, int at, struct select_packet *packet)
{
	struct tcphdr space;
	const struct tcphdr *th;
	u32 head;

	packet->tcp = packet->protocol == IPPROTO_TCP;
	if (!packet->tcp && packet->protocol != IPPROTO_UDP)
		return true;
	/* UDP's ports have the same place. */
	th = skb_header_pointer(skb, at, packet->tcp ? sizeof(*th) : 4, &space);
	if (!th)
		return false;
	packet->from = ntohs(th->source);
	packet->to = ntohs(th->dest);
	if (!packet->tcp)
		return true;
	head = (u32)at + 4U * th->doff;
	if (head > skb->len)
		return false;
	packet->payload = skb->len - head;
	packet->first = (u16)min3(packet->payload, skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : 0xffffU, 0xffffU);
	packet->seq = ntohl(th->seq);
	packet->syn = th->syn;
	packet->end = th->fin || th->rst;
	return true;
}

bool select_parse(const struct sk_buff *skb, const struct nf_hook_state *state, struct select_packet *packet)
{
	struct tuple tuple = { 0 };
	int at = skb_network_offset(skb);

	if (state->pf == NFPROTO_IPV4) {
		const struct iphdr *ih = ip_hdr(skb);

		packet->routable = !ipv4_is_multicast(ih->daddr) && !ipv4_is_linklocal_169(ih->daddr) &&
				   !(skb_rtable(skb) && skb_rtable(skb)->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST));
		ipv6_addr_set_v4mapped(ih->saddr, &tuple.from);
		ipv6_addr_set_v4mapped(ih->daddr, &tuple.to);
		packet->protocol = ih->protocol;
		/* All pieces of a packet go together: by the addresses alone. */
		if (ip_is_fragment(ih))
			packet->protocol = IPPROTO_RAW;
		else if (!parse_transport(skb, at + ih->ihl * 4, packet))
			return false;
	} else {
		const struct ipv6hdr *ih = ipv6_hdr(skb);
		__be16 fragment = 0;

		tuple.from = ih->saddr;
		tuple.to = ih->daddr;
		packet->protocol = ih->nexthdr;
		at = ipv6_skip_exthdr(skb, at + (int)sizeof(*ih), &packet->protocol, &fragment);
		if (at < 0)
			return false;
		packet->routable = packet->protocol != IPPROTO_ICMPV6 && !ipv6_addr_is_multicast(&ih->daddr) &&
				   !(ipv6_addr_type(&ih->daddr) & IPV6_ADDR_LINKLOCAL);
		if (fragment)
			packet->protocol = IPPROTO_RAW;
		else if (!parse_transport(skb, at, packet))
			return false;
	}
	packet->now_ns = ktime_get_ns();
	hash(packet, &tuple, state->net);
	return true;
}

void select_header_set(struct sk_buff *skb, const struct nf_hook_state *state, const struct select_header *header)
{
	bool v4 = state->pf == NFPROTO_IPV4;
	u8 found = (v4 ? ipv4_get_dsfield(ip_hdr(skb)) : ipv6_get_dsfield(ipv6_hdr(skb))) & ~INET_ECN_MASK;
	u8 wanted = header->dscp < 0 || found ? found : (u8)(header->dscp << 2);

	if (header->dscp >= 0 && found)
		weir_count(select_kept);
	if (wanted == found && (v4 || !header->label))
		return;
	if (skb_ensure_writable(skb, skb_network_offset(skb) + (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)))) {
		weir_count(select_failed);
		return;
	}
	if (v4) {
		ipv4_change_dsfield(ip_hdr(skb), INET_ECN_MASK, wanted);
		return;
	}
	ipv6_change_dsfield(ipv6_hdr(skb), INET_ECN_MASK, wanted);
	if (header->label) {
		__be32 *first = (__be32 *)ipv6_hdr(skb);

		*first = (*first & ~IPV6_FLOWLABEL_MASK) | htonl(header->label);
	}
}
