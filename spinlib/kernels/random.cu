// Arrays of random numbers for everything that is not a Monte Carlo move: start states, noise in
// pictures, draws of parameters. Element n of state s is word n mod 4 of the Philox block with
// counter (n / 4, draw, s, purpose): a pure function of what it is for.
#include "normal.cuh"

// Four words of one block -> four uniforms in (0, 1].
SITE void four_uniform(Words w, float* out) {
    out[0] = uniform(w.a);
    out[1] = uniform(w.b);
    out[2] = uniform(w.c);
    out[3] = uniform(w.d);
}

SITE void fill_block(float* out, long long elements, long long block, uint32 state, uint32 draw,
                     uint32 purpose, uint64 seed, int normal) {
    float four[4];
    Words w = philox((uint32)block, draw, state, purpose, seed);
    if (normal)
        four_normal(w, four);
    else
        four_uniform(w, four);
    for (int i = 0; i < 4 && 4 * block + i < elements; ++i) out[4 * block + i] = four[i];
}

#ifdef __CUDACC__

extern "C" __global__ void fill(float* out, const uint32* states, long long elements, uint32 draw,
                                uint32 purpose, uint64 seed, int normal) {
    const long long block = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (4 * block < elements)
        fill_block(out + blockIdx.y * elements, elements, block, states[blockIdx.y], draw, purpose,
                   seed, normal);
}

extern "C" __global__ void philox_words(const uint32* counters, uint32* words, Keys keys, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const uint32* c = counters + 4 * i;
    Words w = philox(c[0], c[1], c[2], c[3], keys);
    words[4 * i] = w.a, words[4 * i + 1] = w.b, words[4 * i + 2] = w.c, words[4 * i + 3] = w.d;
}

#else

#include "host.h"
#include "philox_lanes.h"

extern "C" void fill_host(float* out, const uint32* states, long long elements, uint32 draw,
                          uint32 purpose, uint64 seed, int normal, int count, int threads) {
    for_each_task(count, threads, [&](int r) {
        float* here = out + r * elements;
        const uint32 state = states[r];
        const long long whole = elements / 4;
        if (normal) {
            VECTOR_LOOP
            for (long long block = 0; block < whole; ++block)
                four_normal(philox((uint32)block, draw, state, purpose, seed), here + 4 * block);
        } else {
            VECTOR_LOOP
            for (long long block = 0; block < whole; ++block)
                four_uniform(philox((uint32)block, draw, state, purpose, seed), here + 4 * block);
        }
        if (4 * whole < elements) fill_block(here, elements, whole, state, draw, purpose, seed, normal);
    });
}

extern "C" void philox_words_host(const uint32* counters, uint32* words, uint64 seed, int count) {
    for (int i = 0; i < count; ++i) {
        const uint32* c = counters + 4 * i;
        Words w = philox(c[0], c[1], c[2], c[3], seed);
        words[4 * i] = w.a, words[4 * i + 1] = w.b, words[4 * i + 2] = w.c, words[4 * i + 3] = w.d;
    }
}

// The same from whole vectors of sites, (4, 256), for the tests.
extern "C" void philox_lanes_host(const uint32* sites, uint32* words, uint32 sweep, uint32 state,
                                  uint32 stream, uint64 seed) {
    philox_many(sites, 0, 256, sweep, state, stream, seed, (uint32(*)[256])words);
}

#endif
