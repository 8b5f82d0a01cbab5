/*
 * tests/model/model-shadow.c - see tests/model/model-shadow.h.
 *
 * Method: the versions since the last settlement are a list in the order of
 * their beginning.  A check cuts its range where versions begin or end; in a
 * piece the same few versions count for each byte.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/model/model-shadow.h"

#include <glib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/iov.h"

#define MODEL_IN_FLIGHT UINT64_MAX

struct ModelVersion {
    ModelKind kind;
    uint64_t offset;
    uint64_t bytes;
    uint8_t *data; /* of MODEL_WRITE */
    uint64_t begun;
    uint64_t ended;
    bool ok;
};

struct ModelShadow {
    uint64_t size;
    uint8_t *base;
    GPtrArray *versions; /* of ModelVersion */
    uint64_t now;
    ModelChecked checked;
};

/* ---- versions ---- */

static void
model_version_free(gpointer p)
{
    ModelVersion *v = p;

    g_free(v->data);
    g_free(v);
}

ModelVersion *
model_shadow_begin(ModelShadow *s, ModelKind kind, uint64_t offset,
                   uint64_t bytes, uint8_t *take_data)
{
    ModelVersion *v = g_new0(ModelVersion, 1);

    ash_assert(offset <= s->size && bytes <= s->size - offset);
    v->kind = kind;
    v->offset = offset;
    v->bytes = bytes;
    v->data = take_data;
    v->begun = ++s->now;
    v->ended = MODEL_IN_FLIGHT;
    g_ptr_array_add(s->versions, v);
    return v;
}

void
model_shadow_end(ModelShadow *s, ModelVersion *v, bool ok)
{
    v->ended = ++s->now;
    v->ok = ok;
}

static const ModelVersion *
model_get(const GPtrArray *versions, unsigned i)
{
    return g_ptr_array_index(versions, i);
}

static bool
model_covers(const ModelVersion *v, uint64_t offset, uint64_t bytes)
{
    return v->offset < offset + bytes && offset < v->offset + v->bytes;
}

/* Did a version make what ended at @ended past before @since? */
static bool
model_is_past(const GPtrArray *versions, uint64_t ended, uint64_t since)
{
    for (unsigned i = versions->len; i-- > 0;) {
        const ModelVersion *v = model_get(versions, i);

        if (v->begun < ended) {
            return false; /* as are all before it */
        }
        if (v->ok && v->ended < since && v->kind != MODEL_TRIM) {
            return true;
        }
    }
    return false;
}

/* ---- checks ---- */

/* A piece of a check and what it may be; NULL among these: zeros. */
typedef struct ModelPiece {
    uint64_t offset;
    uint64_t bytes;
    const uint8_t *data; /* NULL: zeros */
    GPtrArray *versions; /* all that cover it */
    GPtrArray *allowed;  /* of const uint8_t */
} ModelPiece;

static void
model_piece_allow(ModelShadow *s, ModelPiece *p, uint64_t since)
{
    g_ptr_array_set_size(p->allowed, 0);
    if (!model_is_past(p->versions, 0, since)) {
        g_ptr_array_add(p->allowed, s->base + p->offset);
    }
    for (unsigned i = 0; i < p->versions->len; i++) {
        const ModelVersion *v = model_get(p->versions, i);

        if (!model_is_past(p->versions, v->ended, since)) {
            g_ptr_array_add(p->allowed, v->kind == MODEL_WRITE
                                            ? v->data + (p->offset - v->offset)
                                            : NULL);
        }
    }
    s->checked.bytes += p->bytes;
    s->checked.ambiguous += p->allowed->len > 1 ? p->bytes : 0;
}

static bool
model_equal(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    if (a && b) {
        return memcmp(a, b, bytes) == 0;
    }
    return (!a || ash_buf_is_zero(a, bytes)) &&
           (!b || ash_buf_is_zero(b, bytes));
}

