/*
 * tests/fault/sweep-model.h - SweepModel: what each byte of a disk may be.
 *
 * Each write writes one value, from 0 to 31, everywhere, so the values that a
 * byte may have are a set of bits: one for a byte whose last write succeeded,
 * more after failed ones, until somebody reads it (docs/durability.md, C6).  A
 * second set says what the byte may be after a power cut (C2, C3).
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWEEP_VALUES 32U

typedef struct SweepModel {
    uint64_t size;
    uint32_t *may;
    uint32_t *durable;
    uint32_t *flushing; /* what a flush has to make durable */
} SweepModel;

void sweep_model_init(SweepModel *m, uint64_t size);
void sweep_model_done(SweepModel *m);
/* Each byte has this value, durably. */
void sweep_model_reset(SweepModel *m, uint8_t value);

/* A write begins, and succeeds; durable: with FUA. */
void sweep_model_begin(SweepModel *m, uint64_t offset, uint64_t bytes,
                       uint8_t value);
void sweep_model_written(SweepModel *m, uint64_t offset, uint64_t bytes,
                         uint8_t value, bool durable);
/* A flush begins, and succeeds. */
void sweep_model_flush(SweepModel *m);
void sweep_model_flushed(SweepModel *m);

/* Somebody read these bytes, which fixes them.  False: and *ret is where there
 * is a wrong one. */
bool sweep_model_read(SweepModel *m, uint64_t offset, const uint8_t *buf,
                      size_t bytes, uint64_t *ret);
/* The same for what is left after a power cut, all of it. */
bool sweep_model_survives(const SweepModel *m, const uint8_t *buf,
                          uint64_t *ret);
