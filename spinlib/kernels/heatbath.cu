// Heat-bath Monte Carlo on the square lattice, two-colour checkerboard.
//
// Layout   spins (replicas, 3, height, width) float32, updated in place; optional maps: an
//          external field (replicas or 1, 3, height, width) and an anisotropy (replicas or 1,
//          height, width), their stride between replicas zero when shared.
// Schedule temperatures (replicas, sweeps); sweep s of this call is number first_sweep + s in the
//          random stream, so an anneal cut into many calls is the same as one call.
// Work     the same site function is driven three ways: by a grid of threads, one launch per
//          colour; by one block per replica, the whole anneal in shared memory; and on the host,
//          one thread per replica and vector lanes over the sites of one colour.
#include "spin.cuh"

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

// The external field and the anisotropy are those of the replica and of the maps.
template <bool ANISOTROPIC>
SITE Vec3 update(Vec3 old, Vec3 right, Vec3 left, Vec3 up, Vec3 down, Vec3 external, float anisotropy,
                 const Couplings& couplings, float temperature, float beta, Words random) {
    Vec3 field = linear_field(right, left, up, down, external, couplings);
    return heat_bath<ANISOTROPIC>(old, field, anisotropy, temperature, beta, random);
}

SITE float inverse_temperature(float temperature) { return quotient(1.0f, larger(temperature, 1e-20f)); }

#ifdef __CUDACC__

// One colour of one sweep of every replica, straight in global memory: any lattice size.
template <bool ANISOTROPIC>
static __device__ void update_colour(float* spins, const Replica* replicas, Maps maps, Lattice l,
                                     const float* temperatures, int sweeps, uint32 first_sweep,
                                     int sweep, int colour, const Keys& keys) {
    const int half = (l.width + 1) / 2, thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= half * l.height) return;
    const int y = thread / half, x = 2 * (thread % half) + ((y + colour) & 1);
    if (x >= l.width) return;
    const long long plane = (long long)l.height * l.width, r = blockIdx.y;
    const int site = y * l.width + x;
    float* s = spins + r * 3 * plane;
    const Neighbours n = neighbours(s, l, x, y);
    const Couplings& h = replicas[r].couplings;
    Vec3 external = maps.field ? h.field + load(maps.field + r * maps.field_stride, plane, site) : h.field;
    float anisotropy = h.anisotropy;
    if (maps.anisotropy) anisotropy += maps.anisotropy[r * maps.anisotropy_stride + site];
    Vec3 old = load(s, plane, site);
    const float temperature = temperatures[r * sweeps + sweep];
    Words random = philox(site, first_sweep + sweep, replicas[r].state, STREAM_HEAT_BATH, keys);
    store(s, plane, site,
          update<ANISOTROPIC>(old, n.right, n.left, n.up, n.down, external, anisotropy, h, temperature,
                              inverse_temperature(temperature), random));
}

extern "C" __global__ void heat_bath_colour(float* spins, const Replica* replicas,
                                            const float* field, long long field_stride,
                                            const float* anisotropy, long long anisotropy_stride,
                                            int height, int width, int periodic, int anisotropic,
                                            const float* temperatures, int sweeps,
                                            uint32 first_sweep, int sweep, int colour, Keys keys) {
    const Maps maps = {field, field_stride, anisotropy, anisotropy_stride};
    const Lattice l = {height, width, periodic};
    if (anisotropic)
        update_colour<true>(spins, replicas, maps, l, temperatures, sweeps, first_sweep, sweep, colour, keys);
    else
        update_colour<false>(spins, replicas, maps, l, temperatures, sweeps, first_sweep, sweep, colour, keys);
}

// One block per replica: the whole anneal without touching DRAM. The two colours lie apart in
// shared memory, [colour][y][k][component], site x = 2k + ((y + colour) & 1): one address serves all
// components, and as three is odd, neighbouring threads meet no bank twice. Thread (k, j) walks down
// column k in steps of blockDim.y, which is even: its rows have one parity, and all about x is known
// before it starts.
SITE Vec3 load(const float* s) { return {s[0], s[1], s[2]}; }
SITE void store(float* s, Vec3 v) { s[0] = v.x, s[1] = v.y, s[2] = v.z; }

