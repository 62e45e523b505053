// What follows a convolution of the E-VAE, for the host: batch norm, leaky ReLU, and the step to the
// next resolution, with a margin for the next convolution. Two passes over memory there and two back,
// in loops that fill vectors even where there are only three channels. And what follows the last one:
// spins of unit length, their energy and field.
//
//   y = leaky(weight t / std + bias),   t = x - mean
//
// Layout   x (batch, h, w, 4, channels) float32: a map of 2h × 2w pixels, the four of a block side by
//          side (see networks/phases.py). y is one of
//            POOLED  (batch, h, w, channels)             the largest of each block
//            SPLIT   (batch, h / 2, w / 2, 4, channels)  the same, in blocks of its own
//            JOINED  (batch, 2h, 2w, channels)           the map, pixel by pixel
//            BLOCKS  (batch, h, w, 4, channels)          as x
//          with, if it is to be wrapped, one more pixel (or block) from the opposite edge on all sides.
// Sums     are taken sample by sample and handed back, (batch, 2, channels) float64, for Python to add
//          up: they do not depend on the number of threads.
#include "spin.cuh"
#include "host.h"

#include <algorithm>
#include <cstring>

enum Target { POOLED, SPLIT, JOINED, BLOCKS };

// The numbers of each channel that make y of x, and dx of dy.
struct Norm {
    const float *mean, *scale, *bias;             // scale = weight / std
    const float *mean_gradient, *slope_gradient;  // scale mean(g), scale mean(g t) / variance: `backward`
};

// One sample of y: its rows of numbers, without and with margin.
template <int C, Target TARGET>
struct Shape {
    static constexpr bool pools = TARGET == POOLED || TARGET == SPLIT;
    static constexpr int depth = TARGET == POOLED || TARGET == JOINED ? C : 4 * C;
    static constexpr int rows_per_line = TARGET == JOINED ? 2 : 1;  // of y, for one row of blocks of x
    int height, width, margin;

    Shape(int h, int w, int wrapped) : margin(wrapped) {
        height = TARGET == SPLIT ? h / 2 : TARGET == JOINED ? 2 * h : h;
        width = TARGET == SPLIT ? w / 2 : TARGET == JOINED ? 2 * w : w;
    }
    long long row() const { return (long long)(width + 2 * margin) * depth; }
    long long sample() const { return (height + 2 * margin) * row(); }
    static int first_row(int line) { return TARGET == SPLIT ? line / 2 : rows_per_line * line; }
    // Where in a row of y block `column` of line `line` of x begins.
    static int place(int line, int column) {
        return TARGET == SPLIT ? (column / 2) * 4 * C + (2 * (line % 2) + column % 2) * C
             : TARGET == POOLED ? column * C : TARGET == JOINED ? column * 2 * C : column * 4 * C;
    }
};

// Loops over the channels of a block run on to the next multiple of eight, over numbers without
// meaning, which fill the room beyond.
template <int C>
constexpr int LOOP = (C + 7) / 8 * 8;
#define BEYOND 8

static inline float leaky(float y, float slope) { return y > 0.0f ? y : slope * y; }

// Sums over one sample of x - shift and its square, for each channel. Neighbouring blocks are added
// side by side in as many numbers as fill vectors.
template <int C>
static void sums_of(const float* x, const float* shift, int blocks, double* sums) {
    constexpr int SIDE = C % 12 == 0 ? 4 * C : 48;
    float first[SIDE] = {}, second[SIDE] = {}, shifts[SIDE];
    for (int k = 0; k < SIDE; ++k) shifts[k] = shift[k % C];
    const long long numbers = (long long)blocks * 4 * C;
    for (long long start = 0; start < numbers; start += SIDE)
        VECTOR_LOOP
        for (int k = 0; k < SIDE; ++k) {
            const float t = x[start + k] - shifts[k];
            first[k] += t;
            second[k] = fma_(t, t, second[k]);
        }
    for (int k = 0; k < 2 * C; ++k) sums[k] = 0.0;
    for (int k = 0; k < SIDE; ++k) {
        sums[k % C] += first[k];
        sums[C + k % C] += second[k];
    }
}

