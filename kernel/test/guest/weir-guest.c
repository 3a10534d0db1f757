// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * What the test in the guest does besides shell: speaks the netlink family, compares, fuzzes, ends the machine. Static, so
 * that the guest needs no library.
 *
 *   weir-guest status                    what is active: "GENERATION CHECKSUM PREVIOUS LOST CONTROL" of pacing
 *   weir-guest install FILE [EXPECT]     0 if the core took it; its function's active generation is expected unless given
 *   weir-guest activate CHECKSUM | rollback | withdraw [FUNCTION]
 *   weir-guest shares CONTROL EXPLORE SAMPLE SIGMA
 *   weir-guest samples                   takes all samples: "COUNT MODEL EXPLORED CONTROL"
 *   weir-guest swap COUNT FILE FILE      installs them in turn
 *   weir-guest fuzz COUNT SEED FILE      messages that must all change nothing
 *   weir-guest trace FILE                every line of the trace through the module
 *   weir-guest table FILE SEED COUNT     the hash of results of a decoded snapshot
 *   weir-guest query SEED COUNT [CPU]    the same of the active generation, pinned
 *   weir-guest splat                     has the module use RCU without its lock, once
 *   weir-guest exit STATUS               ends QEMU by its isa-debug-exit device
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/socket.h>
#include <unistd.h>
#include "weir_uapi.h"

#define PIECE 32768
#define DEBUGFS "/sys/kernel/debug/weir_test/"

static int sock;
static uint16_t family;
static uint32_t sequence;
static unsigned char message[70000], answer[70000];
static size_t used;

static void die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	exit(1);
}

static void begin(uint16_t type, uint16_t flags, uint8_t command)
{
	struct nlmsghdr *head = (struct nlmsghdr *)message;
	struct genlmsghdr *generic = NLMSG_DATA(head);

	memset(message, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	head->nlmsg_seq = ++sequence;
	generic->cmd = command;
	generic->version = 1;
	used = NLMSG_HDRLEN + GENL_HDRLEN;
}

static void put(uint16_t type, const void *data, size_t length)
{
	struct nlattr *attr = (struct nlattr *)(message + used);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + length;
	memcpy((unsigned char *)attr + NLA_HDRLEN, data, length);
	memset((unsigned char *)attr + attr->nla_len, 0, NLA_ALIGN(attr->nla_len) - attr->nla_len);
	used += NLA_ALIGN(attr->nla_len);
}

static void put32(uint16_t type, uint32_t value)
{
	put(type, &value, sizeof(value));
}

static void send_message(void)
{
	((struct nlmsghdr *)message)->nlmsg_len = used;
	if (send(sock, message, used, 0) < 0)
		die("send: %s", strerror(errno));
}

/* Calls `each` for every attribute of every answer; the error of the kernel's acknowledgement, 0 for none. */
static int receive(void (*each)(const struct nlattr *attr))
{
	for (;;) {
		ssize_t got = recv(sock, answer, sizeof(answer), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)answer;

		if (got < 0)
			die("recv: %s", strerror(errno));
		for (; NLMSG_OK(head, got); head = NLMSG_NEXT(head, got)) {
			unsigned char *at = (unsigned char *)head + NLMSG_HDRLEN + GENL_HDRLEN;
			unsigned char *end = (unsigned char *)head + head->nlmsg_len;

			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
			while (at + NLA_HDRLEN <= end) {
				struct nlattr *attr = (struct nlattr *)at;

				if (each)
					each(attr);
				at += NLA_ALIGN(attr->nla_len);
			}
		}
	}
}

static const void *data_of(const struct nlattr *attr)
{
	return (const unsigned char *)attr + NLA_HDRLEN;
}

static void take_family(const struct nlattr *attr)
{
	if ((attr->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_FAMILY_ID)
		memcpy(&family, data_of(attr), sizeof(family));
}

static void open_socket(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)))
		die("netlink: %s", strerror(errno));
	begin(GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY);
	put(CTRL_ATTR_FAMILY_NAME, WEIR_GENL_NAME, sizeof(WEIR_GENL_NAME));
	send_message();
	if (receive(take_family) || !family)
		die("no netlink family " WEIR_GENL_NAME);
}

