// Heat-bath Monte Carlo on the square lattice, two-colour checkerboard.
//
// Layout   spins (replicas, 3, height, width) float32, updated in place; optional maps: an
//          external field (replicas or 1, 3, height, width) and an anisotropy (replicas or 1,
//          height, width), their stride between replicas zero when shared.
// Schedule temperatures (replicas, sweeps); sweep s of this call is number first_sweep + s in the
//          random stream, so an anneal cut into many calls is the same as one call.
// Work     the same site function is driven three ways: by a grid of threads, one launch per
//          colour; by one block per replica, the whole anneal in shared memory; and on the host,
//          one thread per replica and vector lanes over the sites of a row.
#include "spin.cuh"

struct Lattice {
    int height, width, periodic;
};

// One row of a table that Python fills: the couplings, and the index of the state in its data set,
// which is the third counter of its random stream.
struct Replica {
    Couplings couplings;
    uint32 state;
};

// A coupling map shared by all replicas has stride zero; no map is a null pointer.
struct Maps {
    const float* field;  // (3, height, width)
    long long field_stride;
    const float* anisotropy;  // (height, width)
    long long anisotropy_stride;
};

template <bool ANISOTROPIC, bool RELAX_OVER>
SITE Vec3 update(Vec3 old, Vec3 right, Vec3 left, Vec3 up, Vec3 down, Vec3 map_field,
                 float map_anisotropy, const Replica& replica, float temperature, uint32 site,
                 uint32 counter, uint64 seed) {
    Vec3 field = linear_field(right, left, up, down, replica.couplings) + map_field;
    float anisotropy = replica.couplings.anisotropy + map_anisotropy;
    uint32 stream = RELAX_OVER ? STREAM_OVER_RELAXATION : STREAM_HEAT_BATH;
    Words random = {0u, 0u, 0u, 0u};
    if (ANISOTROPIC || !RELAX_OVER) random = philox(site, counter, replica.state, stream, seed);
    if (RELAX_OVER) return over_relax(old, field, anisotropy, temperature, random);
    return heat_bath<ANISOTROPIC>(old, field, anisotropy, temperature, random);
}

SITE Vec3 load(const float* s, long long plane, long long i) {
    return {s[i], s[plane + i], s[2 * plane + i]};
}
SITE void store(float* s, long long plane, long long i, Vec3 v) {
    s[i] = v.x;
    s[plane + i] = v.y;
    s[2 * plane + i] = v.z;
}

#ifdef __CUDACC__

// One colour of one sweep of every replica, straight in global memory: any lattice size.
template <bool ANISOTROPIC, bool RELAX_OVER>
static __device__ void update_colour(float* spins, const Replica* replicas, Maps maps, Lattice l,
                                     const float* temperatures, int sweeps, int sweep, int colour,
                                     uint32 counter, uint64 seed) {
    const int half = (l.width + 1) / 2, thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= half * l.height) return;
    const int y = thread / half, x = 2 * (thread % half) + ((y + colour) & 1);
    if (x >= l.width) return;
    const long long plane = (long long)l.height * l.width, r = blockIdx.y;
    const int row = y * l.width, site = row + x;
    float* s = spins + r * 3 * plane;
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    const bool p = l.periodic;
    const bool at_right = x + 1 == l.width, at_left = x == 0;
    const bool at_top = y + 1 == l.height, at_bottom = y == 0;
    Vec3 right = at_right && !p ? none : load(s, plane, at_right ? row : site + 1);
    Vec3 left = at_left && !p ? none : load(s, plane, at_left ? row + l.width - 1 : site - 1);
    Vec3 up = at_top && !p ? none : load(s, plane, at_top ? x : site + l.width);
    Vec3 down = at_bottom && !p ? none : load(s, plane, at_bottom ? plane - l.width + x : site - l.width);
    Vec3 field = maps.field ? load(maps.field + r * maps.field_stride, plane, site) : none;
    float anisotropy = maps.anisotropy ? maps.anisotropy[r * maps.anisotropy_stride + site] : 0.0f;
    Vec3 old = load(s, plane, site);
    store(s, plane, site,
          update<ANISOTROPIC, RELAX_OVER>(old, right, left, up, down, field, anisotropy, replicas[r],
                                          temperatures[r * sweeps + sweep], site, counter, seed));
}

