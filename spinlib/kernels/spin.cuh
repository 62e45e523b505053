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
// Fused multiplications and additions are written out: one rounding less, the same on every machine.
SITE Vec3 fma_(float s, Vec3 a, Vec3 b) { return {fma_(s, a.x, b.x), fma_(s, a.y, b.y), fma_(s, a.z, b.z)}; }
SITE float dot(Vec3 a, Vec3 b) { return fma_(a.x, b.x, fma_(a.y, b.y, a.z * b.z)); }
SITE Vec3 cross(Vec3 a, Vec3 b) {
    return {fma_(a.y, b.z, -(a.z * b.y)), fma_(a.z, b.x, -(a.x * b.z)), fma_(a.x, b.y, -(a.y * b.x))};
}

struct Lattice {
    int height, width, periodic;
};

#ifdef __CUDACC__

SITE Vec3 load(const float* s, long long plane, long long i) {
    return {s[i], s[plane + i], s[2 * plane + i]};
}
SITE void store(float* s, long long plane, long long i, Vec3 v) {
    s[i] = v.x;
    s[plane + i] = v.y;
    s[2 * plane + i] = v.z;
}

// The spins around a site of one replica (3, height, width), zero beyond an open edge.
struct Neighbours {
    Vec3 right, left, up, down;
};
SITE Neighbours neighbours(const float* s, Lattice l, int x, int y) {
    const long long plane = (long long)l.height * l.width;
    const int row = y * l.width, site = row + x;
    const Vec3 none = {0.0f, 0.0f, 0.0f};
    const bool at_right = x + 1 == l.width, at_left = x == 0;
    const bool at_top = y + 1 == l.height, at_bottom = y == 0;
    return {at_right && !l.periodic ? none : load(s, plane, at_right ? row : site + 1),
            at_left && !l.periodic ? none : load(s, plane, at_left ? row + l.width - 1 : site - 1),
            at_top && !l.periodic ? none : load(s, plane, at_top ? x : site + l.width),
            at_bottom && !l.periodic ? none : load(s, plane, at_bottom ? plane - l.width + x : site - l.width)};
}

#endif

// One replica's Hamiltonian, energies in units of the caller's choice (temperature alike).
struct Couplings {
    float exchange, dmi_interfacial, dmi_bulk, anisotropy;
    Vec3 field;
};

// -dE/dS_i of every term linear in S_i: exchange and DMI, added to an external field, which is that
// of the couplings and of a map (anisotropy is left out).
SITE Vec3 linear_field(Vec3 right, Vec3 left, Vec3 up, Vec3 down, Vec3 external, const Couplings& h) {
    Vec3 dx = right - left, dy = up - down;
    Vec3 field = fma_(h.exchange, (right + left) + (up + down), external);
    field.x = fma_(-h.dmi_interfacial, dx.z, fma_(-h.dmi_bulk, dy.z, field.x));
    field.y = fma_(-h.dmi_interfacial, dy.z, fma_(h.dmi_bulk, dx.z, field.y));
    field.z = fma_(h.dmi_interfacial, dx.x + dy.y, fma_(h.dmi_bulk, dy.x - dx.y, field.z));
    return field;
}

// A unit vector drawn from p(S) ~ exp(field.S / T) by inverting the distribution of the projection
// c = S.field/|field|:  c = 1 + (T/|field|) ln(u + (1 - u) exp(-2|field|/T)).
// At T = 0 this is the unit vector along the field. beta is 1/T, at T = 0 any large number. A site that
// is not occupied stays the zero vector.
SITE Vec3 sample_along(Vec3 field, float temperature, float beta, bool occupied, Words random) {
    float u = uniform(random.a), rest = 1.0f - u, strength, inverse, sine, cosine;
    length_and_inverse(larger(dot(field, field), 1e-30f), &strength, &inverse);
    Vec3 axis = inverse * field;
    float ratio = beta * strength;  // |field| / T
    float drop = -temperature * inverse * log_unit(fma_(rest, exp_negative(-2.0f * ratio), u));
    // For a field far below T the formula divides rounding errors by 2|field|/T; there
    // c = (2u - 1) + 2u(1 - u)|field|/T holds to (|field|/T)^2 < 4e-6.
    drop = ratio < 0.002f ? 2.0f * rest * fma_(-u, ratio, 1.0f) : drop;
    drop = smaller(larger(drop, 0.0f), 2.0f);
    float along = 1.0f - drop, across = square_root(drop * (2.0f - drop));
    sincos_turn(random.b, &sine, &cosine);
    // That is, along axis + across (cos e + sin f). With s the sign of z, a pair across the axis that
    // needs no branch (Duff et al., JCGT 6, 1 (2017)) is e = s X - x w and f = s Y - y w, where X and Y
    // are unit vectors and w = s (x, y, z + s)/(1 + |z|); so cos e + sin f = s (cos, sin, 0) - mixed w.
    float mixed = fma_(axis.x, cosine, axis.y * sine), turned = with_sign(across, axis.z);
    float in_plane = fma_(-quotient(1.0f, 1.0f + magnitude(axis.z)), turned * mixed, along);
    Vec3 spin = {fma_(in_plane, axis.x, turned * cosine), fma_(in_plane, axis.y, turned * sine),
                 fma_(along, axis.z, -(across * mixed))};
    // Of length 1 but for rounding, which one Newton step of the inverse square root takes away.
    return (occupied ? fma_(-0.5f, dot(spin, spin), 1.5f) : 0.0f) * spin;
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
SITE Vec3 heat_bath(Vec3 old, Vec3 field, float anisotropy, float temperature, float beta, Words random) {
    if (ANISOTROPIC) {
        float axis = 2.0f * larger(anisotropy, 0.0f), plane = 2.0f * larger(-anisotropy, 0.0f), sine, cosine;
        float width = -2.0f * temperature * log_unit(uniform(random.c));
        sincos_turn(random.d, &sine, &cosine);
        float along = square_root(axis * width), across = square_root(plane * width);
        field.x = fma_(plane, old.x, fma_(across, sine, field.x));
        field.y = fma_(plane, old.y, fma_(across, cosine, field.y));
        field.z = fma_(axis, old.z, fma_(along, cosine, field.z));
    }
    field.z += 1e-10f;  // a direction where there is no field, elsewhere far below rounding
    return sample_along(field, temperature, beta, dot(old, old) > 0.5f, random);
}

// - p S x B - q S x (S x B): precession about the field and damping towards it.
SITE Vec3 landau_lifshitz(Vec3 spin, Vec3 field, float precession, float damping) {
    Vec3 across = cross(spin, field);
    return fma_(-precession, across, -damping * cross(spin, across));
}

SITE Vec3 normal_vector(Words random) {
    float four[4];
    four_normal(random, four);
    return {four[0], four[1], four[2]};
}
