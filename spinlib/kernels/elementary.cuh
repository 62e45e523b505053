// exp, log and sincos that a compiler can inline into a vector loop, with the same bits on every
// CPU: range reduction, a short minimax polynomial, explicit fused multiply-adds. Relative errors
// stay below 2e-7, that is single-precision rounding. On the GPU the special-function units do
// the same work in one instruction each.
#pragma once
#include "portable.cuh"

#ifdef __CUDACC__

SITE float exp_negative(float x) { return __expf(x); }
SITE float log_unit(float x) { return __logf(x); }
SITE void sincos_turn(uint32 word, float* sine, float* cosine) {
    // The word read as a signed fraction of a turn, so that the angle lies in [-pi, pi).
    __sincosf((float)(int)word * 1.4629180792671596e-9f, sine, cosine);
}
SITE float inverse_sqrt(float x) { return rsqrtf(x); }
// A fast logarithm of nearly 1 may come out above 0, which leaves a root of -1e-7: that is 0 as well.
// With `--prec-sqrt=false` the root itself is one instruction.
SITE float square_root(float x) { return sqrtf(fmaxf(x, 0.0f)); }
SITE void length_and_inverse(float square, float* length, float* inverse) {
    *inverse = rsqrtf(square);
    *length = square * *inverse;
}
SITE float quotient(float a, float b) { return __fdividef(a, b); }
SITE float larger(float a, float b) { return fmaxf(a, b); }
SITE float smaller(float a, float b) { return fminf(a, b); }
SITE float magnitude(float x) { return fabsf(x); }
SITE float with_sign(float x, float sign) { return copysignf(x, sign); }

#else

SITE float inverse_sqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
SITE float square_root(float x) { return __builtin_sqrtf(x); }
SITE void length_and_inverse(float square, float* length, float* inverse) {
    *length = __builtin_sqrtf(square);
    *inverse = 1.0f / *length;
}
SITE float quotient(float a, float b) { return a / b; }
SITE float larger(float a, float b) { return a > b ? a : b; }
SITE float smaller(float a, float b) { return a < b ? a : b; }
SITE float magnitude(float x) { return __builtin_fabsf(x); }
SITE float with_sign(float x, float sign) { return __builtin_copysignf(x, sign); }

// exp(x) for x <= 0; underflows to about 1e-38 below -87, where nothing here can tell the difference.
SITE float exp_negative(float x) {
    x = larger(x, -87.0f);
    const float round_to_integer = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fraction bits
    float n = fma_(x, 1.44269504f, round_to_integer) - round_to_integer;
    float r = fma_(n, -0.693145752f, x);  // ln 2 in two parts, the first exact times any n
    r = fma_(n, -1.42860677e-6f, r);
    float p = fma_(r, 8.297654800e-3f, 4.191538319e-2f);
    p = fma_(p, r, 1.666757464e-1f);
    p = fma_(p, r, 4.999889433e-1f);
    p = fma_(p, r, 9.999997020e-1f);
    p = fma_(p, r, 1.000000119f);
    return p * bits_to_float(((int)n + 127) << 23);
}

// log(x) for normal positive x.
SITE float log_unit(float x) {
    int bits = float_to_bits(x);
    int exponent = (bits - 0x3F3504F3) >> 23;  // puts the mantissa in [1/sqrt 2, sqrt 2)
    float f = bits_to_float(bits - (exponent << 23)) - 1.0f;
    float e = (float)exponent;
    float p = fma_(f, 8.700430393e-2f, -1.426748633e-1f);
    p = fma_(p, f, 1.491476893e-1f);
    p = fma_(p, f, -1.657758504e-1f);
    p = fma_(p, f, 1.996306330e-1f);
    p = fma_(p, f, -2.500133812e-1f);
    p = fma_(p, f, 3.333390951e-1f);
    float f2 = f * f;
    float tail = fma_(p * f, f2, fma_(e, 1.42860677e-6f, -0.5f * f2));
    return fma_(e, 0.693145752f, f + tail);
}

// sine and cosine of 2 pi word / 2^32: the two leading bits choose the quadrant exactly.
SITE void sincos_turn(uint32 word, float* sine, float* cosine) {
    uint32 shifted = word + 0x20000000u;
    uint32 quadrant = shifted >> 30;
    int offset = (int)(shifted & 0x3FFFFFFFu) - 0x20000000;
    float t = (float)offset * 1.4629180792671596e-9f;  // in [-pi/4, pi/4)
    float z = t * t;
    float s = fma_(z, -1.949563593e-4f, 8.331978694e-3f);
    s = fma_(s, z, -1.666665077e-1f);
    s = fma_(s * z, t, t);
    float c = fma_(z, 2.443845187e-5f, -1.388736768e-3f);
    c = fma_(c, z, 4.166664556e-2f);
    c = fma_(c, z, -0.5f);
    c = fma_(c, z, 1.0f);
    float first = (quadrant & 1u) ? c : s;
    float second = (quadrant & 1u) ? s : c;
    *sine = (quadrant & 2u) ? -first : first;
    *cosine = ((quadrant + 1u) & 2u) ? -second : second;
}

#endif
