/*
 * tests/fuzz/fuzz-world.h - a server in the simulated world, for one input.
 *
 * The real NBD server on a small memory disk, one connection, no kernel
 * object: what a target sends arrives in pieces that the input chooses, and
 * everything that comes back is handed to the target's checker.
 *
 * Exports: "" (1 MiB, writable), "ro" (read-only, with a description), and one
 * whose name is 4096 bytes long.
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/annotate.h"

#define FUZZ_DISK_BYTES ((uint64_t)1 << 20)

typedef struct FuzzTalk FuzzTalk;

/* Ends the run as a crash: the server's answer is against the protocol. */
ASH_NORETURN void fuzz_fail(const char *what, uint64_t got, uint64_t want);
#define FUZZ_CHECK(c, got, want)                              \
    do {                                                      \
        if (!(c)) {                                           \
            fuzz_fail(#c, (uint64_t)(got), (uint64_t)(want)); \
        }                                                     \
    } while (0)

/* Exactly @bytes of what the server says; false: it closed before. */
bool coroutine_fn fuzz_co_take(FuzzTalk *talk, void *buf, size_t bytes);

/**
 * fuzz_run() - one connection from accept to its end.
 * @data, @bytes: what the client sends, then it closes its direction
 * @piece:        largest piece that arrives at once, > 0
 * @co_check:     reads the server's side to the end
 * @arg:          its second argument
 */
void fuzz_run(const uint8_t *data, size_t bytes, uint32_t piece,
              void coroutine_fn (*co_check)(FuzzTalk *talk, void *arg),
              void *arg);