template <bool PERIODIC, bool ANISOTROPIC, bool MAPPED>
static __device__ void update_colour_shared(float* shared, const Replica& replica, Maps maps,
                                            Lattice l, float temperature, float beta, int colour,
                                            uint32 number, const Keys& keys) {
    const int half = (l.width + 1) / 2, pitch = 3 * half, k = threadIdx.x;
    const int shift = (threadIdx.y + colour) & 1, x = 2 * k + shift;
    if (x >= l.width) return;
    const long long full = (long long)l.height * l.width, r = blockIdx.x;
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    const Couplings& h = replica.couplings;
    const bool at_right = x + 1 == l.width, at_left = x == 0;
    float* own = shared + colour * l.height * pitch + 3 * k;
    const float* other = shared + (1 - colour) * l.height * pitch;
    const float *to_right = other + 3 * (at_right ? 0 : k + shift), *above_below = other + 3 * k,
                *to_left = other + 3 * ((at_left ? half : k + shift) - 1);
    const int step = blockDim.y * pitch, last = (l.height - 1) * pitch;
    for (int row = threadIdx.y * pitch, site = threadIdx.y * l.width + x; row <= last;
         row += step, site += blockDim.y * l.width) {
        Vec3 right = at_right && !PERIODIC ? none : load(to_right + row);
        Vec3 left = at_left && !PERIODIC ? none : load(to_left + row);
        Vec3 up = row == last && !PERIODIC ? none : load(above_below + (row == last ? 0 : row + pitch));
        Vec3 down = row == 0 && !PERIODIC ? none : load(above_below + (row == 0 ? last : row - pitch));
        Vec3 external = h.field;
        float anisotropy = h.anisotropy;
        if (MAPPED && maps.field)
            external = external + load(maps.field + r * maps.field_stride, full, site);
        if (MAPPED && maps.anisotropy) anisotropy += maps.anisotropy[r * maps.anisotropy_stride + site];
        Words random = philox(site, number, replica.state, STREAM_HEAT_BATH, keys);
        store(own + row, update<ANISOTROPIC>(load(own + row), right, left, up, down, external, anisotropy, h,
                                             temperature, beta, random));
    }
}

template <bool PERIODIC, bool ANISOTROPIC, bool MAPPED>
static __device__ void anneal_in_shared(float* spins, const Replica* replicas, Maps maps, Lattice l,
                                        const float* temperatures, int sweeps, uint32 first_sweep,
                                        Keys keys) {
    extern __shared__ float shared[];
    const int pitch = 3 * ((l.width + 1) / 2), k = threadIdx.x;
    const long long full = (long long)l.height * l.width, r = blockIdx.x;
    const Replica replica = replicas[r];
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    float* s = spins + r * 3 * full;
    for (int colour = 0; colour < 2; ++colour)
        for (int y = threadIdx.y; y < l.height; y += blockDim.y) {
            const int x = 2 * k + ((y + colour) & 1);
            store(shared + (colour * l.height + y) * pitch + 3 * k,
                  x < l.width ? load(s, full, y * l.width + x) : none);
        }
    __syncthreads();
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        const float temperature = temperatures[r * sweeps + sweep], beta = inverse_temperature(temperature);
        for (int colour = 0; colour < 2; ++colour) {
            update_colour_shared<PERIODIC, ANISOTROPIC, MAPPED>(shared, replica, maps, l, temperature, beta,
                                                                colour, first_sweep + sweep, keys);
            __syncthreads();
        }
    }
    for (int colour = 0; colour < 2; ++colour)
        for (int y = threadIdx.y; y < l.height; y += blockDim.y) {
            const int x = 2 * k + ((y + colour) & 1);
            if (x < l.width)
                store(s, full, y * l.width + x, load(shared + (colour * l.height + y) * pitch + 3 * k));
        }
}

template <bool PERIODIC>
static __device__ void anneal_block(float* spins, const Replica* replicas, Maps maps, Lattice l,
                                    int anisotropic, const float* temperatures, int sweeps,
                                    uint32 first_sweep, Keys keys) {
    const bool mapped = maps.field || maps.anisotropy;
    if (anisotropic)
        anneal_in_shared<PERIODIC, true, true>(spins, replicas, maps, l, temperatures, sweeps, first_sweep, keys);
    else if (mapped)
        anneal_in_shared<PERIODIC, false, true>(spins, replicas, maps, l, temperatures, sweeps, first_sweep, keys);
    else
        anneal_in_shared<PERIODIC, false, false>(spins, replicas, maps, l, temperatures, sweeps, first_sweep, keys);
}

