/*
 * base/list.h - intrusive doubly linked list and singly linked queue.
 *
 * Nodes live inside the objects they link, so no operation allocates and
 * removal takes constant time.
 *
 * Layer:   base.      Tests: tests/unit/base/test-list.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/annotate.h"

/* A list head or a link.  A link that is in no list points to itself. */
typedef struct AshList {
    struct AshList *prev;
    struct AshList *next;
} AshList;

static inline void
ash_list_init(AshList *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool
ash_list_is_empty(const AshList *head)
{
    return head->next == head;
}

/* Put @link (in no list) before @pos; before a head means at the end. */
static inline void
ash_list_insert_before(AshList *pos, AshList *link)
{
    link->prev = pos->prev;
    link->next = pos;
    pos->prev->next = link;
    pos->prev = link;
}

static inline void
ash_list_append(AshList *head, AshList *link)
{
    ash_list_insert_before(head, link);
}

static inline void
ash_list_prepend(AshList *head, AshList *link)
{
    ash_list_insert_before(head->next, link);
}

/* Take @link out of its list, if any; afterwards it is in none. */
static inline void
ash_list_remove(AshList *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    ash_list_init(link);
}

/* Move everything from @src to the end of @dst; @src is empty afterwards. */
static inline void
ash_list_splice(AshList *dst, AshList *src)
{
    if (!ash_list_is_empty(src)) {
        src->next->prev = dst->prev;
        dst->prev->next = src->next;
        src->prev->next = dst;
        dst->prev = src->prev;
        ash_list_init(src);
    }
}

/* The object behind the first link; the list must not be empty. */
#define ash_list_first(head, type, member) \
    ash_container_of((head)->next, type, member)

/* Iterate; the body must not remove any link but, with _safe, its own. */
#define ash_list_foreach(var, head) \
    for (AshList *var = (head)->next; var != (head); var = var->next)
#define ash_list_foreach_safe(var, tmp, head)                          \
    for (AshList *var = (head)->next, *tmp = var->next; var != (head); \
         var = tmp, tmp = var->next)
