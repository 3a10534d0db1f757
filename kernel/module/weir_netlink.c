// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The generic netlink family "weir" (weir_uapi.h). Everything that changes something needs CAP_NET_ADMIN, as do the samples,
 * which a dump takes away; what changes a publication names the generation that it believes active. Whatever is refused
 * changes nothing.
 */
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/version.h>
#include <net/genetlink.h>
#include "weir_internal.h"

/* Formatted messages came with 6.2. */
#ifndef NL_SET_ERR_MSG_FMT_MOD
#define NL_SET_ERR_MSG_FMT_MOD(extack, format, ...) do {			\
	NL_SET_ERR_MSG_MOD(extack, "not a snapshot");				\
	pr_info_ratelimited("weir: " format "\n", __VA_ARGS__);			\
} while (0)
#endif

static struct genl_family weir_family;

static const struct weir_rule default_rule = { WEIR_RULE_DEFAULTS };

/* 1 as a double. */
#define DOUBLE_ONE 0x3ff0000000000000ULL
/* Scale and offset of each feature of whichever function has most. */
#define AFFINE_MAX (2 * WEIR_SIZE_INPUTS)

static const struct nla_policy weir_policy[WEIR_A_MAX + 1] = {
	[WEIR_A_FUNCTION] = NLA_POLICY_MAX(NLA_U32, WEIR_FUNCTIONS - 1),
	[WEIR_A_CHECKSUM] = { .type = NLA_U32 },
	[WEIR_A_TOTAL] = { .type = NLA_U32 },
	[WEIR_A_OFFSET] = { .type = NLA_U32 },
	[WEIR_A_DATA] = { .type = NLA_BINARY },
	[WEIR_A_EXPECT] = { .type = NLA_U32 },
	[WEIR_A_SHARES] = NLA_POLICY_EXACT_LEN(sizeof(struct weir_shares)),
	[WEIR_A_RULE] = NLA_POLICY_EXACT_LEN(sizeof(struct weir_rule)),
	[WEIR_A_AFFINE] = { .type = NLA_BINARY, .len = AFFINE_MAX * sizeof(u64) },
};

/* The file that is on its way; there is one, and a new first piece takes its place. Under weir_lock. */
static struct {
	u32 portid;
	u32 total;
	u32 filled;
	u32 expect;
	u8 *bytes;
	struct weir_rule rule;
	/* Numbers of the affine map that came; 0 for scale 1 and offset 0. */
	u32 affine_count;
	u64 affine[AFFINE_MAX];
} upload;

static void drop_upload(void)
{
	kvfree(upload.bytes);
	memset(&upload, 0, sizeof(upload));
}

static int answer(struct genl_info *info, u8 command, u32 generation)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	void *head;

	if (!skb)
		return -ENOMEM;
	head = genlmsg_put_reply(skb, info, &weir_family, 0, command);
	if (!head || nla_put_u32(skb, WEIR_A_GENERATION, generation)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, info);
}

/* The definitions that a table's schema hash must name: its first three inputs have the clips. */
static void spec_of(const struct weir_table *table, const struct weir_rule *rule, struct weir_spec *spec)
{
	u32 i;

	spec->rtt_floor_ns = rule->rtt_floor_ns;
	spec->interval_min_ns = rule->interval_min_ns;
	spec->interval_max_ns = rule->interval_max_ns;
	spec->interval_rtt_q8 = rule->interval_rtt_q8;
	spec->interval_packets_min = rule->interval_packets_min;
	for (i = 0; i < WEIR_FEATURES; i++) {
		spec->clips[i][0] = table->input[i].clip_lo;
		spec->clips[i][1] = table->input[i].clip_hi;
	}
}

/* Whether the schema that a table names is the one that came with it. */
static bool is_schema(const struct weir_table *table, const struct weir_spec *spec)
{
	u32 count = 2 * weir_features_of(table->function), i;

	if (!upload.affine_count)
		for (i = 0; i < count; i++)
			upload.affine[i] = i % 2 ? 0 : DOUBLE_ONE;
	else if (upload.affine_count != count)
		return false;
	return weir_schema_hash(table, spec, upload.affine) == table->schema_hash;
}

/* All that stands between a complete file and its publication. */
static int publish_upload(struct netlink_ext_ack *extack)
{
	struct weir_fault fault = { NULL, 0 };
	struct weir_table *table;
	struct weir_spec spec;
	int err;

	err = weir_table_decode(upload.bytes, upload.total, &table, &fault);
	if (err) {
		weir_count(refused_snapshot);
		NL_SET_ERR_MSG_FMT_MOD(extack, "not a snapshot: %s, at byte %u", fault.why ? fault.why : "memory", fault.at);
		return err;
	}
	if (!weir_runs(table->function, table->inputs, table->outputs)) {
		weir_count(refused_schema);
		NL_SET_ERR_MSG_MOD(extack, "no function of this core takes such a network");
		err = -EOPNOTSUPP;
	} else {
		spec_of(table, &upload.rule, &spec);
		if (!is_schema(table, &spec)) {
			weir_count(refused_schema);
			NL_SET_ERR_MSG_MOD(extack, "another schema than the rule and the scales that came with it");
			err = -EDOM;
		}
	}
	if (!err)
		err = weir_expected(table->function, upload.expect);
	if (!err)
		err = weir_publish_table(table, &spec);
	if (err < 0)
		weir_table_free(table);
	return err;
}

