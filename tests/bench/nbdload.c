/*
 * tests/bench/nbdload.c - a lean NBD load generator, so that the server and
 * not the client is what gets measured.
 *
 *   nbdload [-u SOCKET | -p PORT] [-e EXPORT] [-m r|w|m] [-s] [-b BYTES]
 *           [-q DEPTH] [-c CONNECTIONS] [-t SECONDS] [-z SPAN] [-F N] [-S]
 *
 * One thread a connection, requests pipelined, as many replies taken per
 * recv as have come.  -m: random reads, writes, or a 70/30 mix; -s sequential;
 * -z only the first SPAN bytes; -F a flush every N writes; -S structured
 * replies.  Prints one line of JSON: operations a second, MB/s, latency
 * percentiles in microseconds.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/be.h"
#include "export/nbd-wire.h"

#define LOAD_IN_BYTES ((size_t)256 << 10)
/* Latencies are counted in 100 ns steps up to 2^24 of them, then capped. */
#define LOAD_LATENCY_MAX ((uint32_t)1 << 24)

typedef struct LoadOptions {
    char *socket_path;
    int port;
    char *export_name;
    char mode;
    bool sequential;
    bool structured;
    uint32_t block;
    unsigned depth;
    unsigned n_conns;
    unsigned flush_every;
    double seconds;
    uint64_t span;
} LoadOptions;

typedef struct LoadSlot {
    uint64_t begin_ns;
    uint16_t command;
} LoadSlot;

typedef struct LoadConn {
    const LoadOptions *options;
    unsigned id;
    int fd;
    uint64_t size;
    uint64_t random;
    uint64_t sequence;
    unsigned since_flush;
    LoadSlot *slots;
    unsigned *free_slots;
    unsigned n_free;
    unsigned n_in_flight;
    uint8_t *out;
    uint8_t *in;
    uint8_t *pattern;
    size_t in_bytes;
    size_t skip; /* payload bytes of the reply being taken */
    uint64_t cookie;
    bool is_last;
    bool failed;
    uint64_t n_errors;
    GArray *latencies;
} LoadConn;

static bool load_stop; /* atomic */

static uint64_t
load_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static G_GNUC_NORETURN void
load_die(const char *what)
{
    fprintf(stderr, "nbdload: %s: %s\n", what, strerror(errno));
    _exit(2);
}

static void
load_read(int fd, void *buf, size_t bytes)
{
    uint8_t *p = buf;

    while (bytes > 0) {
        ssize_t n = recv(fd, p, bytes, 0);

        if (n <= 0) {
            load_die("recv");
        }
        p += n;
        bytes -= (size_t)n;
    }
}

static void
load_write(int fd, const void *buf, size_t bytes)
{
    const uint8_t *p = buf;

    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);

        if (n <= 0) {
            load_die("send");
        }
        p += n;
        bytes -= (size_t)n;
    }
}

/* ---- handshake ---- */

static void
load_option(int fd, uint32_t option, const void *data, uint32_t len)
{
    NbdOptionHeader head = { .magic = be64_put(NBD_OPT_MAGIC),
                             .option = be32_put(option),
                             .len = be32_put(len) };

    load_write(fd, &head, sizeof(head));
    load_write(fd, data, len);
}

static uint32_t
load_option_reply(int fd, uint8_t *data, size_t room)
{
    NbdOptionReply reply;

    load_read(fd, &reply, sizeof(reply));
    if (be32_get(reply.len) > room) {
        errno = EPROTO;
        load_die("option reply");
    }
    load_read(fd, data, be32_get(reply.len));
    return be32_get(reply.type);
}

