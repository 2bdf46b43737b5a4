/* Values beyond the ranges of their columns. */

#include <stdint.h>

/* x: (events, features); NaN is within any range
 * low, high: (features,)
 * counts: (features,) is added to */
void hepdann_outside(const float *x, int64_t events, int64_t features, const float *low,
                     const float *high, int64_t *counts)
{
    for (int64_t e = 0; e < events; e++, x += features)
        for (int64_t f = 0; f < features; f++)
            counts[f] += (x[f] < low[f]) | (x[f] > high[f]);
}
