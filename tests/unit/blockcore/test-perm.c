/*
 * tests/unit/blockcore/test-perm.c - permissions are checked all the way down,
 * then set or undone as a whole.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/perm.h"

#include "base/bits.h"
#include "blockcore/edge.h"
#include "tests/unit/blockcore/fake.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define R ((BlkPerm)BLK_PERM_CONSISTENT_READ)
#define W ((BlkPerm)BLK_PERM_WRITE)
#define U ((BlkPerm)BLK_PERM_WRITE_UNCHANGED)
#define S ((BlkPerm)BLK_PERM_RESIZE)
#define G ((BlkPerm)BLK_PERM_GRAPH_MOD)
#define ALL BLK_PERM_ALL

static BlkGraph *graph;
static Blk e1;
static Blk e2;

static void coroutine_fn
co_begin(unsigned log)
{
    fake_reset(log);
    graph = blk_graph_new(fake_drivers, NULL);
    fake_blk_init(&e1, "export 'e1'");
    fake_blk_init(&e2, "export 'e2'");
}

static void coroutine_fn
co_end(void)
{
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
    g_assert_cmpuint(fake.n_checked, ==, 0);
    g_assert_cmpuint(fake.n_open, ==, 0);
    blk_graph_free(graph);
}

static bool coroutine_fn
co_attach(Blk *blk, BlkNode *node, BlkPerm perm, BlkPerm shared, BlkEdge **ret,
          char **message)
{
    g_autoptr(GError) error = NULL;
    bool ok = blk_edge_co_attach_root(blk, node, perm, shared, ret, &error);

    g_assert_true(ok == (error == NULL));
    if (!ok && message) {
        *message = g_strdup(error->message);
    }
    return ok;
}

static void coroutine_fn
co_attach_fails(Blk *blk, BlkNode *node, BlkPerm perm, BlkPerm shared, int code,
                const char *message)
{
    g_autoptr(GError) error = NULL;
    BlkEdge *edge = NULL;

    g_assert_false(
        blk_edge_co_attach_root(blk, node, perm, shared, &edge, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_null(edge);
}

static BlkEdge *coroutine_fn
co_hold(Blk *blk, BlkNode *node, BlkPerm perm, BlkPerm shared)
{
    BlkEdge *edge = NULL;
    bool ok = co_attach(blk, node, perm, shared, &edge, NULL);

    g_assert_true(ok);
    return edge;
}

/* ---- messages ---- */

/* Both users are named, and the permission in words. */
static void coroutine_fn
co_test_conflict(void *arg)
{
    BlkNode *n;
    BlkEdge *edge;

    (void)arg;
    co_begin(0);
    n = fake_co_add(graph, "driver=leaf,node-name=n");
    edge = co_hold(&e1, n, R | W, R);
    co_attach_fails(&e2, n, R | W, ALL, ASH_ERROR_CONFLICT,
                    "export 'e1' does not allow others to write to node 'n', "
                    "which export 'e2' needs");
    co_attach_fails(&e2, n, S, ALL, ASH_ERROR_CONFLICT,
                    "export 'e1' does not allow others to resize node 'n', "
                    "which export 'e2' needs");
    co_attach_fails(&e2, n, U, ALL, ASH_ERROR_CONFLICT,
                    "export 'e1' does not allow others to rewrite unchanged "
                    "data of node 'n', which export 'e2' needs");
    co_attach_fails(&e2, n, G, ALL, ASH_ERROR_CONFLICT,
                    "export 'e1' does not allow others to change the graph "
                    "at node 'n', which export 'e2' needs");
    co_attach_fails(&e2, n, R, R, ASH_ERROR_CONFLICT,
                    "export 'e2' does not allow others to write to node 'n', "
                    "which export 'e1' needs");
    co_attach_fails(&e2, n, R, W, ASH_ERROR_CONFLICT,
                    "export 'e2' does not allow others to rely on consistent "
                    "reads of node 'n', which export 'e1' needs");
    blk_edge_co_detach_root(edge);
    edge = co_hold(&e2, n, R | W, 0);
    blk_edge_co_detach_root(edge);
    co_end();
}

