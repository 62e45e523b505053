// Dipole fields in Fourier space: transformed spins times the transform of K, and thermal noise,
//
//   h(k) = d K(k) S(k) + a R(k) xi(k),    (K S) = (K_xx S_x + K_xy S_y, K_xy S_x + K_yy S_y, K_zz S_z)
//
// with strength d, amplitude a = sqrt(d T), R the square root of K, and xi complex white noise. K is
// real, hence acts alike on real and imaginary parts. A GPU does this in one pass between torch's
// transforms; the host has the whole convolution in `convolution.h`.
//
// Layout   transformed (replicas, 3, rows, columns / 2 + 1) complex, k_x >= 0 and every k_y; K and
//          R (rows, columns / 2 + 1, 4) float32 in the order xx, yy, xy, zz.
#include "normal.cuh"

#ifdef __CUDACC__

// A tensor is xx, yy, xy, zz, as x, y, z and w.
SITE float4 scaled(float factor, float4 k) {
    return make_float4(factor * k.x, factor * k.y, factor * k.z, factor * k.w);
}
SITE float2 combination(float a, float2 u, float b, float2 v) {
    return make_float2(a * u.x + b * v.x, a * u.y + b * v.y);
}
SITE float2 sum(float2 u, float2 v) { return make_float2(u.x + v.x, u.y + v.y); }

// K S alone.
extern "C" __global__ void multiply_spectrum(const float4* k, int count, float2* transformed) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float2 *x = transformed + blockIdx.y * 3LL * count, *y = x + count, *z = y + count;
    const float4 at = k[i];
    const float2 s_x = x[i], s_y = y[i], s_z = z[i];
    x[i] = combination(at.x, s_x, at.z, s_y);
    y[i] = combination(at.z, s_x, at.y, s_y);
    z[i] = make_float2(at.w * s_z.x, at.w * s_z.y);
}

// White noise of one component at two wavenumbers on end, k_x = first and first + 1, or at their
// negatives, of a row k_y >= 0. As on the host each takes half a Philox block, of which `block` is the
// first of the row. A k_x beyond the ends makes a number that nobody uses.
SITE void white_pair(White white, uint32 block, int columns, int first, bool negative, float2* pair) {
    float four[4];
    int drawn = -1;
    for (int j = 0; j < 2; ++j) {
        const int k_x = negative && first + j > 0 ? columns - (first + j) : first + j;
        if (k_x / 2 != drawn) {
            drawn = k_x / 2;
            four_normal(philox(block + drawn, white.draw, white.state, white.purpose, white.seed), four);
        }
        pair[j] = k_x % 2 ? make_float2(four[2], four[3]) : make_float2(four[0], four[1]);
    }
}

// Noise is drawn at k_y >= 0 and every k_x. For a real field it is the conjugate at -k, so a row of
// negative k_y takes what was drawn at its mirror image; the rows that are their own images, k_y = 0
// and rows / 2, take the mean of both, which is what an inverse transform along y makes of them.
extern "C" __global__ void draw_dipole_field(const float4* k, const float4* root, int rows, int columns,
                                             const float* strengths, const float* temperatures,
                                             int sweeps, const uint32* states, uint32 purpose,
                                             uint64 seed, float2* transformed, int first_replica,
                                             int sweep, uint32 draw) {
    const int halves = columns / 2 + 1, pairs = halves / 2 + 1;
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, k_y = thread / pairs;
    if (k_y >= rows) return;
    const long long r = first_replica + (long long)blockIdx.y;
    const float d = strengths[r], a = square_root(d * temperatures[r * sweeps + sweep]);
    const bool negative = 2 * k_y > rows, real = k_y == 0 || 2 * k_y == rows;
    // The mirror images of k_x = 2p - 1 and 2p share a block if the number of columns is even.
    const int first = 2 * (thread % pairs) - (negative && columns % 2 == 0 ? 1 : 0);
    float2 noise[3][2] = {};
    if (a > 0.0f) {
        const White white = {draw, states[r], purpose, seed};
        const int row = negative ? rows - k_y : k_y;
        for (int c = 0; c < 3; ++c) {
            const uint32 block = (uint32)(c * (rows / 2 + 1) + row) * (uint32)((columns + 1) / 2);
            white_pair(white, block, columns, first, negative, noise[c]);
            float2 image[2] = {};
            if (real) white_pair(white, block, columns, first, true, image);
            for (int j = 0; j < 2; ++j) {
                const float2 n = noise[c][j];
                if (real) noise[c][j] = make_float2(0.5f * (n.x + image[j].x), 0.5f * (n.y - image[j].y));
                if (negative) noise[c][j].y = -n.y;
            }
        }
    }
    const long long count = (long long)rows * halves;
    float2 *x = transformed + blockIdx.y * 3 * count, *y = x + count, *z = y + count;
    for (int j = 0; j < 2; ++j) {
        const int k_x = first + j;
        if (k_x < 0 || k_x >= halves) continue;
        const long long i = (long long)k_y * halves + k_x;
        const float4 at = scaled(d, k[i]), noisy = scaled(a, root[i]);
        const float2 s_x = x[i], s_y = y[i], s_z = z[i];
        const float2 n_x = noise[0][j], n_y = noise[1][j], n_z = noise[2][j];
        x[i] = sum(combination(at.x, s_x, at.z, s_y), combination(noisy.x, n_x, noisy.z, n_y));
        y[i] = sum(combination(at.z, s_x, at.y, s_y), combination(noisy.z, n_x, noisy.y, n_y));
        z[i] = combination(at.w, s_z, noisy.w, n_z);
    }
}

#else

#include "convolution.h"

// Sixteen sites of a row, or as many as there are.
SITE void copy_sites(const float* from, float* to, int count) {
    if (count >= FFT_LINE)
        for (int i = 0; i < FFT_LINE; ++i) to[i] = from[i];
    else
        for (int i = 0; i < count; ++i) to[i] = from[i];
}

extern "C" void convolve_host(const float* spins, float* field, int height, int width, int rows,
                              int columns, const float* kernel, int count, int threads) {
    const Convolution convolution({height, width, rows, columns}, kernel, nullptr);
    const int outer = count < threads ? count : threads;
    for_each_task(count, outer, [=, &convolution](int r) {
        const long long first = (long long)r * 3 * height * width;
        auto load = [=](int component, int y, int x, float* line) {
            if (width - x < FFT_LINE)
                for (int i = 0; i < FFT_LINE; ++i) line[i] = 0.0f;
            copy_sites(spins + first + ((long long)component * height + y) * width + x, line, width - x);
        };
        auto store = [=](int component, int y, int x, const float* line) {
            copy_sites(line, field + first + ((long long)component * height + y) * width + x, width - x);
        };
        convolution.apply(1.0f, 0.0f, {}, threads / outer, load, store);
    });
}

// One transform of n complex numbers in every lane, (n, 2, 8), in natural order: for the tests.
extern "C" void fourier_host(const float* from, float* to, int n, int backward) {
    const Fourier& fourier = Fourier::of(n);
    std::vector<float> work((size_t)n * FFT_LINE);
    auto copy = [](const float* a, float* b) { store_line(b, load_line(a)); };
    for (int k = 0; k < n; ++k) copy(from + k * FFT_LINE, &work[(backward ? fourier.place[k] : k) * FFT_LINE]);
    if (backward)
        fourier.backward(work.data(), work.data(), false);
    else
        fourier.forward(work.data(), work.data(), false);
    for (int k = 0; k < n; ++k) copy(&work[(backward ? k : fourier.place[k]) * FFT_LINE], to + k * FFT_LINE);
}

#endif