extern "C" __global__ void heat_bath_colour(float* spins, const Replica* replicas,
                                            const float* field, long long field_stride,
                                            const float* anisotropy, long long anisotropy_stride,
                                            int height, int width, int periodic, int anisotropic,
                                            const float* temperatures, int sweeps, int sweep,
                                            int colour, int relax_over, uint32 counter, uint64 seed) {
    const Maps maps = {field, field_stride, anisotropy, anisotropy_stride};
    const Lattice l = {height, width, periodic};
    if (anisotropic && relax_over)
        update_colour<true, true>(spins, replicas, maps, l, temperatures, sweeps, sweep, colour, counter, seed);
    else if (anisotropic)
        update_colour<true, false>(spins, replicas, maps, l, temperatures, sweeps, sweep, colour, counter, seed);
    else if (relax_over)
        update_colour<false, true>(spins, replicas, maps, l, temperatures, sweeps, sweep, colour, counter, seed);
    else
        update_colour<false, false>(spins, replicas, maps, l, temperatures, sweeps, sweep, colour, counter, seed);
}

// One block per replica: the whole anneal without touching DRAM. The two colours lie apart in
// shared memory, so that neighbouring threads read neighbouring words: [colour][component][y][k],
// site x = 2k + ((y + colour) & 1). Thread (k, j) walks down column k in steps of blockDim.y, which
// spares every division.
template <bool ANISOTROPIC, bool RELAX_OVER>
static __device__ void update_colour_shared(float* shared, const Replica& replica, Maps maps,
                                            Lattice l, float temperature, int colour,
                                            uint32 counter, uint64 seed) {
    const int half = (l.width + 1) / 2, plane = l.height * half, k = threadIdx.x;
    const long long full = (long long)l.height * l.width, r = blockIdx.x;
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    const bool p = l.periodic;
    float* own = shared + 3 * colour * plane;
    const float* other = shared + 3 * (1 - colour) * plane;
    for (int y = threadIdx.y; y < l.height; y += blockDim.y) {
        const int shift = (y + colour) & 1, x = 2 * k + shift, row = y * half, site = y * l.width + x;
        if (x >= l.width) continue;
        const bool at_right = x + 1 == l.width, at_left = x == 0;
        const bool at_top = y + 1 == l.height, at_bottom = y == 0;
        Vec3 right = at_right && !p ? none : load(other, plane, at_right ? row : row + k + shift);
        Vec3 left = at_left && !p ? none : load(other, plane, row + (at_left ? half : k + shift) - 1);
        Vec3 up = at_top && !p ? none : load(other, plane, at_top ? k : row + half + k);
        Vec3 down = at_bottom && !p ? none : load(other, plane, (at_bottom ? plane : row) - half + k);
        Vec3 field = maps.field ? load(maps.field + r * maps.field_stride, full, site) : none;
        float anisotropy = maps.anisotropy ? maps.anisotropy[r * maps.anisotropy_stride + site] : 0.0f;
        Vec3 old = load(own, plane, row + k);
        store(own, plane, row + k,
              update<ANISOTROPIC, RELAX_OVER>(old, right, left, up, down, field, anisotropy, replica,
                                              temperature, site, counter, seed));
    }
}

template <bool ANISOTROPIC>
static __device__ void anneal_in_shared(float* spins, const Replica* replicas, Maps maps, Lattice l,
                                        const float* temperatures, int sweeps, int over_relaxations,
                                        uint32 first_sweep, uint64 seed) {
    extern __shared__ float shared[];
    const int half = (l.width + 1) / 2, plane = l.height * half, k = threadIdx.x;
    const long long full = (long long)l.height * l.width, r = blockIdx.x;
    const Replica replica = replicas[r];
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    float* s = spins + r * 3 * full;
    for (int colour = 0; colour < 2; ++colour)
        for (int y = threadIdx.y; y < l.height; y += blockDim.y) {
            const int x = 2 * k + ((y + colour) & 1);
            store(shared + 3 * colour * plane, plane, y * half + k,
                  x < l.width ? load(s, full, y * l.width + x) : none);
        }
    __syncthreads();
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        const float temperature = temperatures[r * sweeps + sweep];
        const uint32 number = first_sweep + sweep;
        for (int colour = 0; colour < 2; ++colour) {
            update_colour_shared<ANISOTROPIC, false>(shared, replica, maps, l, temperature, colour, number, seed);
            __syncthreads();
        }
        for (int pass = 0; pass < 2 * over_relaxations; ++pass) {
            update_colour_shared<ANISOTROPIC, true>(shared, replica, maps, l, temperature, pass & 1,
                                                    number * over_relaxations + pass / 2, seed);
            __syncthreads();
        }
    }
    for (int colour = 0; colour < 2; ++colour)
        for (int y = threadIdx.y; y < l.height; y += blockDim.y) {
            const int x = 2 * k + ((y + colour) & 1);
            if (x < l.width)
                store(s, full, y * l.width + x, load(shared + 3 * colour * plane, plane, y * half + k));
        }
}

