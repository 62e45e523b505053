// The product in Fourier space of a dipole field: transformed spins times the transform of K,
//
//   (x, y, z) <- (K_xx x + K_xy y, K_xy x + K_yy y, K_zz z)
//
// in place and in one pass. K is real, hence acts alike on real and imaginary parts.
//
// Layout   transformed (replicas, 3, count) complex, as pairs of floats; K (4, plane) float32 in
//          the order xx, yy, xy, zz, of which the first `count` of each plane are used.
#include "spin.cuh"

SITE void multiply(float* x, float* y, float* z, const float* k, long long plane, long long i) {
    const float xx = k[i], yy = k[plane + i], xy = k[2 * plane + i], zz = k[3 * plane + i];
    for (long long j = 2 * i; j < 2 * i + 2; ++j) {
        const float a = x[j], b = y[j];
        x[j] = xx * a + xy * b;
        y[j] = xy * a + yy * b;
        z[j] *= zz;
    }
}

#ifdef __CUDACC__

extern "C" __global__ void multiply_spectrum(float* transformed, const float* k, long long count,
                                             long long plane) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    float* x = transformed + blockIdx.y * 6 * count;
    if (i < count) multiply(x, x + 2 * count, x + 4 * count, k, plane, i);
}

#else

#include "host.h"

#define PRODUCTS_PER_TASK 16384

extern "C" void multiply_spectrum_host(float* transformed, const float* k, long long count,
                                       long long plane, int replicas, int threads) {
    const int blocks = (int)((count + PRODUCTS_PER_TASK - 1) / PRODUCTS_PER_TASK);
    for_each_replica(replicas * blocks, threads, [=](int task) {
        const long long first = (long long)(task % blocks) * PRODUCTS_PER_TASK;
        const long long last = first + PRODUCTS_PER_TASK < count ? first + PRODUCTS_PER_TASK : count;
        float* x = transformed + (long long)(task / blocks) * 6 * count;
        float *y = x + 2 * count, *z = y + 2 * count;
        VECTOR_LOOP
        for (long long i = first; i < last; ++i) multiply(x, y, z, k, plane, i);
    });
}

#endif
