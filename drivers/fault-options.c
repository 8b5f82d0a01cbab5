/*
 * drivers/fault-options.c - the options of "fault".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>

#include "base/assert.h"
#include "drivers/fault-priv.h"
#include "drivers/fault.h"

const char *const fault_event_names[] = {
    "none",
    /* of this node's own requests, in the order of FaultOp */
    "read",
    "write",
    "write-zeroes",
    "discard",
    "flush",
    "block-status",
    /* of the core */
    "pwritev",
    "pwritev_done",
    "pwritev_rmw_after_head",
    "pwritev_rmw_after_tail",
    "pwritev_rmw_head",
    "pwritev_rmw_tail",
    "pwritev_zero",
    "flush_to_disk",
    "flush_to_os",
    NULL,
};

const char *const fault_op_names[] = { "read",    "write", "write-zeroes",
                                       "discard", "flush", "block-status",
                                       NULL };

const BlkOptionSpec fault_options[] = {
    {
        .name = "file",
        .type = BLK_OPT_NODE,
        .required = true,
        .help = "where requests go that nothing happens to",
    },
    {
        .name = "inject-error.N.event",
        .type = BLK_OPT_ENUM,
        .values = fault_event_names,
        .fallback = "none",
        .help = "the rule begins to count when this has happened",
    },
    {
        .name = "inject-error.N.iotype",
        .type = BLK_OPT_ENUM,
        .values = fault_op_names,
        .help = "only requests of this kind; without it, all but "
                "block-status",
    },
    {
        .name = "inject-error.N.errno",
        .type = BLK_OPT_UINT,
        .help = "the error, as a number; without it EIO, or none if the rule "
                "delays or splits",
    },
    {
        .name = "inject-error.N.sector",
        .type = BLK_OPT_UINT,
        .help = "only requests that touch this sector of 512 bytes",
    },
    {
        .name = "inject-error.N.offset",
        .type = BLK_OPT_SIZE,
        .help = "only requests that touch the range that begins here",
    },
    {
        .name = "inject-error.N.bytes",
        .type = BLK_OPT_SIZE,
        .help = "length of that range; without it, up to the end",
    },
    {
        .name = "inject-error.N.nth",
        .type = BLK_OPT_UINT,
        .fallback = "1",
        .help = "the first match to act on, and all after it",
    },
    {
        .name = "inject-error.N.probability-ppm",
        .type = BLK_OPT_UINT,
        .fallback = "1000000",
        .help = "act on so many of a million matches, by chance",
    },
    {
        .name = "inject-error.N.once",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "act on one match only",
    },
    {
        .name = "inject-error.N.immediately",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "fail at once, without waiting for the loop's next turn",
    },
    {
        .name = "inject-error.N.delay-ns",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "nanoseconds to wait first",
    },
    {
        .name = "inject-error.N.short",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "send reads and writes on in random pieces",
    },
    {
        .name = "delay-ns.read",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "nanoseconds that each read waits first",
    },
    {
        .name = "delay-ns.write",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "the same for writes",
    },
    {
        .name = "delay-ns.write-zeroes",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "the same for writes of zeros",
    },
    {
        .name = "delay-ns.discard",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "the same for discards",
    },
    {
        .name = "delay-ns.flush",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "the same for flushes",
    },
    {
        .name = "delay-ns.block-status",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "the same for questions about status",
    },
    {
        .name = "drop-flush",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "flushes succeed and go nowhere",
    },
    {
        .name = "lie-flush",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "flushes that fail below are reported as good",
    },
    {
        .name = "seed",
        .type = BLK_OPT_UINT,
        .help = "of everything by chance; without it, a new one each time",
    },
    {
        .name = "align",
        .type = BLK_OPT_SIZE,
        .help = "request alignment in bytes",
    },
    {
        .name = "max-transfer",
        .type = BLK_OPT_SIZE,
        .help = "largest read or write in bytes",
    },
    {
        .name = "opt-write-zero",
        .type = BLK_OPT_SIZE,
        .help = "alignment of writes of zeros",
    },
    {
        .name = "max-write-zero",
        .type = BLK_OPT_SIZE,
        .help = "largest write of zeros",
    },
    {
        .name = "opt-discard",
        .type = BLK_OPT_SIZE,
        .help = "alignment of discards",
    },
    {
        .name = "max-discard",
        .type = BLK_OPT_SIZE,
        .help = "largest discard",
    },
    { .name = NULL },
};

