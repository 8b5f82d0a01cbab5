/*
 * tests/lib/sim-random.h - SimRng: a seeded stream of numbers (xoshiro256**).
 *
 * Each part of a simulated world draws from a stream of its own, so that a
 * change in how one part draws leaves the choices of the others alone.
 *
 * Layer:   tests/lib.      Pure.      Tests: tests/unit/sim/test-sim-loop.c
 * Source:  Blackman and Vigna, "Scrambled linear pseudorandom number
 *          generators"; the seed is spread with splitmix64.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct SimRng {
    uint64_t s[4];
} SimRng;

static inline uint64_t
sim_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* A hash of memory, for traces; not for the wire. */
static inline uint64_t
sim_hash_bytes(uint64_t h, const void *buf, size_t bytes)
{
    const unsigned char *p = buf;

    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t x;

        memcpy(&x, p, sizeof(x));
        h = (h ^ x) * 0x9fb21c651e98df25U;
        h ^= h >> 32;
    }
    for (; bytes > 0; bytes--, p++) {
        h = (h ^ *p) * 0x100000001b3U;
    }
    return h;
}

/* @stream: which of the streams of @seed */
static inline void
sim_rng_init(SimRng *rng, uint64_t seed, uint64_t stream)
{
    uint64_t x = sim_mix64(seed) ^ sim_mix64(~stream);

    for (unsigned i = 0; i < 4; i++) {
        x = sim_mix64(x);
        rng->s[i] = x;
    }
}

static inline uint64_t
sim_rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline uint64_t
sim_rng_next(SimRng *rng)
{
    uint64_t result = sim_rotl(rng->s[1] * 5, 7) * 9;
    uint64_t t = rng->s[1] << 17;

    rng->s[2] ^= rng->s[0];
    rng->s[3] ^= rng->s[1];
    rng->s[1] ^= rng->s[2];
    rng->s[0] ^= rng->s[3];
    rng->s[2] ^= t;
    rng->s[3] = sim_rotl(rng->s[3], 45);
    return result;
}

/* In [0, n); @n > 0. */
static inline uint64_t
sim_rng_below(SimRng *rng, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)sim_rng_next(rng) * n) >> 64);
}

/* In [lo, hi]. */
static inline uint64_t
sim_rng_between(SimRng *rng, uint64_t lo, uint64_t hi)
{
    return lo + sim_rng_below(rng, hi - lo + 1);
}

/* True @permille times of 1000. */
static inline bool
sim_rng_chance(SimRng *rng, unsigned permille)
{
    return sim_rng_below(rng, 1000) < permille;
}

/* In [lo, hi], each power of two as likely as the next: mostly small. */
static inline uint64_t
sim_rng_skewed(SimRng *rng, uint64_t lo, uint64_t hi)
{
    uint64_t span = hi - lo;
    unsigned bits = span ? 64U - (unsigned)__builtin_clzll(span) : 0;
    uint64_t cap = (uint64_t)1 << sim_rng_below(rng, bits + 1);

    return lo + sim_rng_below(rng, (cap < span + 1 ? cap : span + 1));
}
