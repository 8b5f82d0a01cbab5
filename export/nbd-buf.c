/*
 * export/nbd-buf.c - see export/nbd-buf.h.
 *
 * Method: memory comes from mmap in powers of two and goes through a LIFO
 * pool, so a busy connection uses the same warm pages again and an idle
 * daemon gives everything beyond the pool back.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-buf.h"

#include <sys/mman.h>

#include "base/assert.h"
#include "base/bits.h"

void
nbd_budget_init(NbdBudget *budget, uint64_t limit)
{
    g_mutex_init(&budget->lock);
    budget->used = 0;
    budget->limit = limit;
    ash_list_init(&budget->waiting);
}

void
nbd_budget_done(NbdBudget *budget)
{
    ash_assert(budget->used == 0);
    g_mutex_clear(&budget->lock);
}

uint64_t
nbd_budget_used(NbdBudget *budget)
{
    uint64_t used;

    g_mutex_lock(&budget->lock);
    used = budget->used;
    g_mutex_unlock(&budget->lock);
    return used;
}

/* ---- the pool ---- */

static unsigned
nbd_pool_class(size_t bytes)
{
    unsigned class = 0;

    while ((NBD_BUF_BYTES << class) < bytes) {
        class ++;
    }
    return class;
}

static void
nbd_buf_free(NbdBuf *buf)
{
    munmap(buf->data, buf->capacity);
    g_free(buf);
}

void
nbd_pool_done(NbdPool *pool)
{
    for (unsigned i = 0; i < NBD_POOL_CLASSES; i++) {
        while (pool->free[i]) {
            NbdBuf *buf = pool->free[i];

            pool->free[i] = buf->next;
            nbd_buf_free(buf);
        }
    }
    pool->bytes = 0;
}

static NbdBuf *
nbd_pool_take(NbdPool *pool, unsigned class)
{
    NbdBuf *buf = pool->free[class];

    if (buf) {
        pool->free[class] = buf->next;
        pool->bytes -= buf->capacity;
        return buf;
    }
    void *data = mmap(NULL, NBD_BUF_BYTES << class, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return NULL;
    }
    buf = g_new0(NbdBuf, 1);
    buf->data = data;
    buf->capacity = NBD_BUF_BYTES << class;
    return buf;
}

static void
nbd_pool_put(NbdPool *pool, NbdBuf *buf)
{
    unsigned class = nbd_pool_class(buf->capacity);

    if (pool->bytes + buf->capacity > NBD_POOL_BYTES_MAX) {
        nbd_buf_free(buf);
        return;
    }
    buf->next = pool->free[class];
    pool->free[class] = buf;
    pool->bytes += buf->capacity;
}

/* ---- accounts ---- */

/* The part of the account that pieces of @kind count in. */
static size_t *
nbd_account_part(NbdAccount *account, NbdMemory kind)
{
    return kind == NBD_MEMORY_SMALL ? &account->small : &account->large;
}

/* May the account have @bytes of @kind whatever the limits say?  B1. */
static bool
nbd_account_below_floor(const NbdAccount *account, NbdMemory kind, size_t bytes)
{
    size_t counted = kind == NBD_MEMORY_SMALL ? account->small : account->used;

    return counted + bytes <= NBD_ACCOUNT_FLOOR;
}

/* Does the account's own limit allow @bytes more?  B2. */
static bool
nbd_account_allows(const NbdAccount *account, NbdMemory kind, size_t bytes)
{
    return account->used + bytes <= account->limit ||
           nbd_account_below_floor(account, kind, bytes) ||
           (kind == NBD_MEMORY_LARGE && account->large == 0 &&
            account->used <= NBD_ACCOUNT_FLOOR);
}

/* Wake the first that waits for no more than there is; it wakes the next when
 * it has taken what it wants.  Under the lock. */
static void
nbd_budget_wake(NbdBudget *budget)
{
    uint64_t left =
        budget->limit > budget->used ? budget->limit - budget->used : 0;

    ash_list_foreach(link, &budget->waiting) {
        NbdAccount *account = ash_container_of(link, NbdAccount, budget_link);

        if (account->wanted > left) {
            continue;
        }
        ash_list_remove(link);
        if (!account->wake_posted) {
            account->wake_posted = true;
            loop_post(account->loop, &account->wake);
        }
        return;
    }
}

static void
nbd_budget_pass_on(NbdBudget *budget)
{
    g_mutex_lock(&budget->lock);
    nbd_budget_wake(budget);
    g_mutex_unlock(&budget->lock);
}

static void
nbd_account_wake_cb(LoopMsg *msg)
{
    NbdAccount *account = ash_container_of(msg, NbdAccount, wake);

    g_mutex_lock(&account->budget->lock);
    account->wake_posted = false;
    g_mutex_unlock(&account->budget->lock);
    if (!co_queue_wake_one(&account->waiters)) {
        nbd_budget_pass_on(account->budget); /* nobody waits any more */
    }
    co_queue_wake_all(&account->waiters);
}

/* Take @bytes of the total; if that can't be, queue for it when @wait. */
static bool
nbd_budget_take(NbdAccount *account, NbdMemory kind, size_t bytes, bool wait)
{
    NbdBudget *budget = account->budget;
    bool granted;

    g_mutex_lock(&budget->lock);
    granted = budget->used + bytes <= budget->limit ||
              nbd_account_below_floor(account, kind, bytes);
    if (granted) {
        budget->used += bytes;
    } else if (wait) {
        if (ash_list_is_empty(&account->budget_link)) {
            account->wanted = bytes;
            ash_list_append(&budget->waiting, &account->budget_link);
        }
        account->wanted = ash_min(account->wanted, bytes);
    }
    g_mutex_unlock(&budget->lock);
    return granted;
}

