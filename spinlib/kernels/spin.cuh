// Physics at one site: the local field of the lattice Hamiltonian and the heat-bath move.
//
//   E = - J sum_<ij> S_i.S_j - sum_<ij> D_ij.(S_i x S_j) - sum_i B_i.S_i - K sum_i S_z^2
//
// with D_ij = D (z x r_ij) (interfacial) or D r_ij (bulk). Spins are unit vectors; a vacancy is the
// zero vector, and so is the missing neighbour at an open edge: it then takes part in no bond.
#pragma once
#include "normal.cuh"

struct Vec3 {
    float x, y, z;
};
SITE Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
SITE Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
SITE Vec3 operator*(float s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
SITE float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
SITE Vec3 cross(Vec3 a, Vec3 b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

// One replica's Hamiltonian, energies in units of the caller's choice (temperature alike).
struct Couplings {
    float exchange, dmi_interfacial, dmi_bulk, anisotropy;
    Vec3 field;
};

// -dE/dS_i of every term linear in S_i: exchange, DMI and Zeeman (anisotropy is left out).
SITE Vec3 linear_field(Vec3 right, Vec3 left, Vec3 up, Vec3 down, const Couplings& h) {
    Vec3 sum = (right + left) + (up + down);
    Vec3 dx = right - left, dy = up - down;
    Vec3 field = h.field + h.exchange * sum;
    field.x -= h.dmi_interfacial * dx.z + h.dmi_bulk * dy.z;
    field.y -= h.dmi_interfacial * dy.z - h.dmi_bulk * dx.z;
    field.z += h.dmi_interfacial * (dx.x + dy.y) + h.dmi_bulk * (dy.x - dx.y);
    return field;
}

// A unit vector drawn from p(S) ~ exp(field.S / T) by inverting the distribution of the projection
// c = S.field/|field|:  c = 1 + (T/|field|) ln(u + (1 - u) exp(-2|field|/T)).
// At T = 0 this is the unit vector along the field.
// beta is 1/T, at T = 0 any large number.
SITE Vec3 sample_along(Vec3 field, float strength, float temperature, float beta, Words random) {
    float u = uniform(random.a);
    float inverse = quotient(1.0f, strength);
    Vec3 axis = inverse * field;
    float width = temperature * inverse;  // T / |field|
    float tail = exp_negative(-2.0f * beta * strength);
    float drop = -width * log_unit(u + (1.0f - u) * tail);
    // For a field far below T the formula divides rounding errors by 2|field|/T; there
    // c = (2u - 1) + 2u(1 - u)|field|/T holds to (|field|/T)^2 < 4e-6.
    float linear = 2.0f * (1.0f - u) * (1.0f - u * (beta * strength));
    drop = width > 500.0f ? linear : drop;
    drop = drop < 0.0f ? 0.0f : (drop > 2.0f ? 2.0f : drop);
    float along = 1.0f - drop;
    float across = square_root(drop * (2.0f - drop));
    float sine, cosine;
    sincos_turn(random.b, &sine, &cosine);
    // An orthonormal pair across the axis, without a branch (Duff et al., JCGT 6, 1 (2017)).
    float sign = axis.z < 0.0f ? -1.0f : 1.0f;
    float a = quotient(-1.0f, sign + axis.z);
    float b = axis.x * axis.y * a;
    Vec3 first = {1.0f + sign * axis.x * axis.x * a, sign * b, -sign * axis.x};
    Vec3 second = {b, sign + axis.y * axis.y * a, -axis.y};
    Vec3 spin = along * axis + (across * cosine) * first + (across * sine) * second;
    // Of length 1 but for rounding, which one Newton step of the inverse square root takes away.
    return (1.5f - 0.5f * dot(spin, spin)) * spin;
}

// One heat-bath move: the new spin is an exact draw, whatever the old one was, and always taken. An
// anisotropy K > 0 is first made linear in S by a field of chance along its axis (Hubbard and
// Stratonovich):
//   exp(K S_z^2 / T) ~ integral of exp(phi S_z / T - phi^2 / (4 K T)) d phi,
// in which phi at a given spin is normal, with mean 2 K S_z and variance 2 K T, and S at a given phi
// feels the field B + phi z. For K < 0 the easy plane, -|K| (S_x^2 + S_y^2), is treated so along x
// and y. At T = 0 phi is 2 K S_z and the move S -> F/|F|, which never raises the energy, as the
// tangent bounds E from above. random.a and .b draw the spin, .c and .d the field.
template <bool ANISOTROPIC>
SITE Vec3 heat_bath(Vec3 old, Vec3 field, float anisotropy, float temperature, Words random) {
    float occupied = dot(old, old) > 0.5f ? 1.0f : 0.0f;
    if (ANISOTROPIC) {
        float twice = 2.0f * larger(anisotropy, -anisotropy), sine, cosine;
        float radius = square_root(-2.0f * twice * temperature * log_unit(uniform(random.c)));
        sincos_turn(random.d, &sine, &cosine);
        bool axis = anisotropy > 0.0f;
        field.x += axis ? 0.0f : twice * old.x + radius * sine;
        field.y += axis ? 0.0f : twice * old.y + radius * cosine;
        field.z += axis ? twice * old.z + radius * cosine : 0.0f;
    }
    field.z += dot(field, field) < 1e-20f ? 1e-10f : 0.0f;
    float strength = square_root(dot(field, field));
    float beta = quotient(1.0f, larger(temperature, 1e-20f));
    return occupied * sample_along(field, strength, temperature, beta, random);
}

// Over-relaxation: half a turn about the local field. It keeps the linear energy, moves far, and is
// accepted by Metropolis for the change of the anisotropy energy.
SITE Vec3 over_relax(Vec3 old, Vec3 field, float anisotropy, float temperature, Words random) {
    float projection = quotient(2.0f * dot(old, field), larger(dot(field, field), 1e-20f));
    Vec3 spin = projection * field - old;
    spin = inverse_sqrt(larger(dot(spin, spin), 1e-20f)) * spin;
    float cost = anisotropy * (old.z - spin.z) * (old.z + spin.z);
    bool accepted = cost <= -temperature * log_unit(uniform(random.a));
    return {accepted ? spin.x : old.x, accepted ? spin.y : old.y, accepted ? spin.z : old.z};
}

// - p S x B - q S x (S x B): precession about the field and damping towards it.
SITE Vec3 landau_lifshitz(Vec3 spin, Vec3 field, float precession, float damping) {
    Vec3 across = cross(spin, field);
    return (-precession) * across - damping * cross(spin, across);
}

SITE Vec3 normal_vector(Words random) {
    float four[4];
    four_normal(random, four);
    return {four[0], four[1], four[2]};
}
