/*
 * tests/unit/blockcore/fake.h - drivers that do nothing and write down what is
 * asked of them.
 *
 * "leaf" has no child.  "filter" has "file" (FILTERED).  "format" has "file"
 * (DATA and METADATA) and, optionally, "backing".  "window" has "file" (DATA).
 * "writeless" is a leaf that can't write.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "blockcore/graph.h"
#include "blockcore/node-priv.h"

extern const BlkDriver *const fake_drivers[];

/* What is asked: one word per call and the node's name, separated by blanks:
 * "open:a check:b[rw/r] ...".  Which calls are written down: */
typedef enum {
    FAKE_LOG_LIFE = 1, /* open, close */
    FAKE_LOG_PERM = 2, /* check, set, abort, with permission and shared */
    FAKE_LOG_FLUSH = 4,
    FAKE_LOG_LOOP = 8, /* detach, attach */
} FakeLog;

typedef struct Fake {
    unsigned log;
    GString *text;
    unsigned n_open;    /* drivers that are open now */
    unsigned n_checked; /* checks with neither set nor abort yet */
    unsigned n_checks;
    unsigned fail_check;  /* this many checks from now one fails; 0: none */
    unsigned fail_open;   /* the same for opens */
    unsigned fail_attach; /* the same for attach_loop */
    int flush_error;      /* of every flush of a leaf */
    bool yield;           /* wait a turn in every call */
    bool slow_open;       /* wait a while in open */
} Fake;
extern Fake fake;

/* Forget everything. */
void fake_reset(unsigned log);
/* The text so far, which is empty afterwards. */
#define fake_assert_log(expected)                        \
    do {                                                 \
        g_assert_cmpstr(fake.text->str, ==, (expected)); \
        g_string_truncate(fake.text, 0);                 \
    } while (0)

/* "driver=leaf,node-name=a" to options, all KEYVAL; a value of "null" is
 * NULL. */
BlkOptions *fake_options(const char *text);
/* Add, or expect an error with exactly this code and text. */
BlkNode *coroutine_fn fake_co_add(BlkGraph *graph, const char *text);
void coroutine_fn fake_co_add_fails(BlkGraph *graph, const char *text, int code,
                                    const char *message);
unsigned fake_n_nodes(BlkGraph *graph);

/* A Blk that is only there to hold an edge. */
void fake_blk_init(Blk *blk, const char *description);
