// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Sees what leaves: `weir-capture` looks at every TCP segment with data that this namespace sends until SIGTERM, and then prints
 * a line for each flow, by its source port:
 *
 *   PORT INTERFACE INTERFACE-CHANGES DSCP-OF-THE-FIRST FLOW-LABEL LABEL-CHANGES SEGMENTS
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

static struct {
	unsigned interface, interface_changes, dscp, label, label_changes, segments;
} flows[65536];

static volatile sig_atomic_t over;

static void end(int signal)
{
	over = signal;
}

/* One packet from its network header; options and extension headers do not come up. */
static void take(const uint8_t *at, size_t length, unsigned interface)
{
	unsigned version = at[0] >> 4, head = version == 4 ? (at[0] & 15) * 4U : 40;
	unsigned dscp, label = 0, total, port, payload;

	if (length < head + 20 || (version == 4 ? at[9] : at[6]) != 6)
		return;
	dscp = version == 4 ? at[1] >> 2 : ((at[0] & 15) << 4 | at[1] >> 4) >> 2;
	if (version == 6)
		label = (at[1] & 15U) << 16 | at[2] << 8 | at[3];
	total = version == 4 ? (unsigned)at[2] << 8 | at[3] : 40 + ((unsigned)at[4] << 8 | at[5]);
	port = at[head] << 8 | at[head + 1];
	payload = total - head - (at[head + 12] >> 4) * 4U;
	if (total < head + 20 || !payload || payload > total)
		return;
	if (!flows[port].segments++) {
		flows[port].interface = interface;
		flows[port].dscp = dscp;
		flows[port].label = label;
	}
	flows[port].interface_changes += flows[port].interface != interface;
	flows[port].label_changes += flows[port].label != label;
}

int main(void)
{
	int sock = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)), room = 8 << 20;
	static uint8_t packet[65536];

	if (sock < 0) {
		perror("weir-capture");
		return 1;
	}
	signal(SIGTERM, end);
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	while (!over) {
		struct pollfd waiting = { .fd = sock, .events = POLLIN };
		struct sockaddr_ll from;
		socklen_t size = sizeof(from);
		ssize_t got;

		if (poll(&waiting, 1, 100) < 1)
			continue;
		got = recvfrom(sock, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);
		if (got > 0 && from.sll_pkttype == PACKET_OUTGOING)
			take(packet, (size_t)got, (unsigned)from.sll_ifindex);
	}
	for (unsigned port = 0; port < 65536; port++) {
		char name[IF_NAMESIZE] = "?";

		if (!flows[port].segments)
			continue;
		if_indextoname(flows[port].interface, name);
		printf("%u %s %u %u %u %u %u\n", port, name, flows[port].interface_changes, flows[port].dscp, flows[port].label,
		       flows[port].label_changes, flows[port].segments);
	}
	return 0;
}