static int
load_connect(const LoadOptions *o)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)o->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    int fd = socket(o->socket_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    int r;

    if (o->socket_path) {
        g_strlcpy(un.sun_path, o->socket_path, sizeof(un.sun_path));
        r = connect(fd, (struct sockaddr *)&un, sizeof(un));
    } else {
        r = connect(fd, (struct sockaddr *)&in, sizeof(in));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (r < 0) {
        load_die("connect");
    }
    return fd;
}

static int
load_dial(const LoadOptions *o, uint64_t *ret_size)
{
    int fd = load_connect(o);
    uint32_t name_len = (uint32_t)strlen(o->export_name);
    g_autofree uint8_t *data = g_malloc0(6 + name_len);
    Be32 be = be32_put(3);
    uint8_t reply[2048];
    uint32_t type;

    load_read(fd, reply, sizeof(NbdGreeting));
    load_write(fd, &be, sizeof(be));
    if (o->structured) {
        load_option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
        if (load_option_reply(fd, reply, sizeof(reply)) != NBD_REP_ACK) {
            errno = EPROTO;
            load_die("structured replies");
        }
    }
    be = be32_put(name_len);
    memcpy(data, &be, sizeof(be));
    memcpy(data + 4, o->export_name, name_len);
    load_option(fd, NBD_OPT_GO, data, 6 + name_len);
    while ((type = load_option_reply(fd, reply, sizeof(reply))) !=
           NBD_REP_ACK) {
        NbdInfoExport info;

        if (type != NBD_REP_INFO) {
            errno = EPROTO;
            load_die("GO");
        }
        memcpy(&info, reply, sizeof(info));
        if (be16_get(info.info) == NBD_INFO_EXPORT) {
            *ret_size = be64_get(info.size);
        }
    }
    return fd;
}

/* ---- requests ---- */

static uint16_t
load_pick_command(LoadConn *c)
{
    const LoadOptions *o = c->options;
    bool write =
        o->mode == 'w' || (o->mode == 'm' && (c->random >> 40) % 10 < 3);

    if (write && o->flush_every > 0 && ++c->since_flush >= o->flush_every) {
        c->since_flush = 0;
        return NBD_CMD_FLUSH;
    }
    return write ? NBD_CMD_WRITE : NBD_CMD_READ;
}

/* Lay one more request at @out; its length. */
static size_t
load_add_request(LoadConn *c, uint8_t *out, uint64_t now_ns)
{
    const LoadOptions *o = c->options;
    uint64_t span = o->span && o->span < c->size ? o->span : c->size;
    uint64_t n_blocks = span / o->block;
    unsigned slot = c->free_slots[--c->n_free];
    NbdRequestHeader head = { .magic = be32_put(NBD_REQUEST_MAGIC),
                              .cookie = be64_put(slot) };
    uint64_t block;

    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    block = (o->sequential ? c->sequence++ : c->random) % n_blocks;
    c->slots[slot].begin_ns = now_ns;
    c->slots[slot].command = load_pick_command(c);
    c->n_in_flight++;
    head.command = be16_put(c->slots[slot].command);
    if (c->slots[slot].command != NBD_CMD_FLUSH) {
        head.offset = be64_put(block * o->block);
        head.len = be32_put(o->block);
    }
    memcpy(out, &head, sizeof(head));
    if (c->slots[slot].command != NBD_CMD_WRITE) {
        return sizeof(head);
    }
    memcpy(out + sizeof(head), c->pattern, o->block);
    return sizeof(head) + o->block;
}

/* ---- replies ---- */

/* Decode the header at @p of @n bytes; its length, 0: more must come. */
static size_t
load_take_header(LoadConn *c, const uint8_t *p, size_t n)
{
    const NbdSimpleReply *simple = (const void *)p;
    const NbdStructuredReply *chunk = (const void *)p;

    if (n < sizeof(*simple)) {
        return 0;
    }
    c->cookie = be64_get(simple->cookie);
    if (be32_get(simple->magic) == NBD_SIMPLE_REPLY_MAGIC) {
        c->failed = be32_get(simple->error) != 0;
        c->is_last = true;
        c->skip = !c->failed && c->slots[c->cookie].command == NBD_CMD_READ
                      ? c->options->block
                      : 0;
        return sizeof(*simple);
    }
    if (be32_get(chunk->magic) != NBD_STRUCTURED_REPLY_MAGIC) {
        errno = EPROTO;
        load_die("reply magic");
    }
    if (n < sizeof(*chunk)) {
        return 0;
    }
    c->failed = be16_get(chunk->type) & NBD_REPLY_ERROR_BIT;
    c->is_last = be16_get(chunk->flags) & NBD_REPLY_FLAG_DONE;
    c->skip = be32_get(chunk->len);
    return sizeof(*chunk);
}

static void
load_finish(LoadConn *c, uint64_t now_ns)
{
    uint64_t steps = (now_ns - c->slots[c->cookie].begin_ns) / 100;
    uint32_t value = (uint32_t)MIN(steps, LOAD_LATENCY_MAX);

    if (!c->is_last) {
        return;
    }
    c->n_errors += c->failed;
    g_array_append_val(c->latencies, value);
    c->free_slots[c->n_free++] = (unsigned)c->cookie;
    c->n_in_flight--;
}

/* Take what has come: headers and payloads. */
static void
load_take_replies(LoadConn *c, uint64_t now_ns)
{
    size_t pos = 0;

    while (pos < c->in_bytes) {
        if (c->skip > 0) {
            size_t n = MIN(c->skip, c->in_bytes - pos);

            pos += n;
            c->skip -= n;
            if (c->skip > 0) {
                break;
            }
        } else {
            size_t n = load_take_header(c, c->in + pos, c->in_bytes - pos);

            if (n == 0) {
                break;
            }
            pos += n;
            if (c->skip > 0) {
                continue;
            }
        }
        load_finish(c, now_ns);
    }
    memmove(c->in, c->in + pos, c->in_bytes - pos);
    c->in_bytes -= pos;
}

static gpointer
load_work(gpointer arg)
{
    LoadConn *c = arg;

    for (;;) {
        uint64_t now_ns = load_now_ns();
        size_t n_out = 0;
        ssize_t n;

        while (!__atomic_load_n(&load_stop, __ATOMIC_RELAXED) &&
               c->n_free > 0) {
            n_out += load_add_request(c, c->out + n_out, now_ns);
        }
        load_write(c->fd, c->out, n_out);
        if (c->n_in_flight == 0) {
            return NULL;
        }
        n = recv(c->fd, c->in + c->in_bytes, LOAD_IN_BYTES - c->in_bytes, 0);
        if (n <= 0) {
            load_die("recv");
        }
        c->in_bytes += (size_t)n;
        load_take_replies(c, load_now_ns());
    }
}

/* ---- the whole ---- */

static void
load_conn_init(LoadConn *c, const LoadOptions *o, unsigned id)
{
    c->options = o;
    c->id = id;
    c->fd = load_dial(o, &c->size);
    c->random = 88172645463325252U + id * 7919U;
    c->sequence = c->size / o->block / o->n_conns * id;
    c->slots = g_new0(LoadSlot, o->depth);
    c->free_slots = g_new(unsigned, o->depth);
    c->n_free = o->depth;
    for (unsigned i = 0; i < o->depth; i++) {
        c->free_slots[i] = o->depth - 1 - i;
    }
    c->in = g_malloc(LOAD_IN_BYTES);
    c->out = g_malloc((sizeof(NbdRequestHeader) + o->block) * o->depth);
    c->pattern = g_malloc(o->block);
    for (uint32_t i = 0; i < o->block; i++) {
        c->pattern[i] = (uint8_t)(i * 131 + id);
    }
    c->latencies = g_array_sized_new(false, false, sizeof(uint32_t), 1 << 20);
}

static gint
load_compare(gconstpointer a, gconstpointer b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double
load_percentile(const GArray *sorted, double part)
{
    guint i = (guint)((double)(sorted->len - 1) * part);

    return sorted->len ? g_array_index(sorted, uint32_t, i) / 10.0 : 0;
}

static void
load_report(const LoadOptions *o, LoadConn *conns, double seconds)
{
    g_autoptr(GArray) all = g_array_new(false, false, sizeof(uint32_t));
    uint64_t n_errors = 0;
    double rate;

    for (unsigned i = 0; i < o->n_conns; i++) {
        g_array_append_vals(all, conns[i].latencies->data,
                            conns[i].latencies->len);
        n_errors += conns[i].n_errors;
    }
    g_array_sort(all, load_compare);
    rate = all->len / seconds;
    printf("{\"iops\": %.0f, \"mbps\": %.1f, \"ops\": %u, \"errors\": "
           "%" G_GUINT64_FORMAT
           ", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}\n",
           rate, rate * o->block / 1e6, all->len, n_errors,
           load_percentile(all, .5), load_percentile(all, .99),
           load_percentile(all, .999));
}

static bool
load_parse(int argc, char **argv, LoadOptions *o)
{
    int k;

    while ((k = getopt(argc, argv, "u:p:e:m:sSb:q:c:t:z:F:")) != -1) {
        guint64 n = optarg ? g_ascii_strtoull(optarg, NULL, 0) : 0;

        switch (k) {
        case 'u':
            o->socket_path = optarg;
            break;
        case 'p':
            o->port = (int)n;
            break;
        case 'e':
            o->export_name = optarg;
            break;
        case 'm':
            o->mode = *optarg;
            break;
        case 's':
            o->sequential = true;
            break;
        case 'S':
            o->structured = true;
            break;
        case 'b':
            o->block = (uint32_t)n;
            break;
        case 'q':
            o->depth = (unsigned)n;
            break;
        case 'c':
            o->n_conns = (unsigned)n;
            break;
        case 't':
            o->seconds = g_ascii_strtod(optarg, NULL);
            break;
        case 'z':
            o->span = n;
            break;
        case 'F':
            o->flush_every = (unsigned)n;
            break;
        default:
            return false;
        }
    }
    return o->block > 0 && o->depth > 0 && o->n_conns > 0;
}

int
main(int argc, char **argv)
{
    LoadOptions o = { .export_name = (char *)(uintptr_t) "",
                      .mode = 'r',
                      .block = 4096,
                      .depth = 32,
                      .n_conns = 1,
                      .seconds = 3 };
    g_autofree LoadConn *conns = NULL;
    g_autofree GThread **threads = NULL;
    uint64_t begin_ns;

    if (!load_parse(argc, argv, &o)) {
        return 2;
    }
    conns = g_new0(LoadConn, o.n_conns);
    threads = g_new(GThread *, o.n_conns);
    for (unsigned i = 0; i < o.n_conns; i++) {
        load_conn_init(&conns[i], &o, i);
    }
    begin_ns = load_now_ns();
    for (unsigned i = 0; i < o.n_conns; i++) {
        threads[i] = g_thread_new("load", load_work, &conns[i]);
    }
    g_usleep((gulong)(o.seconds * 1e6));
    __atomic_store_n(&load_stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < o.n_conns; i++) {
        g_thread_join(threads[i]);
    }
    load_report(&o, conns, (double)(load_now_ns() - begin_ns) / 1e9);
    return 0;
}