static void
nbd_budget_give(NbdBudget *budget, size_t bytes)
{
    g_mutex_lock(&budget->lock);
    ash_assert(budget->used >= bytes);
    budget->used -= bytes;
    nbd_budget_wake(budget);
    g_mutex_unlock(&budget->lock);
}

/* Count @bytes for @account and in total, if both allow it. */
static bool
nbd_account_charge(NbdAccount *account, NbdMemory kind, size_t bytes, bool wait)
{
    if (!nbd_account_allows(account, kind, bytes) ||
        !nbd_budget_take(account, kind, bytes, wait)) {
        return false;
    }
    account->used += bytes;
    if (kind != NBD_MEMORY_OTHER) {
        *nbd_account_part(account, kind) += bytes;
    }
    return true;
}

static void coroutine_fn
nbd_account_co_take(NbdAccount *account, NbdMemory kind, size_t bytes)
{
    bool granted = nbd_account_charge(account, kind, bytes, true);

    while (!granted) {
        co_queue_co_wait(&account->waiters);
        granted = nbd_account_charge(account, kind, bytes, true);
        nbd_budget_pass_on(account->budget);
    }
}

static void
nbd_account_give(NbdAccount *account, NbdMemory kind, size_t bytes)
{
    ash_assert(account->used >= bytes);
    account->used -= bytes;
    if (kind != NBD_MEMORY_OTHER) {
        *nbd_account_part(account, kind) -= bytes;
    }
    nbd_budget_give(account->budget, bytes);
    co_queue_wake_all(&account->waiters);
}

void
nbd_account_init(NbdAccount *account, NbdBudget *budget, size_t limit)
{
    *account = (NbdAccount){ .budget = budget, .limit = limit };
    co_queue_init(&account->waiters);
    ash_list_init(&account->budget_link);
    account->wake.fn = nbd_account_wake_cb;
}

void
nbd_account_set_loop(NbdAccount *account, Loop *loop, NbdPool *pool)
{
    ash_assert(account->used == 0);
    account->loop = loop;
    account->pool = pool;
}

void coroutine_fn
nbd_account_co_done(NbdAccount *account)
{
    ash_assert(account->used == 0);
    for (;;) {
        bool posted;

        g_mutex_lock(&account->budget->lock);
        ash_list_remove(&account->budget_link);
        posted = account->wake_posted;
        g_mutex_unlock(&account->budget->lock);
        if (!posted) {
            return;
        }
        co_sleep_ns(1000000);
    }
}

void coroutine_fn
nbd_account_co_charge(NbdAccount *account, size_t bytes)
{
    nbd_account_co_take(account, NBD_MEMORY_OTHER, bytes);
}

void
nbd_account_discharge(NbdAccount *account, size_t bytes)
{
    nbd_account_give(account, NBD_MEMORY_OTHER, bytes);
}

bool
nbd_account_hinders(NbdAccount *account)
{
    bool someone_waits;

    g_mutex_lock(&account->budget->lock);
    someone_waits = !ash_list_is_empty(&account->budget->waiting);
    g_mutex_unlock(&account->budget->lock);
    return someone_waits && account->used > NBD_ACCOUNT_FLOOR;
}

/* ---- buffers ---- */

static NbdMemory
nbd_buf_kind(size_t capacity)
{
    return capacity <= NBD_BUF_BYTES ? NBD_MEMORY_SMALL : NBD_MEMORY_LARGE;
}

/* A buffer that is counted already; NULL: out of memory, and not any more. */
static NbdBuf *
nbd_buf_new(NbdAccount *account, unsigned class)
{
    NbdBuf *buf = nbd_pool_take(account->pool, class);

    if (!buf) {
        nbd_account_give(account, nbd_buf_kind(NBD_BUF_BYTES << class),
                         NBD_BUF_BYTES << class);
        return NULL;
    }
    buf->account = account;
    buf->refs = 1;
    buf->used = 0;
    return buf;
}

NbdBuf *
nbd_buf_try_get(NbdAccount *account, size_t bytes)
{
    unsigned class = nbd_pool_class(bytes);
    size_t capacity = NBD_BUF_BYTES << class;

    ash_assert(class < NBD_POOL_CLASSES);
    if (!nbd_account_charge(account, nbd_buf_kind(capacity), capacity, false)) {
        return NULL;
    }
    return nbd_buf_new(account, class);
}

NbdBuf *
nbd_buf_force(NbdAccount *account, size_t bytes)
{
    unsigned class = nbd_pool_class(bytes);
    size_t capacity = NBD_BUF_BYTES << class;

    ash_assert(class < NBD_POOL_CLASSES);
    g_mutex_lock(&account->budget->lock);
    account->budget->used += capacity;
    g_mutex_unlock(&account->budget->lock);
    account->used += capacity;
    *nbd_account_part(account, nbd_buf_kind(capacity)) += capacity;
    return nbd_buf_new(account, class);
}

NbdBuf *coroutine_fn
nbd_buf_co_get(NbdAccount *account, size_t bytes)
{
    unsigned class = nbd_pool_class(bytes);
    size_t capacity = NBD_BUF_BYTES << class;

    ash_assert(class < NBD_POOL_CLASSES);
    nbd_account_co_take(account, nbd_buf_kind(capacity), capacity);
    return nbd_buf_new(account, class);
}

void
nbd_buf_release(NbdBuf *buf)
{
    NbdAccount *account = buf->account;
    size_t capacity = buf->capacity;

    buf->account = NULL;
    nbd_pool_put(account->pool, buf);
    nbd_account_give(account, nbd_buf_kind(capacity), capacity);
}