extern "C" __global__ void __launch_bounds__(1024)
    heat_bath_block(float* spins, const Replica* replicas, const float* field, long long field_stride,
                    const float* anisotropy, long long anisotropy_stride, int height, int width,
                    int periodic, int anisotropic, const float* temperatures, int sweeps,
                    uint32 first_sweep, Keys keys) {
    const Maps maps = {field, field_stride, anisotropy, anisotropy_stride};
    const Lattice l = {height, width, periodic};
    if (periodic)
        anneal_block<true>(spins, replicas, maps, l, anisotropic, temperatures, sweeps, first_sweep, keys);
    else
        anneal_block<false>(spins, replicas, maps, l, anisotropic, temperatures, sweeps, first_sweep, keys);
}

#else

#include "convolution.h"
#include "philox_lanes.h"

#define LANES_AT_ONCE 256  // whose random words wait in the nearest cache

// A replica on the host. Rows of one colour and one parity (y even or odd) see their neighbours at the
// same distances in memory, so they lie together and make one long vector loop:
// [colour][parity][component][row j][k], site x = 2k + shift, y = 2j + parity. A ghost column on
// either side of a row and a ghost row at either end of a plane hold the periodic image, or zeros at
// an open edge. The loop runs over ghosts as well: zeros stay zero, as vacancies do, and images are
// copied anew. Components 0-2 are the spin, 3-5 the external field, 6 the anisotropy map.
struct Colours {
    int height, width, half, stride, periodic;
    long long plane;
    std::vector<float> data;
    std::vector<uint32> site;  // of lane j * stride + k + 1, up to an offset for colour and parity

    Colours(Lattice l, bool mapped)
        : height(l.height), width(l.width), half((l.width + 1) / 2), stride(half + 2),
          periodic(l.periodic), plane((long long)stride * ((l.height + 1) / 2 + 3) + 2 * LANES),
          data(4 * (mapped ? 7 : 3) * plane), site(plane) {
        for (int j = 0; j < rows(0); ++j)
            for (int k = 0; k < stride; ++k) site[j * stride + k] = 2 * ((uint32)j * width + k);
    }

    int rows(int parity) const { return (height + 1 - parity) / 2; }
    int lanes(int parity) const { return (rows(parity) * stride + LANES - 1) / LANES * LANES; }
    // First lane of row 0, its left ghost.
    float* lane(int colour, int parity, int component) {
        return data.data() + (component * 4 + 2 * colour + parity) * plane + LANES + stride;
    }
    // Site x / 2 of row y, of the colour that a site of the row has.
    float* of_row(int colour, int y, int component) {
        return lane(colour, y & 1, component) + (y >> 1) * stride + 1;
    }
    void fill_ghosts(int colour, int parity) {
        if (!periodic) return;
        for (int component = 0; component < 3; ++component) {
            float* s = lane(colour, parity, component);
            const int n = rows(parity);
            for (int j = 0; j < n; ++j) {
                s[j * stride] = s[j * stride + half];
                s[j * stride + half + 1] = s[j * stride + 1];
            }
            // Above the last row of one colour and parity comes row 0, below the first row -1.
            float* ghost = parity ? s - stride : s + n * stride;
            const float* image = parity ? s + (n - 1) * stride : s;
            for (int k = 0; k < stride; ++k) ghost[k] = image[k];
        }
    }
    // Calls copy(site of the lattice, lane, number) for the sites of each row of each colour.
    template <class Copy>
    void each_row(int component, Copy copy) {
        for (int colour = 0; colour < 2; ++colour)
            for (int y = 0; y < height; ++y) {
                const int shift = (y + colour) & 1;
                copy((long long)y * width + shift, of_row(colour, y, component), (width - shift + 1) / 2);
            }
    }
    void read(const float* map, int first, int components) {
        for (int c = 0; c < components; ++c)
            each_row(first + c, [&](long long site, float* to, int count) {
                const float* from = map + (long long)c * height * width + site;
                for (int k = 0; k < count; ++k) to[k] = from[2 * k];
            });
    }
    // Sixteen sites of a row from an even x on, zeros beyond its end, and back.
    void load_sites(int component, int y, int x, float* line) {
        const Lanes even = *(const Lanes*)(of_row(y & 1, y, component) + x / 2);
        const Lanes odd = *(const Lanes*)(of_row(1 - (y & 1), y, component) + x / 2);
        store_line(line, interleave(even, odd));
        for (int i = width - x; i < FFT_LINE; ++i) line[i] = 0.0f;
    }
    void store_sites(int component, int y, int x, const float* line) {
        float *even = of_row(y & 1, y, component) + x / 2, *odd = of_row(1 - (y & 1), y, component) + x / 2;
        if (x + FFT_LINE <= width) {
            const Complex parts = take_apart(*(const Lanes*)line, *(const Lanes*)(line + FFT_LANES));
            *(Lanes*)even = parts.re, *(Lanes*)odd = parts.im;
            return;
        }
        for (int i = 0; i < width - x; ++i) (i % 2 ? odd : even)[i / 2] = line[i];
    }
    void write(float* spins) {
        for (int c = 0; c < 3; ++c)
            each_row(c, [&](long long site, const float* from, int count) {
                float* to = spins + (long long)c * height * width + site;
                for (int k = 0; k < count; ++k) to[2 * k] = from[k];
            });
    }
};

