/*
 * tests/unit/blockcore/test-graph.h - one graph of fake drivers, which the
 * tests of graphs share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "blockcore/graph.h"

extern BlkGraph *test_graph;

/* A new graph; @log: which calls of drivers are written down (FakeLog). */
void test_graph_begin(unsigned log);
/* Close what is open: without an error, and nothing stays. */
void coroutine_fn test_graph_co_end(void);
/* Delete a node, or expect an error with exactly this code and text. */
void coroutine_fn test_graph_co_del(const char *name);
void coroutine_fn test_graph_co_del_fails(const char *name, int code,
                                          const char *message);
