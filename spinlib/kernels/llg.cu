// Landau-Lifshitz-Gilbert dynamics of batches of films.
//
//   dS/d(gamma t) = - p S x B - q S x (S x B),    p = 1/(1 + alpha^2),  q = alpha/(1 + alpha^2)
//
// Fields are in tesla, so that everything is of order one; p = 0, q = 1 is steepest descent. The
// local terms of B and the thermal field are made on the fly; the demagnetising field, which needs
// a Fourier transform, comes as a map.
//
// Layout   spins, demagnetising field, torque and steps (replicas, 3, height, width) float32; an
//          optional anisotropy map (replicas or 1, height, width), added to the table's constant.
// Work     `torque` is one pass: read S (12 bytes a cell, the neighbours from cache), read the
//          demagnetising field (12), write (12). `advance` adds up to four torques, each with its
//          own weight per replica, and renormalises. Nothing else of a Runge-Kutta stage touches
//          memory. On a GPU the Fourier transforms of an open film move some ten times as much.
#include "spin.cuh"

// One row of a table that Python fills, fields in tesla. The last two words are counters of the
// thermal field's random stream: the state's index in its data set and the number of the time step.
struct Film {
    Couplings couplings;
    float dipolar;  // mu0 M_s, by which the unit-strength demagnetising field is multiplied
    float precession, damping, thermal;  // p, q, and the thermal field's standard deviation
    uint32 state, step;
};

// Steps of this many sites are one thread's work on the host.
#define SITES_PER_TASK 8192

template <bool THERMAL>
SITE Vec3 torque_at(Vec3 spin, Vec3 right, Vec3 left, Vec3 up, Vec3 down, Vec3 map_field,
                    float map_anisotropy, const Film& film, uint32 site, uint64 seed) {
    Vec3 external = fma_(film.dipolar, map_field, film.couplings.field);
    Vec3 field = linear_field(right, left, up, down, external, film.couplings);
    field.z = fma_(2.0f * (film.couplings.anisotropy + map_anisotropy), spin.z, field.z);
    if (THERMAL) {
        Words random = philox(site, film.step, film.state, STREAM_THERMAL_FIELD, seed);
        field = fma_(film.thermal, normal_vector(random), field);
    }
    return landau_lifshitz(spin, field, film.precession, film.damping);
}

// S + sum_j w_j k_j, brought back to the sphere; a vacancy stays one.
SITE Vec3 on_sphere(Vec3 v) { return inverse_sqrt(larger(dot(v, v), 1e-20f)) * v; }

#ifdef __CUDACC__

template <bool THERMAL>
static __device__ void torque_of_cell(const float* spins, const Film* films, const float* field,
                                      const float* anisotropy, long long anisotropy_stride,
                                      Lattice l, uint64 seed, float* out) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= l.width || y >= l.height) return;
    const long long plane = (long long)l.height * l.width, r = blockIdx.z;
    const int site = y * l.width + x;
    const float* s = spins + r * 3 * plane;
    const Neighbours n = neighbours(s, l, x, y);
    Vec3 map_field = field ? load(field + r * 3 * plane, plane, site) : Vec3{0.0f, 0.0f, 0.0f};
    float map_anisotropy = anisotropy ? anisotropy[r * anisotropy_stride + site] : 0.0f;
    Vec3 k = torque_at<THERMAL>(load(s, plane, site), n.right, n.left, n.up, n.down, map_field,
                                map_anisotropy, films[r], site, seed);
    store(out + r * 3 * plane, plane, site, k);
}

extern "C" __global__ void torque(const float* spins, const Film* films, const float* field,
                                  const float* anisotropy, long long anisotropy_stride, int height,
                                  int width, int periodic, int thermal, uint64 seed, float* out) {
    const Lattice l = {height, width, periodic};
    if (thermal)
        torque_of_cell<true>(spins, films, field, anisotropy, anisotropy_stride, l, seed, out);
    else
        torque_of_cell<false>(spins, films, field, anisotropy, anisotropy_stride, l, seed, out);
}

extern "C" __global__ void advance(const float* spins, const float* a, const float* b, const float* c,
                                   const float* d, const float* weights, int sites, float* out) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, plane = sites;
    if (i >= plane) return;
    const long long start = blockIdx.y * 3 * plane;
    const float* w = weights + 4 * blockIdx.y;
    Vec3 v = load(spins + start, plane, i) + w[0] * load(a + start, plane, i);
    if (b) v = v + w[1] * load(b + start, plane, i);
    if (c) v = v + w[2] * load(c + start, plane, i);
    if (d) v = v + w[3] * load(d + start, plane, i);
    store(out + start, plane, i, on_sphere(v));
}

#else

#include "host.h"

// Rows y of the three components of one replica; beyond an open edge a row of zeros.
struct Rows {
    const float *x, *y, *z;

    Rows(const float* s, const float* zeros, Lattice l, int row) : x(zeros), y(zeros), z(zeros) {
        if (l.periodic) row = row < 0 ? l.height - 1 : (row == l.height ? 0 : row);
        if (!s || row < 0 || row >= l.height) return;
        const long long plane = (long long)l.height * l.width;
        x = s + (long long)row * l.width;
        y = x + plane;
        z = y + plane;
    }
};

