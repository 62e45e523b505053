// Dipole fields in Fourier space: transformed spins times the transform of K,
//
//   (x, y, z) <- (K_xx x + K_xy y, K_xy x + K_yy y, K_zz z)
//
// K is real, hence acts alike on real and imaginary parts. A GPU does this product in one pass
// between torch's transforms; the host has the whole convolution in `convolution.h`.
//
// Layout   transformed (replicas, 3, count) complex, as pairs of floats; K (4, count) float32 in
//          the order xx, yy, xy, zz.
#include "portable.cuh"

#ifdef __CUDACC__

SITE void multiply(float* x, float* y, float* z, const float* k, long long count, long long i) {
    const float xx = k[i], yy = k[count + i], xy = k[2 * count + i], zz = k[3 * count + i];
    for (long long j = 2 * i; j < 2 * i + 2; ++j) {
        const float a = x[j], b = y[j];
        x[j] = xx * a + xy * b;
        y[j] = xy * a + yy * b;
        z[j] *= zz;
    }
}

extern "C" __global__ void multiply_spectrum(float* transformed, const float* k, long long count) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    float* x = transformed + blockIdx.y * 6 * count;
    if (i < count) multiply(x, x + 2 * count, x + 4 * count, k, count, i);
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
    for_each_replica(count, outer, [=, &convolution](int r) {
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