extern "C" __global__ void __launch_bounds__(1024)
    heat_bath_block(float* spins, const Replica* replicas, const float* field, long long field_stride,
                    const float* anisotropy, long long anisotropy_stride, int height, int width,
                    int periodic, int anisotropic, const float* temperatures, int sweeps,
                    int over_relaxations, uint32 first_sweep, uint64 seed) {
    const Maps maps = {field, field_stride, anisotropy, anisotropy_stride};
    const Lattice l = {height, width, periodic};
    if (anisotropic)
        anneal_in_shared<true>(spins, replicas, maps, l, temperatures, sweeps, over_relaxations, first_sweep, seed);
    else
        anneal_in_shared<false>(spins, replicas, maps, l, temperatures, sweeps, over_relaxations, first_sweep, seed);
}

#else

#include "host.h"

// A replica on the host: the colours apart, as in shared memory, with one ghost column on either
// side of each row that holds the periodic image or the missing (zero) neighbour. Every neighbour
// of a row is then a plain contiguous load, and the row is one vector loop.
struct Colours {
    int height, width, half, stride, periodic;
    long long plane;
    std::vector<float> data, map_row;

    Colours(Lattice l)
        : height(l.height), width(l.width), half((l.width + 1) / 2), stride(half + 2),
          periodic(l.periodic), plane((long long)l.height * stride), data(6 * plane + stride), map_row(4 * half) {}

    // Row y of a component; beyond an edge the periodic image, or a row of zeros.
    float* row(int colour, int component, int y) {
        if (y < 0 || y >= height) {
            if (!periodic) return data.data() + 6 * plane + 1;
            y = y < 0 ? height - 1 : 0;
        }
        return data.data() + (3 * colour + component) * plane + (long long)y * stride + 1;
    }
    void fill_ghosts(float* row) {
        if (!periodic) return;
        row[-1] = row[half - 1];
        row[half] = row[0];
    }
    void read(const float* spins) {
        for (int colour = 0; colour < 2; ++colour)
            for (int component = 0; component < 3; ++component)
                for (int y = 0; y < height; ++y) {
                    const int shift = (y + colour) & 1, count = (width - shift + 1) / 2;
                    const float* from = spins + ((long long)component * height + y) * width + shift;
                    float* to = row(colour, component, y);
                    for (int k = 0; k < count; ++k) to[k] = from[2 * k];
                    fill_ghosts(to);
                }
    }
    void write(float* spins) {
        for (int component = 0; component < 3; ++component)
            for (int y = 0; y < height; ++y)
                for (int colour = 0; colour < 2; ++colour) {
                    const int shift = (y + colour) & 1, count = (width - shift + 1) / 2;
                    float* to = spins + ((long long)component * height + y) * width + shift;
                    const float* from = row(colour, component, y);
                    for (int k = 0; k < count; ++k) to[2 * k] = from[k];
                }
    }
};

