// Normal random numbers by the Box-Muller transform.
#pragma once
#include "elementary.cuh"
#include "philox.cuh"

// What names the white noise of a dipole field in Fourier space: four normal numbers of one Philox
// block for k_x = 2p, 2p + 1, the block's number being (component (rows/2 + 1) + k_y) ceil(columns/2) + p.
struct White {
    uint32 draw, state, purpose;
    uint64 seed;
};

// Four words -> four standard normals, by two pairs.
SITE void four_normal(Words w, float* out) {
    float sine, cosine, radius = square_root(-2.0f * log_unit(uniform(w.a)));
    sincos_turn(w.b, &sine, &cosine);
    out[0] = radius * cosine;
    out[1] = radius * sine;
    radius = square_root(-2.0f * log_unit(uniform(w.c)));
    sincos_turn(w.d, &sine, &cosine);
    out[2] = radius * cosine;
    out[3] = radius * sine;
}