/* Who conflicts deep down is named by what it is there. */
static void coroutine_fn
co_test_conflict_below(void *arg)
{
    BlkNode *a;
    BlkNode *b;
    BlkEdge *edge;

    (void)arg;
    co_begin(0);
    fake_co_add(graph, "driver=leaf,node-name=disk");
    a = fake_co_add(graph, "driver=filter,node-name=a,file=disk");
    b = fake_co_add(graph, "driver=filter,node-name=b,file=disk");
    edge = co_hold(&e1, a, R | W, R);
    co_attach_fails(&e2, b, W, ALL, ASH_ERROR_CONFLICT,
                    "node 'a' as 'file' does not allow others to write to "
                    "node 'disk', which node 'b' as 'file' needs");
    blk_edge_co_detach_root(edge);
    co_end();
    co_begin(0);
    fake_co_add(graph, "driver=leaf,node-name=disk");
    fake_co_add(graph, "driver=format,node-name=img,file=disk");
    fake_co_add_fails(graph, "driver=format,node-name=img2,file=disk",
                      ASH_ERROR_CONFLICT,
                      "node 'img2': format: node 'img' as 'file' does not "
                      "allow others to write to node 'disk', which node "
                      "'img2' as 'file' needs");
    co_end();
}

/* Nobody writes to what is read-only; it passes up to who has its data. */
static void coroutine_fn
co_test_read_only(void *arg)
{
    const char *const tops[] = {
        "driver=leaf,node-name=n,read-only=on",
        "driver=writeless,node-name=n",
        "driver=filter,node-name=n,file=ro",
        "driver=window,node-name=n,file=ro",
        "driver=format,node-name=n,file=ro",
        "driver=filter,node-name=n,file.driver=format,file.file=ro",
        "driver=filter,node-name=n,read-only=on,file.driver=leaf",
        "driver=filter,node-name=n,file.driver=writeless",
    };

    (void)arg;
    co_begin(0);
    fake_co_add(graph, "driver=leaf,node-name=ro,read-only=on");
    for (size_t i = 0; i < ASH_N_ELEMENTS(tops); i++) {
        BlkNode *n = fake_co_add(graph, tops[i]);
        BlkEdge *edge;

        g_assert_true(blk_node_is_read_only(n));
        co_attach_fails(&e1, n, R | W, ALL, ASH_ERROR_CONFIG,
                        "node 'n' is read-only, and export 'e1' needs to "
                        "write to it");
        co_attach_fails(&e1, n, U, ALL, ASH_ERROR_CONFIG,
                        "node 'n' is read-only, and export 'e1' needs to "
                        "rewrite unchanged data of it");
        co_attach_fails(&e1, n, S, ALL, ASH_ERROR_CONFIG,
                        "node 'n' is read-only, and export 'e1' needs to "
                        "resize it");
        edge = co_hold(&e1, n, R, R);
        blk_edge_co_detach_root(edge);
        blk_graph_co_del(graph, "n", NULL);
    }
    fake_co_add(graph, "driver=leaf,node-name=rw");
    g_assert_false(blk_node_is_read_only(
        fake_co_add(graph, "driver=format,node-name=n,file=rw,backing=ro")));
    co_end();
}

/* force-share lets others do everything, inside and below. */
static void coroutine_fn
co_test_force_share(void *arg)
{
    BlkEdge *a;
    BlkEdge *b;
    BlkNode *n;

    (void)arg;
    co_begin(FAKE_LOG_PERM);
    n = fake_co_add(graph, "driver=filter,node-name=n,read-only=on,"
                           "force-share=on,file.driver=leaf,"
                           "file.node-name=f");
    fake_assert_log("");
    a = co_hold(&e1, n, R, 0);
    b = co_hold(&e2, n, R, 0);
    g_assert_cmpuint(a->shared, ==, ALL);
    g_assert_cmpuint(b->shared, ==, ALL);
    fake_assert_log("check:n[r/rwusg] check:f[r/rwusg] set:n[r/rwusg] "
                    "set:f[r/rwusg]");
    blk_edge_co_detach_root(a);
    blk_edge_co_detach_root(b);
    co_end();
}

/* ---- all products on small graphs ---- */

