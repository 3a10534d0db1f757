/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Replays a trace of events (docs/features.md, sections 10 and 14), line by line: each is written anew with the results that
 * weir_features.h, weir_brake.h, weir_longer.h, weir_sizes.h and weir_paths.h give. The same text in user space (kernel/emit's tests) and in
 * the kernel (weir_test.c).
 */
#ifndef WEIR_TRACE_H
#define WEIR_TRACE_H

#include "weir_brake.h"
#include "weir_longer.h"
#include "weir_paths.h"

#if defined(__KERNEL__)
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <stdio.h>
#include <string.h>
#endif

struct weir_trace {
	struct weir_spec spec;
	struct weir_interval mi;
	struct weir_base base;
	struct weir_history history;
	struct weir_brake brake;
	struct weir_longer longer;
	struct weir_peer peer;
};

#define WEIR_TRACE_NUMBERS 16

static inline void weir_trace_init(struct weir_trace *trace)
{
	memset(trace, 0, sizeof(*trace));
	weir_history_init(&trace->history);
}

/* One argument, or NULL where there is none before the results: negative numbers in two's complement, "-" as 0. */
static inline const char *weir_trace_number(const char *at, u64 *number, bool *none)
{
	bool negative;

	while (*at == ' ')
		at++;
	if (!*at || *at == '=')
		return NULL;
	negative = *at == '-';
	at += negative;
	*none = negative && (*at < '0' || *at > '9');
	for (*number = 0; *at >= '0' && *at <= '9'; at++)
		*number = *number * 10 + (u64)(*at - '0');
	if (negative)
		*number = 0 - *number;
	return at;
}

/* " =" and the numbers. */
static inline void weir_trace_row(char *out, size_t size, const s32 *row, u32 count)
{
	int used = snprintf(out, size, " =");
	u32 i;

	for (i = 0; i < count && (size_t)used < size; i++)
		used += snprintf(out + used, size - (size_t)used, " %d", row[i]);
}

/* An event of section 14; false for one of section 10. */
static inline bool weir_trace_decision(struct weir_trace *trace, const char *word, size_t length, const u64 *n,
				       const bool *none, char *out, size_t size)
{
	s32 row[WEIR_SIZE_INPUTS];

#define WEIR_EVENT(name) (length == sizeof(name) - 1 && !memcmp(word, name, length))
	if (WEIR_EVENT("brake-begin")) {
		memset(&trace->brake, 0, sizeof(trace->brake));
	} else if (WEIR_EVENT("brake")) {
		struct weir_outcome seen = { n[0], n[1], n[2], n[3], n[4], (u32)n[5] };

		weir_brake_observe(&trace->brake, &seen);
		snprintf(out, size, " = %llu", (u64)trace->brake.ceiling * 1000);
	} else if (WEIR_EVENT("longer-begin")) {
		memset(&trace->longer, 0, sizeof(trace->longer));
	} else if (WEIR_EVENT("longer")) {
		struct weir_base base = { n[4], n[0] };

		weir_longer_observe(&trace->longer, &base, n[0], n[1], n[2], n[3]);
		snprintf(out, size, " = %llu", base.min_mean_ns);
	} else if (WEIR_EVENT("peer-begin")) {
		memset(&trace->peer, 0, sizeof(trace->peer));
	} else if (WEIR_EVENT("flow-begin")) {
		weir_peer_begin(&trace->peer, n[0]);
	} else if (WEIR_EVENT("flow-end")) {
		weir_peer_end(&trace->peer, !none[0], n[0]);
	} else if (WEIR_EVENT("size")) {
		struct weir_first first = { (u16)n[0], (u16)n[1], n[2] == 1 };

		weir_size_row(&first, &trace->peer, n[3], row);
		weir_trace_row(out, size, row, WEIR_SIZE_INPUTS);
	} else if (WEIR_EVENT("log")) {
		snprintf(out, size, " = %d", weir_log2_1p(n[0]));
	} else if (WEIR_EVENT("bytes")) {
		snprintf(out, size, " = %llu", weir_bytes_of_log2((s32)n[0]));
	} else if (WEIR_EVENT("path")) {
		struct weir_path_signals path = {
			.rtt_ns = n[1],
			.base_rtt_ns = n[2],
			.in_flight = n[3],
			.sent_bps = n[4],
			.rate_bps = n[5],
			.sample_age_ns = none[6] ? WEIR_NEVER : n[6],
			.ecn = (u32)n[7],
			.loss = (u32)n[8],
			.rtt_gradient = (s32)n[9],
			.is_current = n[10] == 1,
		};
		struct weir_flow_signals flow = {
			.predicted = !none[11],
			.remaining = n[11],
			.sent = n[12],
			.gap_ns = none[13] ? WEIR_NEVER : n[13],
			.flowlet_ns = n[14],
		};

		weir_path_row(n[0], &path, &flow, row);
		weir_trace_row(out, size, row, WEIR_PATH_INPUTS);
	} else {
		return false;
	}
	return true;
#undef WEIR_EVENT
}

/* Replays `line` and writes it with its results to `out`. False for an event that does not exist. */
static inline bool weir_trace_line(struct weir_trace *trace, const char *line, char *out, size_t size)
{
	struct weir_interval *mi = &trace->mi;
	struct weir_base *base = &trace->base;
	const char *at = line + strcspn(line, " "), *next;
	size_t word = (size_t)(at - line);
	u64 n[WEIR_TRACE_NUMBERS] = { 0 };
	bool none[WEIR_TRACE_NUMBERS] = { false };
	u32 count = 0, i;
	int used;

	if (!word || *line == '#') {
		snprintf(out, size, "%s", line);
		return true;
	}
#define WEIR_EVENT(name) (word == sizeof(name) - 1 && !memcmp(line, name, word))
	while (count < WEIR_TRACE_NUMBERS && (next = weir_trace_number(at, &n[count], &none[count]))) {
		at = next;
		count++;
	}
	used = snprintf(out, size, "%.*s", (int)(at - line), line);
	if (used < 0 || (size_t)used >= size)
		return false;
	out += used;
	size -= (size_t)used;

	if (WEIR_EVENT("spec")) {
		trace->spec.rtt_floor_ns = n[0];
		trace->spec.interval_rtt_q8 = (u32)n[1];
		trace->spec.interval_packets_min = (u32)n[2];
		trace->spec.interval_min_ns = n[3];
		trace->spec.interval_max_ns = n[4];
		for (i = 0; i < WEIR_FEATURES; i++) {
			trace->spec.clips[i][0] = (s32)n[5 + 2 * i];
			trace->spec.clips[i][1] = (s32)n[6 + 2 * i];
		}
		/* The hash of the definitions has no part in the arithmetic: as it stands. */
		snprintf(out, size, "%s", at);
	} else if (WEIR_EVENT("flow")) {
		base->min_mean_ns = 0;
		base->last_mean_ns = 0;
		weir_history_init(&trace->history);
	} else if (WEIR_EVENT("open")) {
		u64 length = weir_interval_ns(&trace->spec, base, n[1], (u32)n[2]);

		weir_interval_open(mi, n[0], length);
		snprintf(out, size, " = %llu", length);
	} else if (WEIR_EVENT("send")) {
		weir_on_send(mi, (u32)n[0], 1);
	} else if (WEIR_EVENT("ack")) {
		weir_on_ack(mi, (u32)n[0]);
		if (!none[1])
			weir_on_rtt(mi, n[1]);
	} else if (WEIR_EVENT("loss")) {
		weir_on_loss(mi, (u32)n[0]);
	} else if (WEIR_EVENT("due")) {
		snprintf(out, size, " = %d", weir_interval_due(mi, n[0], &trace->spec));
	} else if (WEIR_EVENT("end")) {
		struct weir_report report;

		weir_interval_finish(mi, n[0], base, &trace->spec, &report);
		weir_history_push(&trace->history, report.features);
		used = snprintf(out, size, " = %d %d %d %llu", report.features[0], report.features[1],
				report.features[2], report.duration_ns);
		used += report.mean_rtt_ns ? snprintf(out + used, size - used, " %llu", report.mean_rtt_ns) :
					     snprintf(out + used, size - used, " -");
		snprintf(out + used, size - used, " %llu %llu %llu %u %llu %llu", mi->sent_bytes, mi->acked_bytes,
			 mi->lost_bytes, mi->rtt_samples, base->min_mean_ns, base->last_mean_ns);
	} else if (WEIR_EVENT("inputs")) {
		const char *space = " =";
		s32 inputs[WEIR_INPUTS];

		weir_history_inputs(&trace->history, inputs);
		/* Two spaces between rows. */
		for (i = 0; i < WEIR_INPUTS; i++) {
			used = snprintf(out, size, "%s %d", space, inputs[i]);
			out += used;
			size -= (size_t)used;
			space = i % WEIR_FEATURES == WEIR_FEATURES - 1 ? " " : "";
		}
	} else if (WEIR_EVENT("action")) {
		snprintf(out, size, " = %llu", weir_apply_action(n[0], (s32)n[1]));
	} else {
		return weir_trace_decision(trace, line, word, n, none, out, size);
	}
	return true;
#undef WEIR_EVENT
}

#endif