/* ---- options ---- */

static const BlkOptionSpec *
fault_spec(const char *name)
{
    const BlkOptionSpec *spec = blk_option_find(fault_options, name);

    ash_assert(spec);
    return spec;
}

/* The spec of a rule's option @name, for options without their prefix. */
static BlkOptionSpec
fault_rule_spec(const char *name)
{
    g_autofree char *full = g_strconcat("inject-error.N.", name, NULL);
    BlkOptionSpec spec = *fault_spec(full);

    spec.name = name;
    return spec;
}

static bool
fault_rule_uint(BlkOptions *opts, const char *name, uint64_t *ret,
                GError **error)
{
    BlkOptionSpec spec = fault_rule_spec(name);

    return blk_options_take_uint(opts, &spec, ret, error);
}

static bool
fault_rule_bool(BlkOptions *opts, const char *name, bool *ret, GError **error)
{
    BlkOptionSpec spec = fault_rule_spec(name);

    return blk_options_take_bool(opts, &spec, ret, error);
}

static bool
fault_rule_enum(BlkOptions *opts, const char *name, int *ret, GError **error)
{
    BlkOptionSpec spec = fault_rule_spec(name);

    return blk_options_take_enum(opts, &spec, ret, error);
}

static bool
fault_set_error(const BlkOptions *opts, const char *key, const char *text,
                GError **error)
{
    g_autofree char *full = blk_options_full_key(opts, key);

    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "option '%s': %s", full,
                text);
    return false;
}

/* "sector", or "offset" and "bytes", or everything. */
static bool
fault_take_range(BlkOptions *opts, BlkRange *ret, GError **error)
{
    bool has_sector = blk_options_has(opts, "sector");
    bool has_offset = blk_options_has(opts, "offset");
    bool has_bytes = blk_options_has(opts, "bytes");
    uint64_t sector;
    uint64_t offset;
    uint64_t bytes;

    if (!fault_rule_uint(opts, "sector", &sector, error) ||
        !fault_rule_uint(opts, "offset", &offset, error) ||
        !fault_rule_uint(opts, "bytes", &bytes, error)) {
        return false;
    }
    if (has_sector && (has_offset || has_bytes)) {
        return fault_set_error(opts, "sector",
                               "not together with offset or bytes", error);
    }
    if (has_sector) {
        if (sector > INT64_MAX / 512 - 1) {
            return fault_set_error(opts, "sector", "too large", error);
        }
        *ret = blk_range(sector * 512, 512);
        return true;
    }
    if (!has_bytes) {
        bytes = INT64_MAX - offset;
    }
    if (!blk_range_validate(offset, bytes, ret)) {
        return fault_set_error(opts, "bytes", "too large", error);
    }
    return true;
}

/* The error number; its default depends on what else the rule does. */
static bool
fault_take_errno(BlkOptions *opts, FaultRule *rule, GError **error)
{
    bool given = blk_options_has(opts, "errno");
    uint64_t number;

    if (!fault_rule_uint(opts, "errno", &number, error)) {
        return false;
    }
    if (number > 4095) {
        return fault_set_error(opts, "errno", "not from 0 to 4095", error);
    }
    rule->err = (int)number;
    if (!given) {
        rule->err = rule->delay_ns > 0 || rule->short_io ? 0 : EIO;
    }
    return true;
}

