// Fast Fourier transforms on the host, eight at once: one in each lane of a vector.
//
// A transform of n complex points is n lines of sixteen floats, eight real parts and eight imaginary
// ones: a cache line each. Every operation then acts on whole vectors, whatever n is.
//
//   forward    X_k = sum_j x_j exp(-2 pi i jk/n), left in the order `place`: X_k lies in line place[k]
//   backward   the inverse, without the factor 1/n, from that order to the natural one
//
// Between the two the order does not matter to a convolution, so nobody puts it right. Both work in
// place: the forward one splits n = R m into butterflies of R lines m apart and R transforms of the m
// lines in a row (decimation in frequency), the backward one is its mirror image.
#pragma once
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <vector>
#include "portable.cuh"

#define FFT_LANES 8
#define FFT_LINE (2 * FFT_LANES)  // floats in a line

typedef float Lanes __attribute__((vector_size(4 * FFT_LANES), aligned(4), may_alias));

// a b + c, rounded once. Written out lane by lane, this becomes one instruction.
SITE Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
    Lanes sum;
    for (int i = 0; i < FFT_LANES; ++i) sum[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return sum;
}

struct Complex {
    Lanes re, im;
};
SITE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
SITE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
SITE Complex turned(Complex a, float cosine, float sine) {  // times cosine + i sine
    const Lanes c = cosine - Lanes{}, s = sine - Lanes{};
    return {multiply_add(a.re, c, -(a.im * s)), multiply_add(a.re, s, a.im * c)};
}

// Times exp(-2 pi i k/R) for 2 k < R, with the quarters and eighths of a turn for less.
template <int R, int K>
SITE Complex eighth(Complex a) {
    const Lanes half = 0.70710678118654752f - Lanes{};
    if (8 * K == R) return {half * (a.re + a.im), half * (a.im - a.re)};
    if (4 * K == R) return {a.im, -a.re};
    if (8 * K == 3 * R) return {half * (a.im - a.re), -(half * (a.re + a.im))};
    return a;
}

template <int R>
struct Circle {
    float cosine[R], sine[R];
    Circle() {
        for (int k = 0; k < R; ++k) {
            cosine[k] = (float)std::cos(2 * M_PI * k / R);
            sine[k] = (float)std::sin(2 * M_PI * k / R);
        }
    }
};

// Transforms of R = 1, 2, 4, 8 or an odd number of points, in natural order. With HALF the upper half
// of the points that come in (`sum_first`) or are asked for (`sum_last`) is left out.
template <int R>
SITE void transform_odd(Complex* v) {
    static const Circle<R> circle;
    Complex sum[R / 2 + 1], difference[R / 2 + 1], out[R];
    out[0] = v[0];
    UNROLLED
    for (int k = 1; k <= R / 2; ++k) {
        sum[k] = v[k] + v[R - k];
        difference[k] = v[k] - v[R - k];
        out[0] = out[0] + sum[k];
    }
    UNROLLED
    for (int q = 1; q <= R / 2; ++q) {
        Complex even = v[0], odd = {Lanes{}, Lanes{}};
        UNROLLED
        for (int k = 1; k <= R / 2; ++k) {
            const Lanes c = circle.cosine[q * k % R] - Lanes{}, s = circle.sine[q * k % R] - Lanes{};
            even = {multiply_add(c, sum[k].re, even.re), multiply_add(c, sum[k].im, even.im)};
            odd = {multiply_add(s, difference[k].im, odd.re), multiply_add(-s, difference[k].re, odd.im)};
        }
        out[q] = even + odd;
        out[R - q] = even - odd;
    }
    UNROLLED
    for (int k = 0; k < R; ++k) v[k] = out[k];
}