#define FUNCTIONS 3

static struct status {
	uint32_t function, generation, previous, checksum;
	uint64_t lost;
	struct weir_shares shares;
} row, rows[FUNCTIONS];

#define pacing rows[0]

static void take_status(const struct nlattr *attr)
{
	switch (attr->nla_type & NLA_TYPE_MASK) {
	case WEIR_A_FUNCTION:
		memset(&row, 0, sizeof(row));
		memcpy(&row.function, data_of(attr), 4);
		break;
	case WEIR_A_GENERATION:
		memcpy(&row.generation, data_of(attr), 4);
		break;
	case WEIR_A_PREVIOUS:
		memcpy(&row.previous, data_of(attr), 4);
		break;
	case WEIR_A_CHECKSUM:
		memcpy(&row.checksum, data_of(attr), 4);
		break;
	case WEIR_A_LOST:
		memcpy(&row.lost, data_of(attr), 8);
		break;
	case WEIR_A_SHARES:
		memcpy(&row.shares, data_of(attr), sizeof(row.shares));
		break;
	}
	if (row.function < FUNCTIONS)
		rows[row.function] = row;
}

static void get_status(void)
{
	memset(rows, 0, sizeof(rows));
	begin(family, NLM_F_DUMP, WEIR_CMD_STATUS);
	send_message();
	if (receive(take_status))
		die("status refused");
}

static unsigned char *read_file(const char *name, size_t *length)
{
	FILE *file = fopen(name, "rb");
	unsigned char *bytes = malloc(2 << 20);

	if (!file || !bytes)
		die("%s: %s", name, strerror(errno));
	*length = fread(bytes, 1, 2 << 20, file);
	fclose(file);
	return bytes;
}

/* What is active of the function that a file names. */
static uint32_t active_of(const unsigned char *bytes)
{
	return bytes[10] < FUNCTIONS ? rows[bytes[10]].generation : 0;
}

static int install(const unsigned char *bytes, size_t length, uint32_t expect)
{
	size_t at = 0;
	int err = 0;

	while (at < length && !err) {
		size_t piece = length - at < PIECE ? length - at : PIECE;

		begin(family, NLM_F_ACK, WEIR_CMD_INSTALL);
		put32(WEIR_A_OFFSET, (uint32_t)at);
		if (!at) {
			put32(WEIR_A_TOTAL, (uint32_t)length);
			put32(WEIR_A_EXPECT, expect);
		}
		put(WEIR_A_DATA, bytes + at, piece);
		send_message();
		err = receive(NULL);
		at += piece;
	}
	return err;
}

static int change(uint8_t command, uint16_t attribute, uint32_t value)
{
	get_status();
	begin(family, NLM_F_ACK, command);
	put32(WEIR_A_EXPECT, rows[attribute == WEIR_A_FUNCTION && value < FUNCTIONS ? value : 0].generation);
	put32(attribute, value);
	send_message();
	return receive(NULL);
}

static unsigned long counts[4];

static void take_sample(const struct nlattr *attr)
{
	const struct weir_sample *sample = data_of(attr);

	if ((attr->nla_type & NLA_TYPE_MASK) != WEIR_A_SAMPLE)
		return;
	if (attr->nla_len != NLA_HDRLEN + sizeof(*sample) || sample->source > WEIR_SOURCE_CONTROL || !sample->rate_bps ||
	    !sample->rtt_ns || !sample->duration_ns || (sample->source != WEIR_SOURCE_CONTROL && !sample->generation))
		die("a sample that cannot be");
	counts[0]++;
	counts[1 + sample->source]++;
}

