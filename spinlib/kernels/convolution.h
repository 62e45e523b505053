// The dipole field of one layer on the host, K applied by Fourier transform, and its thermal noise.
//
//   h(k) = d K(k) S(k) + a R(k) xi(k)
//
// with strength d, amplitude a, R the square root of K, and xi complex white noise (or none).
//
// Columns come first, sixteen at a time: sixteen neighbours in a row are a line of `fourier.h`, eight
// columns as real and eight as imaginary parts, which the symmetry of real data tells apart again.
// Then, for eight k_y at a time and while they stay in the nearest cache: along x, times K, and back.
// Then the columns back. Lines known to be zero in a padded layer are not transformed.
#pragma once
#include "fourier.h"
#include "host.h"
#include "normal.cuh"
#include "philox_lanes.h"

// Floats to work in that begin with a cache line and stay with their thread.
struct Memory {
    std::vector<float> kept;
    float* lines(size_t count) {
        if (kept.size() < (count + 1) * FFT_LINE) kept.assign((count + 1) * FFT_LINE, 0.0f);
        return (float*)(((uintptr_t)kept.data() + 63) / 64 * 64);
    }
};

#if defined(__clang__)
#define CHOOSE_LANES(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int LaneNumbers __attribute__((vector_size(4 * FFT_LANES)));
#define CHOOSE_LANES(a, b, ...) __builtin_shuffle(a, b, LaneNumbers{__VA_ARGS__})
#endif

// a0 b0 a1 b1 … as two vectors, and back.
SITE Complex interleave(Lanes a, Lanes b) {
    return {CHOOSE_LANES(a, b, 0, 8, 1, 9, 2, 10, 3, 11), CHOOSE_LANES(a, b, 4, 12, 5, 13, 6, 14, 7, 15)};
}
SITE Complex take_apart(Lanes a, Lanes b) {
    return {CHOOSE_LANES(a, b, 0, 2, 4, 6, 8, 10, 12, 14), CHOOSE_LANES(a, b, 1, 3, 5, 7, 9, 11, 13, 15)};
}

// Rows become columns by three perfect shuffles.
SITE void transpose(Lanes* v) {
    Lanes w[FFT_LANES];
    UNROLLED
    for (int round = 0; round < 3; ++round) {
        UNROLLED
        for (int i = 0; i < 4; ++i) {
            const Complex pair = interleave(v[i], v[i + 4]);
            w[2 * i] = pair.re, w[2 * i + 1] = pair.im;
        }
        UNROLLED
        for (int i = 0; i < FFT_LANES; ++i) v[i] = w[i];
    }
}

struct Layer {
    int height, width, rows, columns;  // of the layer, and of the transform
};

struct Convolution {
    const Layer l;
    const float *kernel, *root;  // K and R at [k_y / 8][k_x <= columns/2][xx, yy, xy, zz][k_y % 8]
    const Fourier &along_y, &along_x;
    const bool half_y, half_x;  // whether the upper half of the transform's rows, columns is padding
    const int wavenumbers, blocks, pieces, slots, pairs;

    Convolution(Layer layer, const float* kernel, const float* root)
        : l(layer), kernel(kernel), root(root), along_y(Fourier::of(l.rows)),
          along_x(Fourier::of(l.columns)), half_y(l.rows >= 2 * l.height),
          half_x(l.columns >= 2 * l.width), wavenumbers(l.rows / 2 + 1),
          blocks((wavenumbers + FFT_LANES - 1) / FFT_LANES),
          pieces((l.width + FFT_LINE - 1) / FFT_LINE),
          slots(pieces * FFT_LINE > points_x() ? pieces * FFT_LINE : points_x()),
          pairs((l.columns + 1) / 2) {}

    // load(component, y, x, line) fetches sixteen sites of a row, zeros beyond its end, and
    // store(component, y, x, line) takes as many; of sites beyond the end it takes no notice.
    template <class Load, class Store>
    void apply(float strength, float amplitude, White white, int threads, Load load, Store store) const {
        static thread_local Memory memory;
        float* spectrum = memory.lines((size_t)3 * blocks * slots);
        for_each_task(3 * pieces, threads, [=](int task) {
            columns_forward(task / pieces, task % pieces, load, spectrum);
        });
        for_each_task(blocks, threads, [=](int block) {
            if (amplitude > 0.0f)
                multiply<true>(block, strength, amplitude, white, spectrum);
            else
                multiply<false>(block, strength, 0.0f, white, spectrum);
        });
        for_each_task(3 * pieces, threads, [=](int task) {
            columns_back(task / pieces, task % pieces, store, spectrum);
        });
    }