// Each thread keeps its last lattice: with dipoles it is called for every few sweeps, and getting
// and clearing the memory would cost as much as a sweep. Where nothing is read in, zeros stay.
static Colours& colours_of_thread(Lattice l, bool field, bool anisotropy) {
    struct Kept {
        Lattice l;
        bool field, anisotropy;
        Colours colours;
    };
    static thread_local std::unique_ptr<Kept> kept;
    const bool fits = kept && kept->l.height == l.height && kept->l.width == l.width &&
                      kept->l.periodic == l.periodic && kept->field == field &&
                      kept->anisotropy == anisotropy;
    if (!fits) kept.reset(new Kept{l, field, anisotropy, Colours(l, field || anisotropy)});
    return kept->colours;
}

template <bool ANISOTROPIC, bool MAPPED>
static void update_colour(Colours& s, const Replica& replica, float temperature, int colour,
                          uint32 number, uint64 seed) {
    for (int parity = 0; parity < 2; ++parity) {
        const int shift = (parity + colour) & 1, other = 1 - colour, lanes = s.lanes(parity);
        const uint32 first = (uint32)(parity * s.width + shift) - 2u;
        const uint32* site = s.site.data();
        float *x = s.lane(colour, parity, 0), *y = s.lane(colour, parity, 1), *z = s.lane(colour, parity, 2);
        const float *right_x = s.lane(other, parity, 0) + shift, *right_y = s.lane(other, parity, 1) + shift,
                    *right_z = s.lane(other, parity, 2) + shift;
        const int to_up = parity * s.stride;
        const float *up_x = s.lane(other, 1 - parity, 0) + to_up, *up_y = s.lane(other, 1 - parity, 1) + to_up,
                    *up_z = s.lane(other, 1 - parity, 2) + to_up;
        const float *down_x = up_x - s.stride, *down_y = up_y - s.stride, *down_z = up_z - s.stride;
        // Without maps these are not read.
        const int map = MAPPED ? 3 : 0;
        const float *map_x = s.lane(colour, parity, map), *map_y = s.lane(colour, parity, map + MAPPED),
                    *map_z = s.lane(colour, parity, map + 2 * MAPPED), *map_k = s.lane(colour, parity, 2 * map);
        const Couplings here = replica.couplings;
        const float beta = inverse_temperature(temperature);
        uint32 words[4][LANES_AT_ONCE] = {};
        for (int start = 0; start < lanes; start += LANES_AT_ONCE) {
            const int end = start + LANES_AT_ONCE < lanes ? start + LANES_AT_ONCE : lanes;
            philox_many(site + start, first, end - start, number, replica.state, STREAM_HEAT_BATH, seed, words);
            VECTOR_LOOP
            for (int i = start; i < end; ++i) {
                const int w = i - start;
                Words random = {words[0][w], words[1][w], words[2][w], words[3][w]};
                Vec3 external = here.field;
                float anisotropy = here.anisotropy;
                if (MAPPED) {
                    external = external + Vec3{map_x[i], map_y[i], map_z[i]};
                    anisotropy += map_k[i];
                }
                Vec3 spin = update<ANISOTROPIC>(
                    {x[i], y[i], z[i]}, {right_x[i], right_y[i], right_z[i]},
                    {right_x[i - 1], right_y[i - 1], right_z[i - 1]}, {up_x[i], up_y[i], up_z[i]},
                    {down_x[i], down_y[i], down_z[i]}, external, anisotropy, here, temperature, beta, random);
                x[i] = spin.x;
                y[i] = spin.y;
                z[i] = spin.z;
            }
        }
        s.fill_ghosts(colour, parity);
    }
}

