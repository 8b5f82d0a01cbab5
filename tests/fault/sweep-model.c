/*
 * tests/fault/sweep-model.c - see tests/fault/sweep-model.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/fault/sweep-model.h"

#include <glib.h>
#include <string.h>

static uint32_t
sweep_bit(uint8_t value)
{
    return value < SWEEP_VALUES ? (uint32_t)1 << value : 0;
}

void
sweep_model_init(SweepModel *m, uint64_t size)
{
    m->size = size;
    m->may = g_new(uint32_t, size);
    m->durable = g_new(uint32_t, size);
    m->flushing = g_new(uint32_t, size);
}

void
sweep_model_done(SweepModel *m)
{
    g_free(m->may);
    g_free(m->durable);
    g_free(m->flushing);
}

void
sweep_model_reset(SweepModel *m, uint8_t value)
{
    for (uint64_t i = 0; i < m->size; i++) {
        m->may[i] = sweep_bit(value);
    }
    memcpy(m->durable, m->may, m->size * sizeof(*m->may));
}

void
sweep_model_begin(SweepModel *m, uint64_t offset, uint64_t bytes, uint8_t value)
{
    for (uint64_t i = offset; i < offset + bytes; i++) {
        m->may[i] |= sweep_bit(value);
        m->durable[i] |= sweep_bit(value);
    }
}

void
sweep_model_written(SweepModel *m, uint64_t offset, uint64_t bytes,
                    uint8_t value, bool durable)
{
    for (uint64_t i = offset; i < offset + bytes; i++) {
        m->may[i] = sweep_bit(value);
        if (durable) {
            m->durable[i] = sweep_bit(value);
        }
    }
}

void
sweep_model_flush(SweepModel *m)
{
    memcpy(m->flushing, m->may, m->size * sizeof(*m->may));
}

void
sweep_model_flushed(SweepModel *m)
{
    memcpy(m->durable, m->flushing, m->size * sizeof(*m->flushing));
}

bool
sweep_model_read(SweepModel *m, uint64_t offset, const uint8_t *buf,
                 size_t bytes, uint64_t *ret)
{
    for (size_t i = 0; i < bytes; i++) {
        uint32_t bit = sweep_bit(buf[i]);

        if (!(m->may[offset + i] & bit)) {
            *ret = offset + i;
            return false;
        }
        m->may[offset + i] = bit;
    }
    return true;
}

bool
sweep_model_survives(const SweepModel *m, const uint8_t *buf, uint64_t *ret)
{
    for (uint64_t i = 0; i < m->size; i++) {
        if (!(m->durable[i] & sweep_bit(buf[i]))) {
            *ret = i;
            return false;
        }
    }
    return true;
}
