// Philox4x32-10, a counter-based generator (Salmon et al., SC '11, doi:10.1145/2063384.2063405).
// A random number is a pure function of what it is for: no state is carried, so any site of any
// replica can be drawn in any order, on any device, in any batch, and be the same.
#pragma once
#include "portable.cuh"

template <class Word>
struct WordsOf {
    Word a, b, c, d;
};
typedef WordsOf<uint32> Words;

// What a stream is for: the last counter word, so that no two uses ever share numbers.
#define STREAM_HEAT_BATH 0u
#define STREAM_THERMAL_FIELD 3u

template <class Word>
SITE WordsOf<Word> philox_round(WordsOf<Word> w, uint32 key_low, uint32 key_high) {
    WordsOf<Word> next;
    next.a = multiply_high(0xCD9E8D57u, w.c) ^ w.b ^ key_low;
    next.b = 0xCD9E8D57u * w.c;
    next.c = multiply_high(0xD2511F53u, w.a) ^ w.d ^ key_high;
    next.d = 0xD2511F53u * w.a;
    return next;
}

// The two halves of a 64-bit seed in each of the ten rounds: they grow by constants. A kernel that
// draws in a loop takes them as an argument, as making them would be a twelfth of its instructions.
struct Keys {
    uint32 low[10], high[10];
};
SITE Keys round_keys(uint64 seed) {
    Keys keys;
    for (uint32 i = 0; i < 10u; ++i) {
        keys.low[i] = (uint32)seed + i * 0x9E3779B9u;
        keys.high[i] = (uint32)(seed >> 32) + i * 0xBB67AE85u;
    }
    return keys;
}

// Counter words and keys -> 128 random bits, for one counter or for a vector of them.
template <class Word>
SITE WordsOf<Word> philox_rounds(WordsOf<Word> w, const Keys& keys) {
    UNROLLED
    for (int i = 0; i < 10; ++i) w = philox_round(w, keys.low[i], keys.high[i]);
    return w;
}

SITE Words philox(uint32 site, uint32 sweep, uint32 state, uint32 stream, const Keys& keys) {
    return philox_rounds(Words{site, sweep, state, stream}, keys);
}
SITE Words philox(uint32 site, uint32 sweep, uint32 state, uint32 stream, uint64 seed) {
    return philox(site, sweep, state, stream, round_keys(seed));
}

// Uniform in (0, 1]: the 24 leading bits, at the middle of their bin; the last bin's is rounded up.
SITE float uniform(uint32 word) { return (float)(int)(word >> 8) * 5.9604645e-8f + 2.9802322e-8f; }