/* What a child of @role gets, once more, from the table in perm.h. */
static void
expect_child(BlkRole role, bool read_only, BlkPerm perm, BlkPerm shared,
             BlkPerm *ret_perm, BlkPerm *ret_shared)
{
    switch (role) {
    case BLK_ROLE_FILTERED:
        *ret_perm = perm & ~G;
        *ret_shared = shared | G;
        break;
    case BLK_ROLE_DATA:
        *ret_perm = perm & ~G;
        *ret_shared = (shared & ~S) | G;
        break;
    case BLK_ROLE_METADATA:
        *ret_perm = (perm & ~G) | R | (read_only ? 0 : W | S);
        *ret_shared = (shared & ~(W | S)) | G;
        break;
    default:
        *ret_perm = perm & R;
        *ret_shared = R | U | G | (shared & W ? W | S : 0);
        break;
    }
}

/* For each role, whatever the parents hold. */
static void coroutine_fn
co_test_roles(void *arg)
{
    const BlkRole roles[] = { BLK_ROLE_FILTERED, BLK_ROLE_DATA,
                              BLK_ROLE_METADATA, BLK_ROLE_BACKING };
    BlkNode *nodes[2];
    unsigned n = 0;

    (void)arg;
    co_begin(0);
    nodes[0] = fake_co_add(graph, "driver=leaf,node-name=rw");
    nodes[1] = fake_co_add(graph, "driver=leaf,node-name=ro,read-only=on");
    for (size_t i = 0; i < ASH_N_ELEMENTS(roles); i++) {
        for (unsigned x = 0; x < 2 * 32 * 32; x++) {
            bool ro = x / 1024;
            BlkPerm perm;
            BlkPerm shared;
            BlkPerm want_perm;
            BlkPerm want_shared;

            blk_perm_for_child(nodes[ro], roles[i], x % 32, x / 32 % 32, &perm,
                               &shared);
            expect_child(roles[i], ro, x % 32, x / 32 % 32, &want_perm,
                         &want_shared);
            g_assert_cmpuint(perm, ==, want_perm);
            g_assert_cmpuint(shared, ==, want_shared);
            n++;
        }
    }
    /* DATA and METADATA together are METADATA. */
    for (unsigned x = 0; x < 32 * 32; x++) {
        BlkPerm a[2];
        BlkPerm b[2];

        blk_perm_for_child(nodes[0],
                           (BlkRole)BLK_ROLE_DATA | BLK_ROLE_METADATA |
                               BLK_ROLE_PRIMARY,
                           x % 32, x / 32, &a[0], &a[1]);
        blk_perm_for_child(nodes[0], BLK_ROLE_METADATA, x % 32, x / 32, &b[0],
                           &b[1]);
        g_assert_cmpuint(a[0], ==, b[0]);
        g_assert_cmpuint(a[1], ==, b[1]);
    }
    g_test_message("%u products of role and permissions", n);
    co_end();
}

/* Two users of one node, with every choice of permissions: both stay exactly
 * if neither does what the other does not share. */
static void coroutine_fn
co_test_pairs(void *arg)
{
    unsigned n_ok = 0;
    unsigned n = 0;
    BlkNode *node;

    (void)arg;
    co_begin(0);
    node = fake_co_add(graph, "driver=leaf,node-name=n");
    for (unsigned x = 0; x < 16 * 16; x++) {
        BlkPerm p1 = x % 16;
        BlkPerm s1 = x / 16;
        BlkEdge *a = co_hold(&e1, node, p1, s1);

        for (unsigned y = 0; y < 16 * 16; y++) {
            BlkPerm p2 = y % 16;
            BlkPerm s2 = y / 16;
            BlkEdge *b = NULL;
            bool want = (p2 & ~s1) == 0 && (p1 & ~s2) == 0;

            g_assert_true(co_attach(&e2, node, p2, s2, &b, NULL) == want);
            if (want) {
                g_assert_cmpuint(node->perm, ==, p1 | p2);
                g_assert_cmpuint(node->shared, ==, s1 & s2);
                blk_edge_co_detach_root(b);
                n_ok++;
            }
            g_assert_cmpuint(node->perm, ==, p1);
            g_assert_cmpuint(node->shared, ==, s1);
            n++;
        }
        blk_edge_co_detach_root(a);
        g_assert_cmpuint(node->perm, ==, 0);
        g_assert_cmpuint(node->shared, ==, ALL);
    }
    g_test_message("%u pairs of users, %u of them compatible", n, n_ok);
    co_end();
}