template <bool ANISOTROPIC, bool RELAX_OVER, bool MAPPED>
static void update_row(Colours& s, const Replica& replica, const float* field,
                       const float* anisotropy, float temperature, int colour, int y,
                       uint32 counter, uint64 seed) {
    const int shift = (y + colour) & 1, count = (s.width - shift + 1) / 2;
    const long long plane = (long long)s.height * s.width, first = (long long)y * s.width + shift;
    const float *up[3], *down[3], *beside[3];
    float* own[3];
    for (int component = 0; component < 3; ++component) {
        own[component] = s.row(colour, component, y);
        beside[component] = s.row(1 - colour, component, y) + shift;
        up[component] = s.row(1 - colour, component, y + 1);
        down[component] = s.row(1 - colour, component, y - 1);
    }
    float *own_x = own[0], *own_y = own[1], *own_z = own[2];
    const float *up_x = up[0], *up_y = up[1], *up_z = up[2];
    const float *down_x = down[0], *down_y = down[1], *down_z = down[2];
    const float *right_x = beside[0], *right_y = beside[1], *right_z = beside[2];
    // The maps' entries for this colour, gathered so that the loop over sites reads them in line.
    float *map_x = s.map_row.data(), *map_y = map_x + s.half, *map_z = map_y + s.half, *map_k = map_z + s.half;
    if (MAPPED && field)
        for (int k = 0; k < count; ++k) {
            const float* here = field + first + 2 * k;
            map_x[k] = here[0];
            map_y[k] = here[plane];
            map_z[k] = here[2 * plane];
        }
    if (MAPPED && anisotropy)
        for (int k = 0; k < count; ++k) map_k[k] = anisotropy[first + 2 * k];
    const Replica here = replica;
    VECTOR_LOOP
    for (int k = 0; k < count; ++k) {
        Vec3 map_field = {MAPPED ? map_x[k] : 0.0f, MAPPED ? map_y[k] : 0.0f, MAPPED ? map_z[k] : 0.0f};
        float map_anisotropy = MAPPED ? map_k[k] : 0.0f;
        Vec3 spin = update<ANISOTROPIC, RELAX_OVER>(
            {own_x[k], own_y[k], own_z[k]}, {right_x[k], right_y[k], right_z[k]},
            {right_x[k - 1], right_y[k - 1], right_z[k - 1]}, {up_x[k], up_y[k], up_z[k]},
            {down_x[k], down_y[k], down_z[k]}, map_field, map_anisotropy, here, temperature,
            (uint32)first + 2u * (uint32)k, counter, seed);
        own_x[k] = spin.x;
        own_y[k] = spin.y;
        own_z[k] = spin.z;
    }
    for (int component = 0; component < 3; ++component) s.fill_ghosts(own[component]);
}

template <bool ANISOTROPIC, bool MAPPED>
static void anneal_replica(Colours& s, const Replica& replica, const float* field,
                           const float* anisotropy, const float* temperatures, int sweeps,
                           int over_relaxations, uint32 first_sweep, uint64 seed) {
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        const float t = temperatures[sweep];
        const uint32 number = first_sweep + sweep;
        for (int colour = 0; colour < 2; ++colour)
            for (int y = 0; y < s.height; ++y)
                update_row<ANISOTROPIC, false, MAPPED>(s, replica, field, anisotropy, t, colour, y, number, seed);
        for (int pass = 0; pass < 2 * over_relaxations; ++pass)
            for (int y = 0; y < s.height; ++y)
                update_row<ANISOTROPIC, true, MAPPED>(s, replica, field, anisotropy, t, pass & 1, y,
                                                      number * over_relaxations + pass / 2, seed);
    }
}

extern "C" void heat_bath_host(float* spins, const Replica* replicas, const float* field,
                               long long field_stride, const float* anisotropy,
                               long long anisotropy_stride, int height, int width, int periodic,
                               int anisotropic, const float* temperatures, int sweeps,
                               int over_relaxations, uint32 first_sweep, uint64 seed, int count,
                               int threads) {
    const Lattice l = {height, width, periodic};
    for_each_replica(count, threads, [&](int r) {
        Colours s(l);
        float* here = spins + (long long)r * 3 * height * width;
        const float* f = field ? field + r * field_stride : nullptr;
        const float* k = anisotropy ? anisotropy + r * anisotropy_stride : nullptr;
        auto run = anisotropic ? (f || k ? anneal_replica<true, true> : anneal_replica<true, false>)
                               : (f ? anneal_replica<false, true> : anneal_replica<false, false>);
        s.read(here);
        run(s, replicas[r], f, k, temperatures + (long long)r * sweeps, sweeps, over_relaxations, first_sweep, seed);
        s.write(here);
    });
}

#endif