/* Is byte @i any of the allowed ones? */
static bool
model_piece_has(const ModelPiece *p, uint64_t i)
{
    uint8_t byte = p->data ? p->data[i] : 0;

    for (unsigned k = 0; k < p->allowed->len; k++) {
        const uint8_t *data = g_ptr_array_index(p->allowed, k);

        if (byte == (data ? data[i] : 0)) {
            return true;
        }
    }
    return false;
}

static bool
model_piece_check(const ModelPiece *p, uint64_t *ret_bad)
{
    ash_assert(p->allowed->len > 0);
    for (unsigned k = 0; k < p->allowed->len; k++) {
        if (model_equal(p->data, g_ptr_array_index(p->allowed, k), p->bytes)) {
            return true;
        }
    }
    for (uint64_t i = 0; i < p->bytes; i++) {
        if (!model_piece_has(p, i)) {
            *ret_bad = p->offset + i;
            return false;
        }
    }
    return true;
}

/* The first place after @offset, up to @end, where the versions change; those
 * that cover what is before it are gathered. */
static uint64_t
model_cut(const GPtrArray *versions, uint64_t offset, uint64_t end,
          GPtrArray *covering)
{
    g_ptr_array_set_size(covering, 0);
    for (unsigned i = 0; i < versions->len; i++) {
        ModelVersion *v = g_ptr_array_index(versions, i);

        if (model_covers(v, offset, 1)) {
            g_ptr_array_add(covering, v);
            end = ash_min(end, v->offset + v->bytes);
        } else if (v->offset > offset) {
            end = ash_min(end, v->offset);
        }
    }
    return end;
}

bool
model_shadow_check(ModelShadow *s, uint64_t offset, uint64_t bytes,
                   const uint8_t *data, uint64_t since, uint64_t *ret_bad)
{
    g_autoptr(GPtrArray) near = g_ptr_array_new();
    g_autoptr(GPtrArray) covering = g_ptr_array_new();
    g_autoptr(GPtrArray) allowed = g_ptr_array_new();
    uint64_t end = offset + bytes;
    bool ok = true;

    for (unsigned i = 0; i < s->versions->len; i++) {
        ModelVersion *v = g_ptr_array_index(s->versions, i);

        if (model_covers(v, offset, bytes)) {
            g_ptr_array_add(near, v);
        }
    }
    for (uint64_t at = offset; ok && at < end;) {
        uint64_t next = model_cut(near, at, end, covering);
        ModelPiece piece = { .offset = at,
                             .bytes = next - at,
                             .data = data ? data + (at - offset) : NULL,
                             .versions = covering,
                             .allowed = allowed };

        model_piece_allow(s, &piece, since);
        ok = model_piece_check(&piece, ret_bad);
        at = next;
    }
    return ok;
}

uint64_t
model_shadow_now(ModelShadow *s)
{
    return ++s->now;
}

void
model_shadow_settle(ModelShadow *s, const uint8_t *contents)
{
    for (unsigned i = 0; i < s->versions->len; i++) {
        ash_assert(model_get(s->versions, i)->ended != MODEL_IN_FLIGHT);
    }
    g_ptr_array_set_size(s->versions, 0);
    memcpy(s->base, contents, s->size);
}

const uint8_t *
model_shadow_contents(const ModelShadow *s)
{
    ash_assert(s->versions->len == 0);
    return s->base;
}

ModelChecked
model_shadow_checked(const ModelShadow *s)
{
    return s->checked;
}

/* ---- life ---- */

ModelShadow *
model_shadow_new(uint64_t size, uint8_t *take_contents)
{
    ModelShadow *s = g_new0(ModelShadow, 1);

    s->size = size;
    s->base = take_contents;
    s->versions = g_ptr_array_new_with_free_func(model_version_free);
    return s;
}

void
model_shadow_free(ModelShadow *s)
{
    g_ptr_array_unref(s->versions);
    g_free(s->base);
    g_free(s);
}
