/*
 * tests/model/model-shadow.h - ModelShadow: what each byte of an export may be.
 *
 * Every modification is a version of its range, from the moment it is sent.  A
 * read may return, for each byte, any version that was sent before the read
 * was answered, unless a later one had made it past before the read was sent:
 * a version that was sent after the other had ended, and ended well.
 *
 * Layer:   tests/model.      Pure.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct ModelShadow ModelShadow;
typedef struct ModelVersion ModelVersion;

typedef enum {
    MODEL_WRITE,
    MODEL_ZERO,
    MODEL_TRIM, /* zeros or nothing, byte by byte */
} ModelKind;

typedef struct ModelChecked {
    uint64_t bytes;     /* compared */
    uint64_t ambiguous; /* of them: with several possible values */
} ModelChecked;

/* @take_contents: @size bytes. */
ModelShadow *model_shadow_new(uint64_t size, uint8_t *take_contents);
void model_shadow_free(ModelShadow *shadow);

/* A modification is about to be sent.  @take_data: of MODEL_WRITE. */
ModelVersion *model_shadow_begin(ModelShadow *shadow, ModelKind kind,
                                 uint64_t offset, uint64_t bytes,
                                 uint8_t *take_data);
/* It was answered; not @ok: it did all of it, a part, or nothing. */
void model_shadow_end(ModelShadow *shadow, ModelVersion *version, bool ok);

/* A read is about to be sent: what to pass to model_shadow_check(). */
uint64_t model_shadow_now(ModelShadow *shadow);
/* May a read that was sent at @since return @data (NULL: zeros)?  If not,
 * *ret_bad is the offset of a byte that it may not. */
bool model_shadow_check(ModelShadow *shadow, uint64_t offset, uint64_t bytes,
                        const uint8_t *data, uint64_t since, uint64_t *ret_bad);
/* Nothing is in flight, and all of the export was read: that is what is there
 * from now on. */
void model_shadow_settle(ModelShadow *shadow, const uint8_t *contents);
/* After it: the contents. */
const uint8_t *model_shadow_contents(const ModelShadow *shadow);

ModelChecked model_shadow_checked(const ModelShadow *shadow);
