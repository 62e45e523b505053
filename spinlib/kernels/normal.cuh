// Normal random numbers by the Box-Muller transform.
#pragma once
#include "elementary.cuh"
#include "philox.cuh"

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
