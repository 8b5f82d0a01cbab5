/*
 * blockcore/options.h - BlkOptions: the dotted keys that describe a node, and
 * BlkOptionSpec: the table in which a driver declares its own.
 *
 * Keys are flat ("cache.direct", "file.filename"); values are text with the
 * kind that the source gave them.  Whoever understands an option takes it out;
 * what is left at the end is an error that names the key.
 *
 * Layer:   blockcore.      Control path.
 * Tests:   tests/unit/blockcore/test-options.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blockcore/types.h"

typedef enum {
    BLK_OPT_STRING,
    BLK_OPT_BOOL,
    BLK_OPT_SIZE, /* bytes, with suffix */
    BLK_OPT_UINT,
    BLK_OPT_ENUM,
    BLK_OPT_NODE, /* a child: a node's name, or options with this prefix */
} BlkOptionType;

typedef struct BlkOptionSpec {
    const char *name; /* "cache.direct" */
    BlkOptionType type;
    const char *const *values; /* ENUM: NULL-terminated */
    const char *fallback;      /* default as text, NULL: none */
    bool required;
    bool changeable;  /* by reopen */
    const char *help; /* one line, no final period */
} BlkOptionSpec;

/* How a value was written; JSON numbers and booleans are not strings. */
typedef enum {
    BLK_VALUE_KEYVAL, /* command line: any type, as text */
    BLK_VALUE_STRING,
    BLK_VALUE_NUMBER,
    BLK_VALUE_BOOL, /* text is "on" or "off" */
    BLK_VALUE_NULL,
} BlkValueKind;

BlkOptions *blk_options_new(void);
BlkOptions *blk_options_copy(const BlkOptions *opts);
void blk_options_free(BlkOptions *opts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlkOptions, blk_options_free)

/* A later set of the same key replaces the earlier. */
void blk_options_set(BlkOptions *opts, const char *key, BlkValueKind kind,
                     const char *value);
bool blk_options_has(const BlkOptions *opts, const char *key);
/* NULL when absent; borrowed until the key is taken. */
const char *blk_options_peek(const BlkOptions *opts, const char *key);

/* @key as the user wrote it, with the prefixes that were taken off; owned. */
char *blk_options_full_key(const BlkOptions *opts, const char *key);

/* The options below "@prefix.", with the prefix removed; taken out of @opts.
 * Empty when there are none. */
BlkOptions *blk_options_take_prefix(BlkOptions *opts, const char *prefix);
bool blk_options_is_empty(const BlkOptions *opts);
/* Any key that is left, NULL when empty.  In key order: the first. */
const char *blk_options_first_key(const BlkOptions *opts);

/*
 * Take one option by its spec: parsed, checked, or its default.
 * False and *error (CONFIG, names the key) if the value is not of its type or
 * a required one is missing.  An absent option without default gives NULL, 0,
 * false or -1 (enum) and true.
 */
bool blk_options_take_string(BlkOptions *opts, const BlkOptionSpec *spec,
                             char **ret, GError **error);
bool blk_options_take_bool(BlkOptions *opts, const BlkOptionSpec *spec,
                           bool *ret, GError **error);
bool blk_options_take_uint(BlkOptions *opts, const BlkOptionSpec *spec,
                           uint64_t *ret, GError **error);
bool blk_options_take_enum(BlkOptions *opts, const BlkOptionSpec *spec,
                           int *ret, GError **error);

/* The spec called @name in a table that ends with a NULL name. */
const BlkOptionSpec *blk_option_find(const BlkOptionSpec *table,
                                     const char *name);