template <int C, Target TARGET>
static void forward(const float* x, Norm norm, float slope, int h, int w, int wrapped, float* y) {
    typedef Shape<C, TARGET> Form;
    const Form form(h, w, wrapped);
    float mean[4 * C], scale[4 * C], bias[4 * C];
    for (int k = 0; k < 4 * C; ++k) {
        mean[k] = norm.mean[k % C], scale[k] = norm.scale[k % C], bias[k] = norm.bias[k % C];
    }
    float* inner = y + form.margin * (form.row() + Form::depth);
    for (int line = 0; line < h; ++line) {
        float* row = inner + Form::first_row(line) * form.row();
        for (int column = 0; column < w; ++column, x += 4 * C) {
            float value[4 * C + BEYOND] = {};
            VECTOR_LOOP
            for (int k = 0; k < 4 * C; ++k) value[k] = fma_(x[k] - mean[k], scale[k], bias[k]);
            float* out = row + Form::place(line, column);
            if (Form::pools) {
                float most[LOOP<C>];
                VECTOR_LOOP
                for (int k = 0; k < LOOP<C>; ++k) {
                    const float above = std::max(value[k], value[C + k]);
                    const float below = std::max(value[2 * C + k], value[3 * C + k]);
                    most[k] = leaky(std::max(above, below), slope);
                }
                std::memcpy(out, most, C * sizeof(float));
            } else {
                constexpr int part = 4 * C / Form::rows_per_line;
                for (int r = 0; r < Form::rows_per_line; ++r)
                    VECTOR_LOOP
                    for (int k = 0; k < part; ++k)
                        out[r * form.row() + k] = leaky(value[r * part + k], slope);
            }
        }
    }
    if (!form.margin) return;
    const size_t pixel = Form::depth * sizeof(float);
    for (int r = 1; r <= form.height; ++r) {
        float* row = y + r * form.row();
        std::memcpy(row, row + form.width * Form::depth, pixel);
        std::memcpy(row + (form.width + 1) * Form::depth, row + Form::depth, pixel);
    }
    const size_t bytes = form.row() * sizeof(float);
    std::memcpy(y, y + form.height * form.row(), bytes);
    std::memcpy(y + (form.height + 1) * form.row(), y + form.row(), bytes);
}

// Row `r` of dy, what belongs to its margins added to the pixels they were copied from.
template <int C, Target TARGET>
static void fold(const float* dy, const Shape<C, TARGET>& form, int r, float* row) {
    constexpr int depth = Shape<C, TARGET>::depth;
    const int inner = form.width * depth;
    std::memset(row, 0, inner * sizeof(float));
    auto add = [&](const float* from) {
        const float* middle = from + form.margin * depth;
        VECTOR_LOOP
        for (int k = 0; k < inner; ++k) row[k] += middle[k];
        if (!form.margin) return;
        for (int k = 0; k < depth; ++k) {
            row[k] += middle[inner + k];
            row[inner - depth + k] += from[k];
        }
    };
    add(dy + (r + form.margin) * form.row());
    if (form.margin && r == 0) add(dy + (form.height + 1) * form.row());
    if (form.margin && r == form.height - 1) add(dy);
}

