/*
 * drivers/fault-rules.c - what the rules of "fault" make of a request.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "drivers/fault-priv.h"
#include "drivers/fault.h"

/* ---- chance ---- */

/* splitmix64, by Sebastiano Vigna; public domain. */
static uint64_t
fault_next(Fault *fault)
{
    uint64_t z = fault->random += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t
fault_random(Fault *fault, uint64_t max)
{
    return 1 + fault_next(fault) % max;
}

/* ---- judgement ---- */

void
fault_arm(Fault *fault, const char *event)
{
    for (unsigned i = 0; i < fault->rules->len; i++) {
        FaultRule *rule = &g_array_index(fault->rules, FaultRule, i);

        if (rule->event != 0 &&
            strcmp(fault_event_names[rule->event], event) == 0) {
            rule->armed = true;
        }
    }
}

static bool
fault_rule_has_op(const FaultRule *rule, FaultOp op)
{
    return rule->op == (int)op || (rule->op < 0 && op != FAULT_STATUS);
}

/* Does the rule act on this request?  Counts. */
static bool
fault_rule_acts(Fault *fault, FaultRule *rule, FaultOp op, BlkRange range)
{
    if (!rule->armed || rule->spent || !fault_rule_has_op(rule, op) ||
        (op != FAULT_FLUSH && !blk_range_overlaps(rule->range, range))) {
        return false;
    }
    rule->n_matches++;
    if (rule->n_matches < rule->nth ||
        fault_random(fault, 1000000) > rule->probability_ppm) {
        return false;
    }
    rule->spent = rule->once;
    return true;
}

FaultVerdict
fault_judge(Fault *fault, FaultOp op, BlkRange range)
{
    FaultVerdict verdict = { .delay_ns = fault->delay_ns[op] };

    for (unsigned i = 0; i < fault->rules->len && verdict.err == 0; i++) {
        FaultRule *rule = &g_array_index(fault->rules, FaultRule, i);

        if (fault_rule_acts(fault, rule, op, range)) {
            verdict.delay_ns += rule->delay_ns;
            verdict.err = -rule->err;
            verdict.immediately = rule->immediately;
            verdict.short_io = verdict.short_io || rule->short_io;
        }
    }
    return verdict;
}

bool
fault_touches(const Fault *fault, FaultOp op)
{
    for (unsigned i = 0; i < fault->rules->len; i++) {
        const FaultRule *rule = &g_array_index(fault->rules, FaultRule, i);

        if (fault_rule_has_op(rule, op) ||
            strcmp(fault_event_names[rule->event], fault_op_names[op]) == 0) {
            return true;
        }
    }
    return fault->delay_ns[op] > 0 || !ash_list_is_empty(&fault->breaks);
}