template <int R, bool HALF>
SITE void sum_first(Complex* v) {
    if constexpr (R % 2) {
        if constexpr (R > 1) transform_odd<R>(v);
    } else {
        Complex even[R / 2], odd[R / 2];
        UNROLLED
        for (int k = 0; k < R / 2; ++k) {
            even[k] = HALF ? v[k] : v[k] + v[k + R / 2];
            odd[k] = HALF ? v[k] : v[k] - v[k + R / 2];
        }
        if constexpr (R > 2) odd[1] = eighth<R, 1>(odd[1]);
        if constexpr (R > 4) odd[2] = eighth<R, 2>(odd[2]), odd[3] = eighth<R, 3>(odd[3]);
        sum_first<R / 2, false>(even);
        sum_first<R / 2, false>(odd);
        UNROLLED
        for (int k = 0; k < R / 2; ++k) v[2 * k] = even[k], v[2 * k + 1] = odd[k];
    }
}

template <int R, bool HALF>
SITE void sum_last(Complex* v) {
    if constexpr (R % 2) {
        if constexpr (R > 1) transform_odd<R>(v);
    } else {
        Complex even[R / 2], odd[R / 2];
        UNROLLED
        for (int k = 0; k < R / 2; ++k) even[k] = v[2 * k], odd[k] = v[2 * k + 1];
        sum_last<R / 2, false>(even);
        sum_last<R / 2, false>(odd);
        if constexpr (R > 2) odd[1] = eighth<R, 1>(odd[1]);
        if constexpr (R > 4) odd[2] = eighth<R, 2>(odd[2]), odd[3] = eighth<R, 3>(odd[3]);
        UNROLLED
        for (int k = 0; k < R / 2; ++k) {
            v[k] = even[k] + odd[k];
            if (!HALF) v[k + R / 2] = even[k] - odd[k];
        }
    }
}

SITE Complex load_line(const float* line) {
    return {*(const Lanes*)line, *(const Lanes*)(line + FFT_LANES)};
}
SITE void store_line(float* line, Complex v) {
    *(Lanes*)line = v.re;
    *(Lanes*)(line + FFT_LANES) = v.im;
}

// One pass over `blocks` transforms of R m lines each. `twiddles` holds exp(-2 pi i jq/Rm) at
// [j][q - 1]. Backward, real and imaginary parts change places, which makes of it the inverse.
template <int R, bool BACKWARD, bool HALF, bool LAST>
static void butterflies(const float* from, float* to, int blocks, int apart, const float* twiddles) {
    const int m = LAST ? 1 : apart;
    const int real = BACKWARD ? FFT_LANES : 0, imaginary = FFT_LANES - real, points = HALF ? R / 2 : R;
    for (int block = 0; block < blocks; ++block, from += R * m * FFT_LINE, to += R * m * FFT_LINE)
        for (int j = 0; j < m; ++j) {
            Complex v[R];
            const float* w = twiddles + 2 * (R - 1) * j;
            UNROLLED
            for (int k = 0; k < (BACKWARD ? R : points); ++k) {
                const float* line = from + (k * m + j) * FFT_LINE;
                v[k] = {*(const Lanes*)(line + real), *(const Lanes*)(line + imaginary)};
                if (BACKWARD && k && !LAST) v[k] = turned(v[k], w[2 * k - 2], w[2 * k - 1]);
            }
            if (BACKWARD)
                sum_last<R, HALF>(v);
            else
                sum_first<R, HALF>(v);
            UNROLLED
            for (int k = 0; k < (BACKWARD ? points : R); ++k) {
                float* line = to + (k * m + j) * FFT_LINE;
                if (!BACKWARD && k && !LAST) v[k] = turned(v[k], w[2 * k - 2], w[2 * k - 1]);
                *(Lanes*)(line + real) = v[k].re;
                *(Lanes*)(line + imaginary) = v[k].im;
            }
        }
}

struct Fourier {
    typedef void (*Pass)(const float*, float*, int, int, const float*);
    struct Stage {
        int radix, m;
        std::vector<float> twiddles;
        Pass forward, backward, forward_half, backward_half;
    };
    int n;
    std::vector<Stage> stages;
    std::vector<int> place;