/* The first piece: how much is to come, and for whom. */
static int begin_upload(struct genl_info *info)
{
	u32 total;

	if (!info->attrs[WEIR_A_TOTAL] || !info->attrs[WEIR_A_EXPECT]) {
		NL_SET_ERR_MSG_MOD(info->extack, "the first piece says TOTAL and EXPECT");
		return -EINVAL;
	}
	total = nla_get_u32(info->attrs[WEIR_A_TOTAL]);
	if (!total || total > WEIR_FILE_MAX) {
		NL_SET_ERR_MSG_MOD(info->extack, "no snapshot is that long");
		return -EFBIG;
	}
	drop_upload();
	upload.bytes = kvmalloc(total, GFP_KERNEL);
	if (!upload.bytes)
		return -ENOMEM;
	upload.portid = info->snd_portid;
	upload.total = total;
	upload.expect = nla_get_u32(info->attrs[WEIR_A_EXPECT]);
	upload.rule = default_rule;
	if (info->attrs[WEIR_A_RULE])
		memcpy(&upload.rule, nla_data(info->attrs[WEIR_A_RULE]), sizeof(upload.rule));
	if (info->attrs[WEIR_A_AFFINE]) {
		upload.affine_count = (u32)nla_len(info->attrs[WEIR_A_AFFINE]) / sizeof(u64);
		memcpy(upload.affine, nla_data(info->attrs[WEIR_A_AFFINE]), upload.affine_count * sizeof(u64));
	}
	return 0;
}

static int take_piece(struct genl_info *info)
{
	struct nlattr *data = info->attrs[WEIR_A_DATA], *offset = info->attrs[WEIR_A_OFFSET];
	u32 length;
	int err;

	if (!data || !offset) {
		NL_SET_ERR_MSG_MOD(info->extack, "a piece has OFFSET and DATA");
		return -EINVAL;
	}
	if (!nla_get_u32(offset)) {
		err = begin_upload(info);
		if (err)
			return err;
	}
	length = (u32)nla_len(data);
	if (!upload.bytes || upload.portid != info->snd_portid || nla_get_u32(offset) != upload.filled ||
	    !length || length > upload.total - upload.filled) {
		NL_SET_ERR_MSG_MOD(info->extack, "not the next piece of an upload of this socket");
		return -ESTALE;
	}
	memcpy(upload.bytes + upload.filled, nla_data(data), length);
	upload.filled += length;
	if (upload.filled < upload.total)
		return 0;
	err = publish_upload(info->extack);
	drop_upload();
	return err;
}

static int do_install(struct sk_buff *skb, struct genl_info *info)
{
	int done;

	mutex_lock(&weir_lock);
	done = take_piece(info);
	mutex_unlock(&weir_lock);
	return done > 0 ? answer(info, WEIR_CMD_INSTALL, (u32)done) : done;
}

static int do_change(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *function = info->attrs[WEIR_A_FUNCTION], *checksum = info->attrs[WEIR_A_CHECKSUM];
	bool activate = info->genlhdr->cmd == WEIR_CMD_ACTIVATE;
	u32 expect;
	int done;

	if (!info->attrs[WEIR_A_EXPECT] || !(activate ? checksum : function)) {
		NL_SET_ERR_MSG_MOD(info->extack, "a change says EXPECT, and CHECKSUM or FUNCTION");
		return -EINVAL;
	}
	expect = nla_get_u32(info->attrs[WEIR_A_EXPECT]);
	mutex_lock(&weir_lock);
	if (activate) {
		done = weir_activate(nla_get_u32(checksum), expect);
	} else {
		done = weir_expected(nla_get_u32(function), expect);
		if (!done && info->genlhdr->cmd == WEIR_CMD_ROLLBACK)
			done = weir_rollback(nla_get_u32(function));
		else if (!done)
			done = weir_withdraw(nla_get_u32(function));
	}
	mutex_unlock(&weir_lock);
	return done < 0 ? done : answer(info, info->genlhdr->cmd, (u32)done);
}

static int do_settings(struct sk_buff *skb, struct genl_info *info)
{
	struct weir_shares shares;

	if (!info->attrs[WEIR_A_SHARES])
		return -EINVAL;
	memcpy(&shares, nla_data(info->attrs[WEIR_A_SHARES]), sizeof(shares));
	return weir_shares_set(&shares);
}

