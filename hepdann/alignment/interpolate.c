/* Piecewise linear maps of the columns of a table, as numpy.interp has them. */

#include <stdint.h>

#define EVENTS 512 /* at a time: their searches do not wait for each other */

/* x: (events, features); NaN passes
 * knots: (features, 3, size) where the pieces begin, the value there and the slope; size is a power of
 *   two, beyond the last knot there are others at infinity, and the slope behind the last is zero
 * last: (features,) the last knot
 * out: (events, features) */
void hepdann_interpolate(const float *x, int64_t events, int64_t features, const double *knots,
                                int64_t size, const double *last, float *out)
{
    for (int64_t start = 0; start < events; start += EVENTS) {
        const int64_t some = events - start < EVENTS ? events - start : EVENTS;
        for (int64_t f = 0; f < features; f++) {
            const double *begin = knots + 3 * size * f, *value = begin + size, *slope = value + size;
            double at[EVENTS];
            int32_t piece[EVENTS] = {0};
            for (int64_t e = 0; e < EVENTS; e++) {
                const double z = e < some ? x[(start + e) * features + f] : 0;
                at[e] = z < begin[0] ? begin[0] : z > last[f] ? last[f] : z;
            }
            for (int32_t half = (int32_t)(size / 2); half; half /= 2)
                for (int e = 0; e < EVENTS; e++)
                    piece[e] += half & -(begin[piece[e] + half] <= at[e]);
            for (int64_t e = 0; e < some; e++) {
                const int32_t j = piece[e];
                out[(start + e) * features + f] = (float)(slope[j] * (at[e] - begin[j]) + value[j]);
            }
        }
    }
}