// With g = dy leaky'(y), at the largest of a block alone if blocks were pooled,
//
//   dx = scale (g - mean(g) - t mean(g t) / variance)
//
// takes sums over all samples first. So this runs twice: without `dx` for sums of g and g t, then
// with both means in `norm`.
template <int C, Target TARGET>
static void backward(const float* x, const float* dy, Norm norm, float slope, int h, int w,
                     int wrapped, double* sums, float* dx) {
    typedef Shape<C, TARGET> Form;
    const Form form(h, w, wrapped);
    std::vector<float> rows((size_t)Form::rows_per_line * form.width * Form::depth + BEYOND);
    float mean[4 * C], scale[4 * C], bias[4 * C], through_mean[4 * C], through_slope[4 * C];
    for (int k = 0; k < 4 * C; ++k) {
        mean[k] = norm.mean[k % C], scale[k] = norm.scale[k % C], bias[k] = norm.bias[k % C];
        through_mean[k] = dx ? norm.mean_gradient[k % C] : 0.0f;
        through_slope[k] = dx ? norm.slope_gradient[k % C] : 0.0f;
    }
    float first[4 * C] = {}, second[4 * C] = {};
    // Step by step for a whole line, which is still at hand in the nearest cache.
    std::vector<float> y(4 * C * w + BEYOND), g(4 * C * w);
    const int row = form.width * Form::depth;
    for (int line = 0; line < h; ++line, x += 4 * C * w) {
        for (int r = 0; r < Form::rows_per_line; ++r)
            fold<C, TARGET>(dy, form, Form::first_row(line) + r, rows.data() + r * row);
        for (int block = 0; block < 4 * C * w; block += 4 * C)
            VECTOR_LOOP
            for (int k = 0; k < 4 * C; ++k)
                y[block + k] = fma_(x[block + k] - mean[k], scale[k], bias[k]);
        for (int column = 0; column < w; ++column) {
            const float *from = rows.data() + Form::place(line, column), *value = &y[4 * C * column];
            float* to = &g[4 * C * column];
            if (Form::pools) {
                float part[4][LOOP<C>];
                VECTOR_LOOP
                for (int k = 0; k < LOOP<C>; ++k) {
                    const float a = value[k], b = value[C + k], c = value[2 * C + k], d = value[3 * C + k];
                    const float most = larger(larger(a, b), larger(c, d));
                    const float all = most > 0.0f ? from[k] : slope * from[k];
                    const float at_a = a == most ? all : 0.0f;  // the first, where some are alike
                    const float at_b = b == most ? all - at_a : 0.0f;
                    const float at_c = c == most ? all - at_a - at_b : 0.0f;
                    part[0][k] = at_a;
                    part[1][k] = at_b;
                    part[2][k] = at_c;
                    part[3][k] = all - at_a - at_b - at_c;
                }
                UNROLLED
                for (int p = 0; p < 4; ++p) std::memcpy(to + p * C, part[p], C * sizeof(float));
            } else {
                constexpr int part = 4 * C / Form::rows_per_line;
                for (int r = 0; r < Form::rows_per_line; ++r)
                    VECTOR_LOOP
                    for (int k = 0; k < part; ++k) {
                        const float upstream = from[r * row + k];
                        to[r * part + k] = value[r * part + k] > 0.0f ? upstream : slope * upstream;
                    }
            }
        }
        for (int block = 0; block < 4 * C * w; block += 4 * C)
            if (dx) {
                VECTOR_LOOP
                for (int k = 0; k < 4 * C; ++k) {
                    const float t = x[block + k] - mean[k];
                    dx[block + k] = fma_(scale[k], g[block + k], -fma_(t, through_slope[k], through_mean[k]));
                }
            } else {
                VECTOR_LOOP
                for (int k = 0; k < 4 * C; ++k) {
                    first[k] += g[block + k];
                    second[k] = fma_(g[block + k], x[block + k] - mean[k], second[k]);
                }
            }
        if (dx) dx += 4 * C * w;
    }
    if (dx) return;
    for (int k = 0; k < 2 * C; ++k) sums[k] = 0.0;
    for (int k = 0; k < 4 * C; ++k) {
        sums[k % C] += first[k];
        sums[C + k % C] += second[k];
    }
}

// One line of blocks of a map of vectors, its three components apart: they are brought to and from the
// two rows of pixels that the line consists of.
struct Line {
    int width;
    std::vector<float> x, y, z;
    explicit Line(int w) : width(w), x(4 * w), y(4 * w), z(4 * w) {}

    // Calls move(part of this line, part of the rows) for every two numbers that go together.
    template <class Rows, class Move>
    void each_pair(Rows rows, long long plane, Move move) {
        float* own[3] = {x.data(), y.data(), z.data()};
        for (int k = 0; k < 3; ++k)
            for (int a = 0; a < 2; ++a)
                for (int column = 0; column < width; ++column)
                    move(own[k] + 4 * column + 2 * a, rows + k * plane + (2LL * a * width + 2 * column));
    }
};
static const size_t PAIR = 2 * sizeof(float);