static bool
fault_take_rule(BlkOptions *opts, FaultRule *rule, GError **error)
{
    if (!fault_rule_enum(opts, "event", &rule->event, error) ||
        !fault_rule_enum(opts, "iotype", &rule->op, error) ||
        !fault_take_range(opts, &rule->range, error) ||
        !fault_rule_uint(opts, "nth", &rule->nth, error) ||
        !fault_rule_uint(opts, "probability-ppm", &rule->probability_ppm,
                         error) ||
        !fault_rule_bool(opts, "once", &rule->once, error) ||
        !fault_rule_bool(opts, "immediately", &rule->immediately, error) ||
        !fault_rule_uint(opts, "delay-ns", &rule->delay_ns, error) ||
        !fault_rule_bool(opts, "short", &rule->short_io, error) ||
        !fault_take_errno(opts, rule, error)) {
        return false;
    }
    if (rule->nth == 0) {
        return fault_set_error(opts, "nth", "counts from 1", error);
    }
    if (rule->probability_ppm > 1000000) {
        return fault_set_error(opts, "probability-ppm", "not from 0 to 1000000",
                               error);
    }
    rule->armed = rule->event == 0;
    return true;
}

/* "inject-error.0", "inject-error.1", ..., without a gap. */
static bool
fault_take_rules(Fault *fault, BlkOptions *opts, GError **error)
{
    g_autoptr(BlkOptions) list = blk_options_take_prefix(opts, "inject-error");

    for (unsigned i = 0;; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        g_autoptr(BlkOptions) element = blk_options_take_prefix(list, index);
        FaultRule rule = { 0 };

        if (blk_options_is_empty(element)) {
            break;
        }
        if (!fault_take_rule(element, &rule, error)) {
            return false;
        }
        g_array_append_val(fault->rules, rule);
    }
    if (!blk_options_is_empty(list)) {
        return fault_set_error(list, blk_options_first_key(list),
                               "rules are numbered from 0 without a gap",
                               error);
    }
    return true;
}

static bool
fault_take_uint(BlkOptions *opts, const char *name, uint64_t *ret,
                GError **error)
{
    return blk_options_take_uint(opts, fault_spec(name), ret, error);
}

static bool
fault_take_u32(BlkOptions *opts, const char *name, uint32_t *ret,
               GError **error)
{
    uint64_t value;

    if (!fault_take_uint(opts, name, &value, error)) {
        return false;
    }
    if (value > UINT32_MAX) {
        return fault_set_error(opts, name, "too large", error);
    }
    *ret = (uint32_t)value;
    return true;
}

static bool
fault_take_delays(Fault *fault, BlkOptions *opts, GError **error)
{
    for (int i = 0; i < FAULT_N_OPS; i++) {
        g_autofree char *name =
            g_strconcat("delay-ns.", fault_op_names[i], NULL);

        if (!fault_take_uint(opts, name, &fault->delay_ns[i], error)) {
            return false;
        }
    }
    return true;
}

bool
fault_take_options(Fault *fault, BlkOptions *opts, GError **error)
{
    bool has_seed = blk_options_has(opts, "seed");
    BlkLimits *l = &fault->limits;

    if (!fault_take_rules(fault, opts, error) ||
        !fault_take_delays(fault, opts, error) ||
        !blk_options_take_bool(opts, fault_spec("drop-flush"),
                               &fault->drop_flush, error) ||
        !blk_options_take_bool(opts, fault_spec("lie-flush"), &fault->lie_flush,
                               error) ||
        !fault_take_uint(opts, "seed", &fault->random, error) ||
        !fault_take_u32(opts, "align", &l->request_align, error) ||
        !fault_take_uint(opts, "max-transfer", &l->max_transfer, error) ||
        !fault_take_u32(opts, "opt-write-zero", &l->zero_align, error) ||
        !fault_take_uint(opts, "max-write-zero", &l->max_zero, error) ||
        !fault_take_u32(opts, "opt-discard", &l->trim_align, error) ||
        !fault_take_uint(opts, "max-discard", &l->max_trim, error)) {
        return false;
    }
    if (!has_seed) {
        fault->random = loop_random(loop_current());
    }
    return true;
}