  private:
    int points_x() const { return half_x ? l.columns / 2 : l.columns; }
    static float* scratch(size_t lines) {
        static thread_local Memory memory;
        return memory.lines(lines);
    }
    float* lines_of(float* spectrum, int component, int block) const {
        return spectrum + ((size_t)component * blocks + block) * slots * FFT_LINE;
    }

    template <class Load>
    void columns_forward(int component, int piece, Load load, float* spectrum) const {
        float* s = scratch(l.rows);
        const int x = piece * FFT_LINE, points = half_y ? l.rows / 2 : l.rows;
        for (int y = 0; y < l.height; ++y) load(component, y, x, s + y * FFT_LINE);
        for (int i = l.height * FFT_LINE; i < points * FFT_LINE; ++i) s[i] = 0.0f;
        along_y.forward(s, s, half_y);
        for (int block = 0; block < blocks; ++block) {
            Lanes a_re[FFT_LANES] = {}, a_im[FFT_LANES] = {}, b_re[FFT_LANES] = {}, b_im[FFT_LANES] = {};
            for (int i = 0; i < FFT_LANES && block * FFT_LANES + i < wavenumbers; ++i) {
                const int k = block * FFT_LANES + i;
                const Complex z = load_line(s + along_y.place[k] * FFT_LINE);
                const Complex w = load_line(s + along_y.place[k ? l.rows - k : 0] * FFT_LINE);
                a_re[i] = z.re + w.re, a_im[i] = z.im - w.im;  // twice the transforms of both
                b_re[i] = z.im + w.im, b_im[i] = w.re - z.re;
            }
            transpose(a_re), transpose(a_im), transpose(b_re), transpose(b_im);
            float* to = lines_of(spectrum, component, block) + x * FFT_LINE;
            for (int i = 0; i < FFT_LANES; ++i, to += FFT_LINE) {
                store_line(to, {a_re[i], a_im[i]});
                store_line(to + FFT_LANES * FFT_LINE, {b_re[i], b_im[i]});
            }
            if (piece == pieces - 1)  // the padding between the layer's end and the transform's middle
                for (float* end = lines_of(spectrum, component, block) + slots * FFT_LINE; to + FFT_LANES * FFT_LINE < end; ++to)
                    to[FFT_LANES * FFT_LINE] = 0.0f;
        }
    }

    template <bool NOISE>
    void multiply(int block, float strength, float amplitude, White white, float* spectrum) const {
        float* work = scratch((size_t)3 * (half_x ? l.columns : 0) + 3 * 2 * pairs);
        float *from[3], *to[3], *noise[3];
        for (int c = 0; c < 3; ++c) {
            from[c] = lines_of(spectrum, c, block);
            noise[c] = work + (size_t)c * 2 * pairs * FFT_LINE;
            to[c] = half_x ? work + (3 * 2 * (size_t)pairs + c * (size_t)l.columns) * FFT_LINE : from[c];
            along_x.forward(from[c], to[c], half_x);
            if (NOISE) draw(block, c, white, noise[c]);
        }
        const Lanes d = 0.5f * strength - Lanes{}, a = amplitude - Lanes{};
        for (int k = 0; 2 * k <= l.columns; ++k)
            for (int mirrored = 0; mirrored < (k && 2 * k < l.columns ? 2 : 1); ++mirrored) {
                const int kx = mirrored ? l.columns - k : k, place = along_x.place[kx] * FFT_LINE;
                const size_t entry = ((size_t)block * (l.columns / 2 + 1) + k) * 4 * FFT_LANES;
                Complex v[3] = {load_line(to[0] + place), load_line(to[1] + place), load_line(to[2] + place)};
                product(kernel + entry, d, mirrored, v);
                if (NOISE) {
                    Complex n[3];
                    const int word = kx % 2 * 2 * pairs * FFT_LANES, at = kx / 2 * FFT_LANES;
                    for (int c = 0; c < 3; ++c) {
                        const float* re = noise[c] + word + at;
                        n[c] = {*(const Lanes*)re, *(const Lanes*)(re + pairs * FFT_LANES)};
                    }
                    product(root + entry, a, mirrored, n);
                    for (int c = 0; c < 3; ++c) v[c] = v[c] + n[c];
                }
                for (int c = 0; c < 3; ++c) store_line(to[c] + place, v[c]);
            }
        for (int c = 0; c < 3; ++c) along_x.backward(to[c], from[c], half_x);
    }