// Unit vectors along the vectors of one sample of a last layer, BLOCKS of three channels, as spins
// (3, 2h, 2w); vectors shorter than 1e-12 stay short.
static void point(const float* blocks, int h, int w, float* spins) {
    Line line(w);
    float *x = line.x.data(), *y = line.y.data(), *z = line.z.data();
    for (int row = 0; row < h; ++row, blocks += 12LL * w, spins += 4LL * w) {
        VECTOR_LOOP
        for (int i = 0; i < 4 * w; ++i) {
            const Vec3 v = {blocks[3 * i], blocks[3 * i + 1], blocks[3 * i + 2]};
            const float inverse = inverse_sqrt(larger(dot(v, v), 1e-24f));
            x[i] = inverse * v.x;
            y[i] = inverse * v.y;
            z[i] = inverse * v.z;
        }
        line.each_pair(spins, 4LL * h * w, [](const float* own, float* out) { std::memcpy(out, own, PAIR); });
    }
}

// The gradient of the vectors, (d - u (u.d)) / |v|, of that of the spins, d.
static void point_backward(const float* blocks, const float* upstream, int h, int w, float* out) {
    Line line(w);
    const float *x = line.x.data(), *y = line.y.data(), *z = line.z.data();
    for (int row = 0; row < h; ++row, blocks += 12LL * w, upstream += 4LL * w, out += 12LL * w) {
        line.each_pair(upstream, 4LL * h * w, [](float* own, const float* d) { std::memcpy(own, d, PAIR); });
        VECTOR_LOOP
        for (int i = 0; i < 4 * w; ++i) {
            const Vec3 v = {blocks[3 * i], blocks[3 * i + 1], blocks[3 * i + 2]}, d = {x[i], y[i], z[i]};
            const float inverse = inverse_sqrt(larger(dot(v, v), 1e-24f));
            const Vec3 unit = inverse * v, across = inverse * fma_(-dot(unit, d), unit, d);
            out[3 * i] = across.x;
            out[3 * i + 1] = across.y;
            out[3 * i + 2] = across.z;
        }
    }
}

// -dE/dS of one sample of spins (3, height, width), and its energy E.
static double field_of(const float* spins, const Couplings& couplings, Lattice l, float* field) {
    const long long plane = (long long)l.height * l.width;
    const int width = l.width, stride = width + 2;
    // Three rows of the three components, each with a cell more at either end.
    std::vector<float> memory(9 * stride, 0.0f);
    auto fetch = [&](int row, float* to) {
        const bool outside = row < 0 || row >= l.height;
        const float* from = spins + (row + l.height) % l.height * (long long)width;
        for (int k = 0; k < 3; ++k, to += stride, from += plane) {
            if (outside && !l.periodic) {
                std::fill(to, to + stride, 0.0f);
                continue;
            }
            std::copy(from, from + width, to + 1);
            to[0] = l.periodic ? from[width - 1] : 0.0f;
            to[width + 1] = l.periodic ? from[0] : 0.0f;
        }
    };
    float *down = memory.data(), *own = down + 3 * stride, *up = own + 3 * stride;
    fetch(-1, down);
    fetch(0, own);
    double energy = 0.0;
    const Couplings h = couplings;
    for (int y = 0; y < l.height; ++y) {
        fetch(y + 1, up);
        float* out = field + y * (long long)width;
        float lanes[LANES] = {};
        auto at = [&](const float* row, int x) { return Vec3{row[x], row[stride + x], row[2 * stride + x]}; };
        for (int x0 = 0; x0 < width; x0 += LANES)
            VECTOR_LOOP
            for (int lane = 0; lane < std::min(LANES, width - x0); ++lane) {
                const int x = x0 + lane;
                const Vec3 spin = at(own, x + 1);
                Vec3 felt = linear_field(at(own, x + 2), at(own, x), at(up, x + 1), at(down, x + 1), {0, 0, 0}, h);
                felt.z = fma_(2.0f * h.anisotropy, spin.z, felt.z);
                const Vec3 all = felt + h.field;
                lanes[lane] = lanes[lane] - dot(spin, fma_(0.5f, felt, h.field));
                out[x] = all.x;
                out[plane + x] = all.y;
                out[2 * plane + x] = all.z;
            }
        for (float lane : lanes) energy += lane;
        std::swap(down, own);
        std::swap(own, up);
    }
    return energy;
}

