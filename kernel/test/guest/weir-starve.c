// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * `weir-starve NETNS ADDRESS PORT`: connects from a network namespace, and chooses weir_aurora while the kernel refuses this process all memory that it would have
 * to have at once (failslab, Documentation/fault-injection). Then the socket must still carry data: by Reno, and counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void set(const char *file, const char *value)
{
	FILE *to = fopen(file, "w");

	if (!to || fputs(value, to) < 0 || fclose(to)) {
		perror(file);
		exit(1);
	}
}

static unsigned long without_memory(void)
{
	FILE *from = fopen("/sys/kernel/debug/weir/counters", "r");
	unsigned long found = 0;
	char line[128];

	while (from && fgets(line, sizeof(line), from))
		sscanf(line, "flows_without_memory %lu", &found);
	if (from)
		fclose(from);
	return found;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(argc > 3 ? atoi(argv[3]) : 0) };
	unsigned long before = without_memory();
	static char data[65536];
	int sock, chosen;

	/* `ip netns exec` would hide debugfs behind a /sys of its own. */
	if (argc < 4 || setns(open(argv[1], O_RDONLY), CLONE_NEWNET) || !inet_aton(argv[2], &to.sin_addr)) {
		perror("weir-starve");
		return 1;
	}
	sock = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(sock, (struct sockaddr *)&to, sizeof(to))) {
		perror("weir-starve");
		return 1;
	}
	set("/sys/kernel/debug/failslab/task-filter", "Y");
	set("/sys/kernel/debug/failslab/times", "-1");
	set("/sys/kernel/debug/failslab/verbose", "0");
	set("/sys/kernel/debug/failslab/probability", "100");
	set("/proc/self/make-it-fail", "1");
	chosen = setsockopt(sock, IPPROTO_TCP, TCP_CONGESTION, "weir_aurora", 11);
	set("/proc/self/make-it-fail", "0");
	set("/sys/kernel/debug/failslab/probability", "0");
	if (chosen) {
		perror("TCP_CONGESTION");
		return 1;
	}
	if (without_memory() != before + 1) {
		fprintf(stderr, "weir-starve: %lu flows without memory, before %lu\n", without_memory(), before);
		return 1;
	}
	return write(sock, data, sizeof(data)) == sizeof(data) ? 0 : 1;
}