    explicit Fourier(int n) : n(n), place(n) {
        int left = n, twos = 0;
        for (; left % 2 == 0; left /= 2) ++twos;
        for (int bits; twos; twos -= bits) {
            bits = twos == 1 ? 1 : twos == 3 || twos == 6 ? 3 : 2;
            add(1 << bits);
        }
        for (int radix = 3; radix <= 7; radix += 2)
            for (; left % radix == 0; left /= radix) add(radix);
        for (int k = 0; k < n; ++k) {
            int rest = k;
            for (const Stage& s : stages) place[k] += rest % s.radix * s.m, rest /= s.radix;
        }
    }

    // Tables are made once for each size.
    static const Fourier& of(int n) {
        static std::mutex guard;
        static std::map<int, std::unique_ptr<Fourier>> made;
        std::lock_guard<std::mutex> lock(guard);
        auto& plan = made[n];
        if (!plan) plan.reset(new Fourier(n));
        return *plan;
    }

    // With `half`, the upper half of the lines that come in is taken for zero.
    void forward(const float* from, float* to, bool half) const {
        const Stage& s = stages[0];
        (half ? s.forward_half : s.forward)(from, to, 1, s.m, s.twiddles.data());
        descend(to, 1, s.radix, s.m);
    }
    // With `half`, only the lower half of the lines is wanted.
    void backward(float* from, float* to, bool half) const {
        const Stage& s = stages[0];
        ascend(from, 1, s.radix, s.m);
        (half ? s.backward_half : s.backward)(from, to, 1, s.m, s.twiddles.data());
    }

  private:
    static constexpr int near = 256;  // lines that stay in the nearest cache

    // The stages from `first` on, of `blocks` transforms of n lines in a row; large ones one by one.
    void descend(float* x, size_t first, int blocks, int n) const {
        if (first == stages.size()) return;
        if (blocks > 1 && (n > near || blocks * n > near)) {
            const int some = n > near ? 1 : near / n;
            for (int b = 0; b < blocks; b += some)
                descend(x + (size_t)b * n * FFT_LINE, first, b + some < blocks ? some : blocks - b, n);
            return;
        }
        const Stage& s = stages[first];
        s.forward(x, x, blocks, s.m, s.twiddles.data());
        descend(x, first + 1, blocks * s.radix, s.m);
    }
    void ascend(float* x, size_t first, int blocks, int n) const {
        if (first == stages.size()) return;
        if (blocks > 1 && (n > near || blocks * n > near)) {
            const int some = n > near ? 1 : near / n;
            for (int b = 0; b < blocks; b += some)
                ascend(x + (size_t)b * n * FFT_LINE, first, b + some < blocks ? some : blocks - b, n);
            return;
        }
        const Stage& s = stages[first];
        ascend(x, first + 1, blocks * s.radix, s.m);
        s.backward(x, x, blocks, s.m, s.twiddles.data());
    }

    void add(int radix) {
        const int before = stages.empty() ? n : stages.back().m, m = before / radix;
        Stage s{radix, m, {}, nullptr, nullptr, nullptr, nullptr};
        for (int j = 0; j < m; ++j)
            for (int q = 1; q < radix; ++q) {
                const double angle = -2 * M_PI * j * q / before;
                s.twiddles.push_back((float)std::cos(angle));
                s.twiddles.push_back((float)std::sin(angle));
            }
        if (radix == 2) m == 1 ? set<2, true>(s) : set<2, false>(s);
        if (radix == 3) m == 1 ? set<3, true>(s) : set<3, false>(s);
        if (radix == 4) m == 1 ? set<4, true>(s) : set<4, false>(s);
        if (radix == 5) m == 1 ? set<5, true>(s) : set<5, false>(s);
        if (radix == 7) m == 1 ? set<7, true>(s) : set<7, false>(s);
        if (radix == 8) m == 1 ? set<8, true>(s) : set<8, false>(s);
        stages.push_back(s);
    }
    template <int R, bool LAST>
    static void set(Stage& s) {
        s.forward = butterflies<R, false, false, LAST>;
        s.backward = butterflies<R, true, false, LAST>;
        s.forward_half = butterflies<R, false, R % 2 == 0, LAST>;
        s.backward_half = butterflies<R, true, R % 2 == 0, LAST>;
    }
};