// Calls work(channels, target) with both known to the compiler.
template <int C, class Work>
static void of_target(int target, Work work) {
    typedef std::integral_constant<int, C> Channels;
    switch (target) {
        case POOLED: return work(Channels(), std::integral_constant<Target, POOLED>());
        case SPLIT: return work(Channels(), std::integral_constant<Target, SPLIT>());
        case JOINED: return work(Channels(), std::integral_constant<Target, JOINED>());
        default: return work(Channels(), std::integral_constant<Target, BLOCKS>());
    }
}

template <class Work>
static void of_kind(int channels, int target, Work work) {
    switch (channels) {
        case 3: return of_target<3>(target, work);
        case 6: return of_target<6>(target, work);
        case 12: return of_target<12>(target, work);
        case 24: return of_target<24>(target, work);
        case 48: return of_target<48>(target, work);
    }
}

extern "C" void channel_sums(const float* x, const float* shift, int channels, int batch, int blocks,
                             int threads, double* sums) {
    of_kind(channels, BLOCKS, [&](auto c, auto) {
        for_each_task(batch, threads, [&](int n) {
            const long long numbers = (long long)blocks * 4 * c;
            sums_of<c>(x + n * numbers, shift, blocks, sums + 2 * c * n);
        });
    });
}

// (Python hands on no floats but as arrays: hence the pointer to the slope.)
extern "C" void activate(const float* x, const float* mean, const float* scale, const float* bias,
                         const float* slope, int channels, int target, int batch, int h, int w,
                         int wrapped, int threads, float* y) {
    of_kind(channels, target, [&](auto c, auto kind) {
        const long long sample = Shape<c, kind>(h, w, wrapped).sample();
        for_each_task(batch, threads, [&](int n) {
            forward<c, kind>(x + (long long)n * h * w * 4 * c, {mean, scale, bias, nullptr, nullptr},
                             *slope, h, w, wrapped, y + n * sample);
        });
    });
}

extern "C" void activate_backward(const float* x, const float* dy, const float* mean,
                                  const float* scale, const float* bias, const float* mean_gradient,
                                  const float* slope_gradient, const float* slope, int channels,
                                  int target, int batch, int h, int w, int wrapped, int threads,
                                  double* sums, float* dx) {
    of_kind(channels, target, [&](auto c, auto kind) {
        const long long sample = Shape<c, kind>(h, w, wrapped).sample();
        const Norm norm = {mean, scale, bias, mean_gradient, slope_gradient};
        for_each_task(batch, threads, [&](int n) {
            const long long start = (long long)n * h * w * 4 * c;
            backward<c, kind>(x + start, dy + n * sample, norm, *slope, h, w, wrapped,
                              sums ? sums + 2 * c * n : nullptr, dx ? dx + start : nullptr);
        });
    });
}

extern "C" void point_host(const float* blocks, int batch, int h, int w, int threads, float* spins) {
    for_each_task(batch, threads, [&](int n) {
        point(blocks + n * 12LL * h * w, h, w, spins + n * 12LL * h * w);
    });
}

extern "C" void point_backward_host(const float* blocks, const float* upstream, int batch, int h,
                                    int w, int threads, float* out) {
    for_each_task(batch, threads, [&](int n) {
        const long long start = n * 12LL * h * w;
        point_backward(blocks + start, upstream + start, h, w, out + start);
    });
}

extern "C" void field_host(const float* spins, const Couplings* couplings, int batch, int height,
                           int width, int periodic, int threads, float* field, double* energy) {
    for_each_task(batch, threads, [&](int n) {
        const long long start = n * 3LL * height * width;
        energy[n] = field_of(spins + start, *couplings, {height, width, periodic}, field + start);
    });
}
