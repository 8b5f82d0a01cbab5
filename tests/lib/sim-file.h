/*
 * tests/lib/sim-file.h - the files of a SimDisk, as the host sees them.
 *
 * Layer:   tests/lib.      Thread: the world's.
 * Method:  sim-disk.c, sim-fault.c.      Tests: tests/unit/sim/test-sim-disk.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/sim-disk.h"

/* A new file of this size, all hole, durable. */
void sim_disk_create(SimDisk *disk, const char *name, uint64_t size);
/* The visible contents; zeros past the end. */
void sim_disk_peek(SimDisk *disk, const char *name, uint64_t offset, void *buf,
                   size_t bytes);
/* Durable contents, before anybody has opened the file. */
void sim_disk_poke(SimDisk *disk, const char *name, uint64_t offset,
                   const void *buf, size_t bytes);
/* Has the host told somebody of the last data of this file that it lost? */
bool sim_disk_has_told(SimDisk *disk, const char *name);
/* The host drops what it has cached of a file and could not write back. */
void sim_disk_drop_lost(SimDisk *disk, const char *name);