static int put_status(struct sk_buff *skb, struct netlink_callback *cb, u32 function)
{
	void *head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &weir_family, NLM_F_MULTI,
				 WEIR_CMD_STATUS);
	struct weir_shares shares = weir_shares_now();
	const struct weir_pair *pair;
	int err;

	if (!head)
		return -EMSGSIZE;
	mutex_lock(&weir_lock);
	pair = weir_pair_locked(function);
	err = nla_put_u32(skb, WEIR_A_FUNCTION, function) ||
	      nla_put_u32(skb, WEIR_A_GENERATION, pair ? pair->active->generation : 0) ||
	      nla_put_u32(skb, WEIR_A_PREVIOUS, pair && pair->previous ? pair->previous->generation : 0) ||
	      nla_put_u64_64bit(skb, WEIR_A_LOST, weir_samples_lost(), WEIR_A_PAD) ||
	      nla_put(skb, WEIR_A_SHARES, sizeof(shares), &shares);
	if (!err && pair)
		err = nla_put_string(skb, WEIR_A_NAME, pair->active->name) ||
		      nla_put_u32(skb, WEIR_A_CHECKSUM, pair->active->checksum) ||
		      nla_put_u64_64bit(skb, WEIR_A_SCHEMA, pair->active->schema_hash, WEIR_A_PAD);
	mutex_unlock(&weir_lock);
	if (err) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

static int dump_status(struct sk_buff *skb, struct netlink_callback *cb)
{
	while (cb->args[0] < WEIR_FUNCTIONS && !put_status(skb, cb, (u32)cb->args[0]))
		cb->args[0]++;
	return (int)skb->len;
}

/* At most a ring's worth to a dump: who pushes all the time does not keep it from ending. */
#define SAMPLES_PER_DUMP 4096

static int dump_samples(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct weir_sample sample;
	void *head;

	if (cb->args[0] >= SAMPLES_PER_DUMP || !weir_sample_oldest(&sample))
		return 0;
	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &weir_family, NLM_F_MULTI,
			   WEIR_CMD_SAMPLES);
	if (!head)
		return -EMSGSIZE;
	do {
		if (nla_put_64bit(skb, WEIR_A_SAMPLE, sizeof(sample), &sample, WEIR_A_PAD))
			break;
		weir_sample_taken();
	} while (++cb->args[0] < SAMPLES_PER_DUMP && weir_sample_oldest(&sample));
	genlmsg_end(skb, head);
	return (int)skb->len;
}

static const struct genl_ops weir_ops[] = {
	{ .cmd = WEIR_CMD_STATUS, .dumpit = dump_status },
	{ .cmd = WEIR_CMD_INSTALL, .doit = do_install, .flags = GENL_ADMIN_PERM },
	{ .cmd = WEIR_CMD_ACTIVATE, .doit = do_change, .flags = GENL_ADMIN_PERM },
	{ .cmd = WEIR_CMD_ROLLBACK, .doit = do_change, .flags = GENL_ADMIN_PERM },
	{ .cmd = WEIR_CMD_WITHDRAW, .doit = do_change, .flags = GENL_ADMIN_PERM },
	{ .cmd = WEIR_CMD_SAMPLES, .dumpit = dump_samples, .flags = GENL_ADMIN_PERM },
	{ .cmd = WEIR_CMD_SETTINGS, .doit = do_settings, .flags = GENL_ADMIN_PERM },
};

static struct genl_family weir_family __ro_after_init = {
	.name = WEIR_GENL_NAME,
	.version = WEIR_GENL_VERSION,
	.maxattr = WEIR_A_MAX,
	.policy = weir_policy,
	.module = THIS_MODULE,
	.ops = weir_ops,
	.n_ops = ARRAY_SIZE(weir_ops),
	.resv_start_op = __WEIR_CMD_MAX,
};

/* A socket that closes in the middle of an upload takes the upload with it. */
static int socket_closed(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC) {
		mutex_lock(&weir_lock);
		if (upload.bytes && upload.portid == notify->portid)
			drop_upload();
		mutex_unlock(&weir_lock);
	}
	return NOTIFY_DONE;
}

static struct notifier_block socket_notifier = { .notifier_call = socket_closed };

int weir_netlink_init(void)
{
	int err = netlink_register_notifier(&socket_notifier);

	if (err)
		return err;
	err = genl_register_family(&weir_family);
	if (err)
		netlink_unregister_notifier(&socket_notifier);
	return err;
}

void weir_netlink_exit(void)
{
	genl_unregister_family(&weir_family);
	netlink_unregister_notifier(&socket_notifier);
	mutex_lock(&weir_lock);
	drop_upload();
	mutex_unlock(&weir_lock);
}