    // v <- factor K v; K_xy is odd in k_x.
    SITE void product(const float* k, Lanes factor, bool mirrored, Complex* v) {
        const Lanes* tensor = (const Lanes*)k;
        const Lanes xx = factor * tensor[0], yy = factor * tensor[1], zz = factor * tensor[3];
        const Lanes xy = mirrored ? -factor * tensor[2] : factor * tensor[2];
        const Complex x = v[0], y = v[1];
        v[0] = {multiply_add(xx, x.re, xy * y.re), multiply_add(xx, x.im, xy * y.im)};
        v[1] = {multiply_add(xy, x.re, yy * y.re), multiply_add(xy, x.im, yy * y.im)};
        v[2] = {zz * v[2].re, zz * v[2].im};
    }

    // White noise of one component as noise[word of a block][p][lane], in long vector loops.
    void draw(int block, int component, White white, float* noise) const {
        const int numbers = pairs * FFT_LANES, at_once = 128;
        const uint32 first = (uint32)(component * wavenumbers + block * FFT_LANES) * pairs;
        float *a = noise, *b = a + numbers, *c = b + numbers, *d = c + numbers;
        uint32 counters[at_once], words[4][at_once];
        for (int start = 0; start < numbers; start += at_once) {
            for (int i = 0; i < at_once; ++i)
                counters[i] = (uint32)(i % FFT_LANES * pairs + (start + i) / FFT_LANES);
            philox_many(counters, first, at_once, white.draw, white.state, white.purpose, white.seed, words);
            const int count = numbers - start < at_once ? numbers - start : at_once;
            VECTOR_LOOP
            for (int i = 0; i < count; ++i) {
                float four[4];
                four_normal({words[0][i], words[1][i], words[2][i], words[3][i]}, four);
                a[start + i] = four[0], b[start + i] = four[1];
                c[start + i] = four[2], d[start + i] = four[3];
            }
        }
    }

    template <class Store>
    void columns_back(int component, int piece, Store store, float* spectrum) const {
        float* s = scratch(l.rows);
        const int x = piece * FFT_LINE;
        for (int block = 0; block < blocks; ++block) {
            Lanes a_re[FFT_LANES], a_im[FFT_LANES], b_re[FFT_LANES], b_im[FFT_LANES];
            const float* from = lines_of(spectrum, component, block) + x * FFT_LINE;
            for (int i = 0; i < FFT_LANES; ++i, from += FFT_LINE) {
                const Complex a = load_line(from), b = load_line(from + FFT_LANES * FFT_LINE);
                a_re[i] = a.re, a_im[i] = a.im, b_re[i] = b.re, b_im[i] = b.im;
            }
            transpose(a_re), transpose(a_im), transpose(b_re), transpose(b_im);
            for (int i = 0; i < FFT_LANES && block * FFT_LANES + i < wavenumbers; ++i) {
                const int k = block * FFT_LANES + i;
                float* at = s + along_y.place[k] * FFT_LINE;
                if (k == 0 || 2 * k == l.rows) {  // real, whatever rounding and noise put there
                    store_line(at, {a_re[i], b_re[i]});
                } else {
                    store_line(at, {a_re[i] - b_im[i], a_im[i] + b_re[i]});
                    store_line(s + along_y.place[l.rows - k] * FFT_LINE, {a_re[i] + b_im[i], b_re[i] - a_im[i]});
                }
            }
        }
        along_y.backward(s, s, half_y);
        for (int y = 0; y < l.height; ++y) store(component, y, x, s + y * FFT_LINE);
    }
};
