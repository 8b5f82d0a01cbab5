/*
 * tests/fuzz/replay.c - run a target over a corpus, with any compiler.
 *
 *   replay-TARGET FOLDER [SEED [MUTATIONS]]
 *
 * Every file is an input; then MUTATIONS random changes of them are tried
 * (default 300), from SEED (printed).  A failure aborts, after the input was
 * written to ./replay-failure.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static GPtrArray *
replay_load(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    GPtrArray *all =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        char *data;
        gsize bytes;

        if (g_file_get_contents(path, &data, &bytes, NULL)) {
            g_ptr_array_add(all, g_bytes_new_take(data, bytes));
        }
    }
    return all;
}

static void
replay_one(const uint8_t *data, gsize bytes)
{
    /* What fails is there to be looked at. */
    if (!g_file_set_contents("replay-failure", (const char *)data,
                             (gssize)bytes, NULL)) {
        fprintf(stderr, "replay: cannot write replay-failure\n");
    }
    LLVMFuzzerTestOneInput(data, bytes);
}

/* A copy of an input with some bytes changed, dropped, or doubled. */
static void
replay_mutate(GRand *rand, GBytes *input)
{
    g_autoptr(GByteArray) copy = g_byte_array_new();
    gsize bytes;
    const guint8 *data = g_bytes_get_data(input, &bytes);

    g_byte_array_append(copy, data, (guint)bytes);
    for (int i = g_rand_int_range(rand, 1, 5); i > 0 && copy->len > 1; i--) {
        guint at = (guint)g_rand_int_range(rand, 0, (gint)copy->len);
        guint n = (guint)g_rand_int_range(rand, 1, 9);
        guint8 again[8];

        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            copy->data[at] = (guint8)g_rand_int_range(rand, 0, 256);
            break;
        case 1:
            copy->data[at] ^= (guint8)(1 << g_rand_int_range(rand, 0, 8));
            break;
        case 2:
            g_byte_array_remove_range(copy, at, MIN(n, copy->len - at));
            break;
        default:
            n = MIN(n, copy->len - at);
            memcpy(again, copy->data + at, n);
            g_byte_array_append(copy, again, n);
            break;
        }
    }
    replay_one(copy->data, copy->len);
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) inputs = NULL;
    g_autoptr(GRand) rand = NULL;
    guint32 seed =
        argc > 2 ? (guint32)g_ascii_strtoull(argv[2], NULL, 0) : g_random_int();
    guint n = argc > 3 ? (guint)g_ascii_strtoull(argv[3], NULL, 0) : 300;

    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [SEED [MUTATIONS]]\n", argv[0]);
        return 2;
    }
    printf("seed %u\n", seed);
    fflush(stdout);
    inputs = replay_load(argv[1]);
    if (inputs->len == 0) {
        fprintf(stderr, "no input in %s\n", argv[1]);
        return 1;
    }
    for (guint i = 0; i < inputs->len; i++) {
        gsize bytes;
        const uint8_t *data =
            g_bytes_get_data(g_ptr_array_index(inputs, i), &bytes);

        replay_one(data, bytes);
    }
    rand = g_rand_new_with_seed(seed);
    for (guint i = 0; i < n; i++) {
        replay_mutate(rand, g_ptr_array_index(inputs, i % inputs->len));
    }
    unlink("replay-failure");
    printf("%u inputs of the corpus and %u mutations tried, 0 crashes\n",
           inputs->len, n);
    return 0;
}