template <bool ANISOTROPIC, bool MAPPED>
static void anneal_replica(Colours& s, const Replica& replica, const float* temperatures, int sweeps,
                           uint32 first_sweep, uint64 seed) {
    for (int sweep = 0; sweep < sweeps; ++sweep)
        for (int colour = 0; colour < 2; ++colour)
            update_colour<ANISOTROPIC, MAPPED>(s, replica, temperatures[sweep], colour, first_sweep + sweep, seed);
}

extern "C" void heat_bath_host(float* spins, const Replica* replicas, const float* field,
                               long long field_stride, const float* anisotropy,
                               long long anisotropy_stride, int height, int width, int periodic,
                               int anisotropic, const float* temperatures, int sweeps,
                               uint32 first_sweep, uint64 seed, int count, int threads) {
    const Lattice l = {height, width, periodic};
    const bool mapped = field || anisotropy;
    auto run = anisotropic ? (mapped ? anneal_replica<true, true> : anneal_replica<true, false>)
                           : (mapped ? anneal_replica<false, true> : anneal_replica<false, false>);
    for_each_task(count, threads, [=](int r) {
        Colours& s = colours_of_thread(l, field != nullptr, anisotropy != nullptr);
        float* here = spins + (long long)r * 3 * height * width;
        s.read(here, 0, 3);
        if (field) s.read(field + r * field_stride, 3, 3);
        if (anisotropy) s.read(anisotropy + r * anisotropy_stride, 6, 1);
        for (int colour = 0; colour < 2; ++colour)
            for (int parity = 0; parity < 2; ++parity) s.fill_ghosts(colour, parity);
        run(s, replicas[r], temperatures + (long long)r * sweeps, sweeps, first_sweep, seed);
        s.write(here);
    });
}

// The same with dipoles, whose field is drawn anew before every so many sweeps: K S and its thermal
// noise of temperature T for a strength d, d K S + sqrt(d T) R xi (see `convolution.h`).
extern "C" void heat_bath_dipolar_host(float* spins, const Replica* replicas, const float* strengths,
                                       const float* kernel, const float* root, int rows, int columns,
                                       int every, uint32 purpose, const float* anisotropy,
                                       long long anisotropy_stride, int height, int width, int periodic,
                                       const float* temperatures, int sweeps, uint32 first_sweep,
                                       uint64 seed, int count, int threads) {
    const Lattice l = {height, width, periodic};
    const Convolution convolution({height, width, rows, columns}, kernel, root);
    const int outer = count < threads ? count : threads;
    const int inner = rows * columns < 65536 ? 1 : threads / outer;  // else not worth the starting
    for_each_task(count, outer, [=, &convolution](int r) {
        Colours& s = colours_of_thread(l, true, anisotropy != nullptr);
        float* here = spins + (long long)r * 3 * height * width;
        const float* t = temperatures + (long long)r * sweeps;
        s.read(here, 0, 3);
        if (anisotropy) s.read(anisotropy + r * anisotropy_stride, 6, 1);
        for (int colour = 0; colour < 2; ++colour)
            for (int parity = 0; parity < 2; ++parity) s.fill_ghosts(colour, parity);
        for (int first = 0; first < sweeps; first += every) {
            const White white = {first_sweep + first, replicas[r].state, purpose, seed};
            convolution.apply(
                strengths[r], std::sqrt(strengths[r] * t[first]), white, inner,
                [&](int component, int y, int x, float* line) { s.load_sites(component, y, x, line); },
                [&](int component, int y, int x, const float* line) { s.store_sites(3 + component, y, x, line); });
            anneal_replica<true, true>(s, replicas[r], t + first, sweeps - first < every ? sweeps - first : every,
                                       first_sweep + first, seed);
        }
        s.write(here);
    });
}

#endif