template <bool THERMAL>
static void torque_of_row(const float* spins, const Film& replica, const float* field,
                          const float* anisotropy, Lattice l, int row, uint64 seed,
                          const float* zeros, float* ghosted, float* out) {
    const long long plane = (long long)l.height * l.width, first = (long long)row * l.width;
    const int width = l.width, stride = width + 2;
    // The row itself with a ghost cell at either end, so that every neighbour is a plain load.
    for (int component = 0; component < 3; ++component) {
        const float* from = spins + component * plane + first;
        float* to = ghosted + component * stride;
        to[0] = l.periodic ? from[width - 1] : 0.0f;
        for (int x = 0; x < width; ++x) to[x + 1] = from[x];
        to[width + 1] = l.periodic ? from[0] : 0.0f;
    }
    const float *own_x = ghosted + 1, *own_y = own_x + stride, *own_z = own_y + stride;
    const Rows above(spins, zeros, l, row + 1), below(spins, zeros, l, row - 1), map(field, zeros, l, row);
    const float *up_x = above.x, *up_y = above.y, *up_z = above.z;
    const float *down_x = below.x, *down_y = below.y, *down_z = below.z;
    const float *map_x = map.x, *map_y = map.y, *map_z = map.z;
    const float* map_k = anisotropy ? anisotropy + first : zeros;
    float *out_x = out + first, *out_y = out_x + plane, *out_z = out_y + plane;
    const Film film = replica;
    VECTOR_LOOP
    for (int x = 0; x < width; ++x) {
        Vec3 k = torque_at<THERMAL>(
            {own_x[x], own_y[x], own_z[x]}, {own_x[x + 1], own_y[x + 1], own_z[x + 1]},
            {own_x[x - 1], own_y[x - 1], own_z[x - 1]}, {up_x[x], up_y[x], up_z[x]},
            {down_x[x], down_y[x], down_z[x]}, {map_x[x], map_y[x], map_z[x]}, map_k[x], film,
            (uint32)first + (uint32)x, seed);
        out_x[x] = k.x;
        out_y[x] = k.y;
        out_z[x] = k.z;
    }
}

extern "C" void torque_host(const float* spins, const Film* films, const float* field,
                            const float* anisotropy, long long anisotropy_stride, int height,
                            int width, int periodic, int thermal, uint64 seed, float* out, int count,
                            int threads) {
    const Lattice l = {height, width, periodic};
    const long long size = 3LL * height * width;
    const int rows = SITES_PER_TASK / width + 1, blocks = (height + rows - 1) / rows;
    for_each_task(count * blocks, threads, [&](int task) {
        const long long r = task / blocks, first = (long long)(task % blocks) * rows;
        std::vector<float> zeros(width, 0.0f), ghosted(3 * (width + 2));
        const float* f = field ? field + r * size : nullptr;
        const float* k = anisotropy ? anisotropy + r * anisotropy_stride : nullptr;
        auto work = thermal ? torque_of_row<true> : torque_of_row<false>;
        for (int y = (int)first; y < first + rows && y < height; ++y)
            work(spins + r * size, films[r], f, k, l, y, seed, zeros.data(), ghosted.data(), out + r * size);
    });
}

template <int COUNT>
static void advance_sites(const float* spins, const float* const* torques, const float* weights,
                          long long plane, long long first, long long last, float* out) {
    const float *a = torques[0], *b = torques[1], *c = torques[2], *d = torques[3];
    const float w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3];
    VECTOR_LOOP
    for (long long i = first; i < last; ++i) {
        const long long j = i + plane, k = j + plane;
        Vec3 v = Vec3{spins[i], spins[j], spins[k]} + w0 * Vec3{a[i], a[j], a[k]};
        if (COUNT > 1) v = v + w1 * Vec3{b[i], b[j], b[k]};
        if (COUNT > 2) v = v + w2 * Vec3{c[i], c[j], c[k]};
        if (COUNT > 3) v = v + w3 * Vec3{d[i], d[j], d[k]};
        v = on_sphere(v);
        out[i] = v.x;
        out[j] = v.y;
        out[k] = v.z;
    }
}

extern "C" void advance_host(const float* spins, const float* a, const float* b, const float* c,
                             const float* d, const float* weights, int sites, float* out, int count,
                             int threads) {
    const int blocks = (sites + SITES_PER_TASK - 1) / SITES_PER_TASK;
    auto work = d ? advance_sites<4> : c ? advance_sites<3> : b ? advance_sites<2> : advance_sites<1>;
    for_each_task(count * blocks, threads, [&](int task) {
        const long long r = task / blocks, first = (long long)(task % blocks) * SITES_PER_TASK;
        const long long start = r * 3 * sites, last = first + SITES_PER_TASK;
        const float* torques[4] = {a + start, b ? b + start : b, c ? c + start : c, d ? d + start : d};
        work(spins + start, torques, weights + 4 * r, sites, first, last < sites ? last : sites, out + start);
    });
}

#endif