/* The permissions of all nodes and edges, to see that nothing changed. */
static void
append_perms(BlkNode *node, void *arg)
{
    GString *text = arg;

    g_string_append_printf(text, "%s=%x/%x ", node->name, node->perm,
                           node->shared);
    ash_list_foreach(link, &node->children) {
        const BlkEdge *e = ash_container_of(link, BlkEdge, parent_link);

        g_string_append_printf(text, ">%s=%x/%x ", e->name, e->perm, e->shared);
    }
}

static char *
dump_perms(void)
{
    GString *text = g_string_new(NULL);

    blk_graph_foreach(graph, append_perms, text);
    return g_string_free(text, FALSE);
}

/* The same over a diamond of two branches above one disk: users on either
 * branch get what the disk's rule says, worked out again from the roles. */
static void coroutine_fn
co_test_diamond(void *arg)
{
    g_autofree char *idle = NULL;
    BlkNode *left;
    BlkNode *right;
    BlkNode *disk;
    unsigned n_ok = 0;
    unsigned n = 0;

    (void)arg;
    co_begin(0);
    disk = fake_co_add(graph, "driver=leaf,node-name=disk");
    left = fake_co_add(graph, "driver=filter,node-name=l,file.driver=window,"
                              "file.node-name=lw,file.file=disk");
    right = fake_co_add(graph, "driver=filter,node-name=r,file=disk");
    idle = dump_perms();
    for (unsigned x = 0; x < 16 * 16; x++) {
        BlkPerm p1 = x % 16;
        BlkPerm s1 = x / 16;
        BlkEdge *a = co_hold(&e1, left, p1, s1);
        g_autofree char *one = dump_perms();

        for (unsigned y = 0; y < 16 * 16; y++) {
            BlkPerm p2 = y % 16;
            BlkPerm s2 = y / 16;
            BlkEdge *b = NULL;
            bool want = (p2 & ~(s1 & ~S)) == 0 && (p1 & ~s2) == 0;
            g_autofree char *now = NULL;

            g_assert_true(co_attach(&e2, right, p2, s2, &b, NULL) == want);
            if (want) {
                g_assert_cmpuint(disk->perm, ==, p1 | p2);
                g_assert_cmpuint(disk->shared, ==, ((s1 & ~S & s2) & ~G) | G);
                blk_edge_co_detach_root(b);
                n_ok++;
            }
            now = dump_perms();
            g_assert_cmpstr(now, ==, one);
            n++;
        }
        blk_edge_co_detach_root(a);
    }
    g_test_message("%u pairs of users of a diamond, %u compatible", n, n_ok);
    {
        g_autofree char *now = dump_perms();

        g_assert_cmpstr(now, ==, idle);
    }
    co_end();
}

/* ---- check, then set or abort ---- */

/* Parents are asked before their children, and all before anything is set. */
static void coroutine_fn
co_test_order(void *arg)
{
    BlkEdge *edge;
    BlkNode *n;

    (void)arg;
    co_begin(FAKE_LOG_PERM);
    fake_co_add(graph, "driver=leaf,node-name=base,read-only=on");
    n = fake_co_add(graph, "driver=format,node-name=n,file.driver=leaf,"
                           "file.node-name=f,backing=base");
    fake_assert_log("check:f[rws/rug] set:f[rws/rug]");
    edge = co_hold(&e1, n, R | W, R);
    fake_assert_log("check:n[rw/r] check:base[r/rug] check:f[rws/rg] "
                    "set:n[rw/r] set:base[r/rug] set:f[rws/rg]");
    blk_edge_co_detach_root(edge);
    fake_assert_log("check:n[/rwusg] check:base[/rwusg] check:f[rws/rug] "
                    "set:n[/rwusg] set:base[/rwusg] set:f[rws/rug]");
    co_end();
}

/* The driver of each node in turn refuses: all is as before, no check is left
 * without set or abort, and the next try succeeds. */
