// One source, two compilers. NVRTC sees CUDA; the host C++ compiler sees the same functions as
// inlined C++ that it can vectorise over sites. The physics headers use only what is named here.
#pragma once

// Before a loop of a few turns over an array, which so comes to lie in registers.
#if defined(__CUDACC__) || defined(__clang__)
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

typedef unsigned int uint32;
typedef unsigned long long uint64;

#ifdef __CUDACC__

#define SITE static __device__ __forceinline__
SITE float bits_to_float(int bits) { return __int_as_float(bits); }
SITE int float_to_bits(float x) { return __float_as_int(x); }
SITE uint32 multiply_high(uint32 a, uint32 b) { return __umulhi(a, b); }
SITE float fma_(float a, float b, float c) { return __fmaf_rn(a, b, c); }

#else

#include <cmath>
#include <cstdint>
#define SITE static inline __attribute__((always_inline))
SITE float bits_to_float(int bits) { return __builtin_bit_cast(float, bits); }
SITE int float_to_bits(float x) { return __builtin_bit_cast(int, x); }
SITE uint32 multiply_high(uint32 a, uint32 b) { return (uint32)(((uint64)a * b) >> 32); }
SITE float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

#endif
