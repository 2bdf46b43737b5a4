/* Piecewise linear maps of the columns of a table, as numpy.interp has them. */

#include <stdint.h>

#define EVENTS 256 /* at a time: their searches do not wait for each other */

typedef struct {
    double begin, value, slope, unused;
} Piece;

/* x: (events, features); NaN passes
 * pieces: (features, size); the slope behind the last is zero
 * begins: (features, size) where they begin, rounded up to the next float; NaN behind the last
 * ranges: (features, 3) where the first and the last piece begin, and cells per unit between these
 * before: (features, cells) the last piece that begins in an earlier cell
 * steps: (features,) of a search among the pieces that begin in a cell
 * out: (events, features) */
void hepdann_interpolate(const float *x, int64_t events, int64_t features, const double *pieces,
                         const float *begins, int64_t size, const double *ranges, const int32_t *before,
                         int64_t cells, const int64_t *steps, float *out)
{
    for (int64_t start = 0; start < events; start += EVENTS) {
        const int64_t some = events - start < EVENTS ? events - start : EVENTS;
        for (int64_t f = 0; f < features; f++) {
            const Piece *piece = (const Piece *)pieces + size * f;
            const float *begin = begins + size * f;
            const double low = ranges[3 * f], high = ranges[3 * f + 1], scale = ranges[3 * f + 2];
            float at[EVENTS] = {0};
            int32_t j[EVENTS];
            for (int64_t e = 0; e < some; e++)
                at[e] = x[(start + e) * features + f];
            for (int e = 0; e < EVENTS; e++) {
                const double z = at[e], above = z > low ? z : low; /* NaN becomes low */
                j[e] = (int32_t)(((above > high ? high : above) - low) * scale);
            }
            for (int e = 0; e < EVENTS; e++)
                j[e] = before[cells * f + j[e]];
            for (int32_t half = (int32_t)1 << steps[f] >> 1; half; half /= 2)
                for (int e = 0; e < EVENTS; e++)
                    j[e] += half & -(begin[j[e] + half] <= at[e]);
            for (int64_t e = 0; e < some; e++) {
                const Piece *one = piece + j[e];
                const double z = at[e], inside = z < low ? low : z > high ? high : z;
                out[(start + e) * features + f] = (float)(one->slope * (inside - one->begin) + one->value);
            }
        }
    }
}