static uint64_t next(uint64_t *state)
{
	uint64_t z;

	*state += 0x9E3779B97F4A7C15ULL;
	z = (*state ^ (*state >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

static uint32_t crc32c(const unsigned char *at, size_t length)
{
	uint32_t crc = ~0U;

	while (length--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
	}
	return ~crc;
}

/*
 * One message that must change nothing: attributes of any type, length and content for any command; or an installation in a
 * valid form of a file that is damaged, half of them with a right checksum. A right EXPECT goes only with a damaged file.
 */
static void fuzz_one(uint64_t *rng, const unsigned char *file, size_t length)
{
	uint64_t draw = next(rng);
	uint32_t expect = pacing.generation;

	if (draw % 4 == 0 && length <= PIECE) {
		unsigned char copy[PIECE];

		memcpy(copy, file, length);
		/* Every field up to the name, or the numbers: with a right checksum only where no decoder takes it. */
		if (draw >> 8 & 1) {
			static const struct { size_t at; unsigned char value; } wrong[] = {
				{ 8, 2 }, { 10, 9 }, { 11, 9 }, { 12, 3 }, { 13, 0 }, { 13, 9 }, { 14, 31 }, { 16, 0 }, { 24, 0 },
				{ 28, 0 }, { 59, 1 }, { 63, 0x7f }, { 76, 63 },
			};
			size_t pick = next(rng) % (sizeof(wrong) / sizeof(*wrong));
			uint32_t crc;

			copy[wrong[pick].at] = wrong[pick].value;
			crc = crc32c(copy, length - 4);
			memcpy(copy + length - 4, &crc, 4);
		} else {
			copy[next(rng) % length] ^= 1 << (next(rng) % 8);
		}
		install(copy, length, expect);
		return;
	}
	begin(family, NLM_F_ACK | (draw >> 16 & 7 ? 0 : NLM_F_DUMP), draw % 12);
	((struct genlmsghdr *)NLMSG_DATA((struct nlmsghdr *)message))->version = draw >> 24 & 3;
	for (unsigned count = draw >> 32 & 7; count; count--) {
		unsigned char bytes[256];
		size_t size = next(rng) % 10 ? (next(rng) % 5) * 4 : next(rng) % sizeof(bytes);
		uint16_t type = next(rng) % (WEIR_A_MAX + 3);

		for (size_t i = 0; i < size; i++)
			bytes[i] = next(rng) % 3 ? next(rng) : 0;
		/* What would be a valid change of settings or of what is published is no fuzz. */
		if (type == WEIR_A_SHARES && size == sizeof(struct weir_shares))
			size = 4;
		if (type == WEIR_A_EXPECT && size >= 4 && !memcmp(bytes, &expect, 4))
			bytes[3] ^= 0x40;
		put(type, bytes, size);
	}
	/* A length that lies, at times: of the last attribute or of the message. */
	if (draw >> 40 & 1 && used > NLMSG_HDRLEN + GENL_HDRLEN + 4)
		message[NLMSG_HDRLEN + GENL_HDRLEN] ^= next(rng);
	send_message();
	receive(NULL);
}

static void fuzz(unsigned long count, uint64_t seed, const char *name)
{
	size_t length;
	unsigned char *file = read_file(name, &length);
	uint64_t rng = seed;

	get_status();
	struct status before[FUNCTIONS];

	memcpy(before, rows, sizeof(rows));
	for (unsigned long at = 0; at < count; at++) {
		fuzz_one(&rng, file, length);
		if (at % 64 == 0 || at + 1 == count) {
			get_status();
			if (memcmp(before, rows, sizeof(rows)))
				die("message %lu of seed %llu or one of the 64 before it changed something", at,
				    (unsigned long long)seed);
		}
	}
	if (install(file, length, pacing.generation))
		die("after %lu messages the good file is refused", count);
	printf("%lu messages changed nothing\n", count);
}

/* Writes `in` to a file of weir_test and reads its answer. */
static size_t ask(int file, const char *in, size_t length, char *out, size_t size)
{
	ssize_t got;

	if (pwrite(file, in, length, 0) != (ssize_t)length)
		die("weir_test: %s", strerror(errno));
	got = pread(file, out, size - 1, 0);
	if (got < 0)
		die("weir_test: %s", strerror(errno));
	out[got] = 0;
	return (size_t)got;
}

static int open_test(const char *name, int flags)
{
	int file = open(name, flags);

	if (file < 0)
		die("%s: %s", name, strerror(errno));
	return file;
}

static void trace(const char *name)
{
	static char line[4096], out[4096];
	FILE *file = fopen(name, "r");
	int test = open_test(DEBUGFS "trace", O_RDWR);
	unsigned long number = 0;

	if (!file)
		die("%s: %s", name, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '#' || !line[0])
			continue;
		ask(test, line, strlen(line), out, sizeof(out));
		if (strcmp(line, out))
			die("line %lu: meant \"%s\", the module gives \"%s\"", number, line, out);
	}
	printf("%lu lines of the trace agree\n", number);
}

static void hash_of(const char *node, const char *seed, const char *count)
{
	char text[64], out[64];

	snprintf(text, sizeof(text), "%s %s", seed, count);
	ask(open_test(node, O_RDWR), text, strlen(text), out, sizeof(out));
	puts(out);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	int err = 0;

	if (!strcmp(command, "exit")) {
		/* QEMU ends with (value << 1) | 1. */
		if (iopl(3))
			die("iopl: %s", strerror(errno));
		outb(16 + atoi(argv[2]), 0xf4);
		return 1;
	}
	if (!strcmp(command, "splat")) {
		return write(open_test(DEBUGFS "splat", O_WRONLY), "1", 1) == 1 ? 0 : 1;
	}
	if (!strcmp(command, "trace")) {
		trace(argv[2]);
		return 0;
	}
	if (!strcmp(command, "table")) {
		size_t length;
		unsigned char *bytes = read_file(argv[2], &length);
		int file = open_test(DEBUGFS "snapshot", O_WRONLY);

		if (write(file, bytes, length) != (ssize_t)length)
			die("%s: %s", argv[2], strerror(errno));
		hash_of(DEBUGFS "table", argv[3], argv[4]);
		return 0;
	}
	if (!strcmp(command, "query")) {
		if (argc > 4) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(atoi(argv[4]), &set);
			if (sched_setaffinity(0, sizeof(set), &set))
				die("CPU %s: %s", argv[4], strerror(errno));
		}
		hash_of(DEBUGFS "query", argv[2], argv[3]);
		return 0;
	}
	open_socket();
	get_status();
	if (!strcmp(command, "status")) {
		printf("%u %08x %u %llu %u\n", pacing.generation, pacing.checksum, pacing.previous,
		       (unsigned long long)pacing.lost, pacing.shares.control);
	} else if (!strcmp(command, "install")) {
		size_t length;
		unsigned char *bytes = read_file(argv[2], &length);

		err = install(bytes, length, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : active_of(bytes));
	} else if (!strcmp(command, "activate")) {
		err = change(WEIR_CMD_ACTIVATE, WEIR_A_CHECKSUM, (uint32_t)strtoul(argv[2], NULL, 16));
	} else if (!strcmp(command, "rollback")) {
		err = change(WEIR_CMD_ROLLBACK, WEIR_A_FUNCTION, 0);
	} else if (!strcmp(command, "withdraw")) {
		err = change(WEIR_CMD_WITHDRAW, WEIR_A_FUNCTION, argc > 2 ? (uint32_t)atoi(argv[2]) : 0);
	} else if (!strcmp(command, "shares")) {
		struct weir_shares shares = { atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]) };

		begin(family, NLM_F_ACK, WEIR_CMD_SETTINGS);
		put(WEIR_A_SHARES, &shares, sizeof(shares));
		send_message();
		err = receive(NULL);
	} else if (!strcmp(command, "samples")) {
		begin(family, NLM_F_DUMP, WEIR_CMD_SAMPLES);
		send_message();
		err = receive(take_sample);
		printf("%lu %lu %lu %lu\n", counts[0], counts[1], counts[2], counts[3]);
	} else if (!strcmp(command, "swap")) {
		unsigned long count = strtoul(argv[2], NULL, 10);
		size_t length[2];
		unsigned char *file[2] = { read_file(argv[3], &length[0]), read_file(argv[4], &length[1]) };

		for (unsigned long at = 0; at < count && !err; at++) {
			err = install(file[at % 2], length[at % 2], active_of(file[at % 2]));
			get_status();
		}
	} else if (!strcmp(command, "fuzz")) {
		fuzz(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argv[4]);
	} else {
		die("no such command: %s", command);
	}
	if (err)
		die("%s: %s", command, strerror(-err));
	return 0;
}