static void coroutine_fn
co_test_refusal(void *arg)
{
    g_autofree char *idle = NULL;
    BlkNode *top;
    unsigned n_checks;

    fake.yield = false;
    co_begin(0);
    fake.yield = arg != NULL;
    fake_co_add(graph, "driver=leaf,node-name=disk");
    fake_co_add(graph, "driver=filter,node-name=other,file=disk");
    top = fake_co_add(graph, "driver=filter,node-name=top,file.driver=window,"
                             "file.node-name=w,file.file.driver=filter,"
                             "file.file.node-name=v,file.file.file=disk");
    idle = dump_perms();
    n_checks = fake.n_checks;
    blk_edge_co_detach_root(co_hold(&e1, top, R | W, R));
    n_checks = (fake.n_checks - n_checks) / 2;
    g_assert_cmpuint(n_checks, ==, 4);
    for (unsigned i = 1; i <= n_checks; i++) {
        static const char *const names[] = { "top", "w", "v", "disk" };
        g_autofree char *message =
            g_strdup_printf("%s is locked", names[i - 1]);
        g_autofree char *now = NULL;

        fake.fail_check = i;
        co_attach_fails(&e1, top, R | W, R, ASH_ERROR_CONFLICT, message);
        g_assert_cmpuint(fake.fail_check, ==, 0);
        g_assert_cmpuint(fake.n_checked, ==, 0);
        now = dump_perms();
        g_assert_cmpstr(now, ==, idle);
        blk_edge_co_detach_root(co_hold(&e1, top, R | W, R));
    }
    co_end();
}

/* When a driver refuses to let go of what it has, the user goes anyway. */
static void coroutine_fn
co_test_release(void *arg)
{
    BlkEdge *edge;
    BlkNode *top;

    (void)arg;
    co_begin(0);
    top = fake_co_add(graph, "driver=filter,node-name=top,file.driver=leaf,"
                             "file.node-name=disk");
    for (unsigned i = 1; i <= 2; i++) {
        edge = co_hold(&e1, top, R | W, R);
        fake.fail_check = i;
        blk_edge_co_detach_root(edge);
        g_assert_cmpuint(fake.fail_check, ==, 0);
        g_assert_cmpuint(fake.n_checked, ==, 0);
        g_assert_cmpuint(top->perm, ==, 0);
        g_assert_cmpuint(top->primary->child->perm, ==, 0);
        g_assert_cmpuint(top->primary->child->shared, ==, ALL);
    }
    co_end();
}

/* Permissions of a user can be changed, or not, and then stay. */
static void coroutine_fn
co_test_set_perm(void *arg)
{
    g_autoptr(GError) error = NULL;
    BlkEdge *a;
    BlkEdge *b;
    BlkNode *n;

    (void)arg;
    co_begin(0);
    n = fake_co_add(graph, "driver=leaf,node-name=n");
    a = co_hold(&e1, n, R, ALL);
    b = co_hold(&e2, n, R, R);
    g_assert_false(blk_edge_co_set_perm(a, R | W, ALL, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==,
                    "export 'e2' does not allow others to write to node 'n', "
                    "which export 'e1' needs");
    g_assert_cmpuint(a->perm, ==, R);
    g_assert_cmpuint(n->perm, ==, R);
    blk_edge_co_detach_root(b);
    g_assert_true(blk_edge_co_set_perm(a, R | W, 0, NULL));
    g_assert_cmpuint(n->perm, ==, R | W);
    g_assert_cmpuint(n->shared, ==, 0);
    blk_edge_co_detach_root(a);
    co_end();
}

static void
run(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn, NULL);
}

static void
run_yielding(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn, &e1);
}

static void
add(const char *path, CoroFn *fn)
{
    g_test_add_data_func(path, (const void *)(uintptr_t)fn, run);
}

void
test_perm_add(void)
{
    add("/blockcore/perm/conflict", co_test_conflict);
    add("/blockcore/perm/conflict-below", co_test_conflict_below);
    add("/blockcore/perm/read-only", co_test_read_only);
    add("/blockcore/perm/force-share", co_test_force_share);
    add("/blockcore/perm/roles", co_test_roles);
    add("/blockcore/perm/pairs", co_test_pairs);
    add("/blockcore/perm/diamond", co_test_diamond);
    add("/blockcore/perm/order", co_test_order);
    add("/blockcore/perm/refusal", co_test_refusal);
    g_test_add_data_func("/blockcore/perm/refusal-that-yields",
                         (const void *)(uintptr_t)co_test_refusal,
                         run_yielding);
    add("/blockcore/perm/release", co_test_release);
    add("/blockcore/perm/set-perm", co_test_set_perm);
}
