/* Energy deposited by 177Lu decays in a voxel phantom: the reference of torso.toml. It shares nothing with the engine.
 *
 * Electrons: one deposit per decay, at a distance drawn from a water point kernel, along a straight path of equal areal
 * density. Photons: one per decay with the weight of all lines, delta tracking, photoelectric absorption and Klein-Nishina
 * scattering in the material of the voxel, secondary electrons deposited on the spot, no coherent scattering.
 *
 *   cc -O3 -o deposit deposit.c -lm
 *   deposit PHANTOM TABLES SEED DECAYS OUT     (files as written by make_torso.py)
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MATERIALS 8
#define ENERGIES 4000
#define LINES 64
static const double LOWEST_KEV = 10.0, HIGHEST_KEV = 400.0, CUT_KEV = 10.5, ELECTRON_KEV = 510.999, AIR = 0.05;

static uint64_t state[4];
static uint64_t rotated(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
static double uniform(void) { /* xoshiro256++ (Blackman and Vigna, 2019), in (0, 1) */
    uint64_t result = rotated(state[0] + state[3], 23) + state[0], t = state[1] << 17;
    state[2] ^= state[0]; state[3] ^= state[1]; state[1] ^= state[2]; state[0] ^= state[3];
    state[2] ^= t; state[3] = rotated(state[3], 45);
    return ((double)(result >> 11) + 0.5) / 9007199254740992.0;
}
static void seed_with(uint64_t x) { /* splitmix64 */
    for (int i = 0; i < 4; i++) {
        uint64_t z = (x += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL; z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        state[i] = z ^ (z >> 31);
    }
}
static void isotropic(double *d) {
    double c = 2 * uniform() - 1, phi = 2 * M_PI * uniform(), s = sqrt(1 - c * c);
    d[0] = c; d[1] = s * cos(phi); d[2] = s * sin(phi);
}

static int size[3], materials, lines, shells;
static double side_cm, line_kev[LINES], line_cumulated[LINES], *edge_mm, *shell_cumulated;
static float *density;
static uint8_t *material;
static double *source_cumulated, *electrons, *photons;
static double photo[MATERIALS][ENERGIES], compton[MATERIALS][ENERGIES], highest[ENERGIES]; /* cm2/g; 1/cm */

static size_t voxel(const int *i) { return ((size_t)i[0] * size[1] + i[1]) * size[2] + i[2]; }
static size_t first_at_least(const double *cumulated, size_t count, double u) {
    size_t low = 0, high = count - 1;
    while (low < high) { size_t middle = (low + high) / 2; if (cumulated[middle] < u) low = middle + 1; else high = middle; }
    return low;
}
static void check(int sound, const char *what) { if (!sound) { fprintf(stderr, "cannot read %s\n", what); exit(1); } }

static void read_phantom(const char *path) {
    FILE *f = fopen(path, "rb"); int head[4]; check(f != NULL, path);
    check(fread(head, 4, 4, f) == 4 && fread(&side_cm, 8, 1, f) == 1, path);
    memcpy(size, head, sizeof size); materials = head[3];
    size_t n = (size_t)size[0] * size[1] * size[2];
    density = malloc(4 * n); material = malloc(n); source_cumulated = malloc(8 * n);
    electrons = calloc(n, 8); photons = calloc(n, 8);
    check(fread(density, 4, n, f) == n && fread(material, 1, n, f) == n && fread(source_cumulated, 8, n, f) == n, path);
    fclose(f);
}
static void read_tables(const char *path) {
    FILE *f = fopen(path, "r"); double total = 0, intensity; check(f != NULL, path);
    check(fscanf(f, "%d", &lines) == 1 && lines <= LINES, path);
    for (int i = 0; i < lines; i++) {
        check(fscanf(f, "%lf %lf", &line_kev[i], &intensity) == 2, path); line_cumulated[i] = (total += intensity);
    }
    check(fscanf(f, "%d", &shells) == 1, path);
    edge_mm = malloc(8 * (shells + 1)); shell_cumulated = malloc(8 * shells);
    for (int i = 0; i <= shells; i++) check(fscanf(f, "%lf", edge_mm + i) == 1, path);
    for (int i = 0; i < shells; i++) check(fscanf(f, "%lf", shell_cumulated + i) == 1, path);
    for (int m = 0; m < materials; m++)
        for (int i = 0; i < ENERGIES; i++) check(fscanf(f, "%lf %lf", &photo[m][i], &compton[m][i]) == 2, path);
    fclose(f);
    float densest[MATERIALS] = {0};
    for (size_t i = 0; i < (size_t)size[0] * size[1] * size[2]; i++)
        if (density[i] > densest[material[i]]) densest[material[i]] = density[i];
    for (int i = 0; i < ENERGIES; i++)
        for (int m = 0; m < materials; m++) highest[i] = fmax(highest[i], (photo[m][i] + compton[m][i]) * densest[m]);
}

static void follow_electron(const double *start, const int *first) {
    double p[3], d[3]; int i[3]; isotropic(d); memcpy(p, start, sizeof p); memcpy(i, first, sizeof i);
    size_t shell = first_at_least(shell_cumulated, shells, uniform());
    double left = (edge_mm[shell] + uniform() * (edge_mm[shell + 1] - edge_mm[shell])) / (10 * side_cm); /* voxels of water */
    for (;;) {
        double step = 1e9, rho = density[voxel(i)]; int axis = 0;
        if (rho < AIR) rho = 0;
        for (int k = 0; k < 3; k++) {
            double q = d[k] > 0 ? (i[k] + 1 - p[k]) / d[k] : d[k] < 0 ? (i[k] - p[k]) / d[k] : 1e9;
            if (q < step) { step = q; axis = k; }
        }
        step = fmax(step, 0);
        if (rho > 0 && step * rho >= left) { electrons[voxel(i)] += 1; return; }
        left -= step * rho;
        for (int k = 0; k < 3; k++) p[k] += step * d[k];
        i[axis] += d[axis] > 0 ? 1 : -1; p[axis] = d[axis] > 0 ? i[axis] : i[axis] + 1;
        if (i[axis] < 0 || i[axis] >= size[axis]) return;
    }
}

static double scattered(double kev, double *cosine) { /* Klein-Nishina by composition and rejection; returns E'/E */
    double a = kev / ELECTRON_KEV, least = 1 / (1 + 2 * a), one = -log(least), two = 0.5 * (1 - least * least);
    for (;;) {
        double e = uniform() < one / (one + two) ? exp(-one * uniform()) : sqrt(least * least + (1 - least * least) * uniform());
        double t = (1 - e) / (a * e);
        if (uniform() < 1 - e * t * (2 - t) / (1 + e * e)) { *cosine = 1 - t; return e; }
    }
}
static void turn(double *d, double c) {
    double s = sqrt(fmax(0, 1 - c * c)), phi = 2 * M_PI * uniform(), x = s * cos(phi), y = s * sin(phi), w[3];
    if (fabs(d[0]) > 0.99999) { w[0] = c * (d[0] > 0 ? 1 : -1); w[1] = x; w[2] = y; }
    else {
        double q = sqrt(1 - d[0] * d[0]);
        w[0] = d[0] * c - q * x; w[1] = d[1] * c + (d[1] * d[0] * x - d[2] * y) / q; w[2] = d[2] * c + (d[2] * d[0] * x + d[1] * y) / q;
    }
    memcpy(d, w, sizeof w);
}
static void follow_photon(const double *start) {
    double weight = line_cumulated[lines - 1], p[3], d[3]; isotropic(d); memcpy(p, start, sizeof p);
    double kev = line_kev[first_at_least(line_cumulated, lines, uniform() * weight)];
    for (;;) {
        int i[3] = {(int)p[0], (int)p[1], (int)p[2]};
        if (kev < CUT_KEV) { photons[voxel(i)] += weight * kev; return; }
        int e = (int)((kev - LOWEST_KEV) / (HIGHEST_KEV - LOWEST_KEV) * (ENERGIES - 1));
        double step = -log(uniform()) / (highest[e] * side_cm), cosine;
        for (int k = 0; k < 3; k++) { p[k] += step * d[k]; if (p[k] < 0 || p[k] >= size[k]) return; i[k] = (int)p[k]; }
        size_t at = voxel(i); int m = material[at]; double u = uniform() * highest[e];
        if (u < photo[m][e] * density[at]) { photons[at] += weight * kev; return; }
        if (u < (photo[m][e] + compton[m][e]) * density[at]) {
            double part = scattered(kev, &cosine);
            photons[at] += weight * kev * (1 - part); kev *= part; turn(d, cosine);
        }
    }
}

int main(int count, char **given) {
    check(count == 6, "five arguments: PHANTOM TABLES SEED DECAYS OUT");
    read_phantom(given[1]); read_tables(given[2]); seed_with(strtoull(given[3], NULL, 10));
    size_t n = (size_t)size[0] * size[1] * size[2]; long decays = atol(given[4]);
    for (long t = 0; t < decays; t++) {
        size_t at = first_at_least(source_cumulated, n, uniform());
        int i[3] = {(int)(at / ((size_t)size[1] * size[2])), (int)(at / size[2] % size[1]), (int)(at % size[2])};
        double p[3] = {i[0] + uniform(), i[1] + uniform(), i[2] + uniform()};
        follow_electron(p, i); follow_photon(p);
    }
    FILE *f = fopen(given[5], "wb"); check(f != NULL, given[5]);
    fwrite(electrons, 8, n, f); fwrite(photons, 8, n, f); fclose(f);
    return 0;
}
