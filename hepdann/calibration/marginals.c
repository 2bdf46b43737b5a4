/* Sums of events between the knots of cumulative distributions, along many directions; and ranks. */

#include <stdint.h>

#define EVENTS 64 /* at a time: their places do not wait for each other */

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx2", "default"))) /* chosen when it is loaded */
#else
#define WIDEST
#endif

typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));

/* along: (rows, events) in steps of the row's table
 * table: (rows,) the table of a row
 * ends: (tables, 2) the first step, and how many follow
 * first: (tables,) where the steps of a table begin in
 * lines: (steps, 2) slope and start of the place between the knots
 * weight, label: (events,)
 * sums: (labels, rows, knots, 2) of weights, and of weights by the part of the way to the next knot,
 *     which are added to what is there
 * below: (rows, events) the knot below each event, -1 before the first */
WIDEST void hepdann_marginals(const double *along, int64_t rows, int64_t events, const int64_t *table,
                              const double *ends, const int64_t *first, const double *lines,
                              const double *weight, const int64_t *label, int64_t knots, double *sums,
                              int16_t *below)
{
    for (int64_t row = 0; row < rows; row++, along += events, below += events) {
        const double low = ends[2 * table[row]], last = ends[2 * table[row] + 1];
        const double *line = lines + 2 * first[table[row]];
        for (int64_t start = 0; start < events; start += EVENTS) {
            const int some = events - start < EVENTS ? (int)(events - start) : EVENTS;
            int32_t knot[EVENTS];
            double part[EVENTS], step[EVENTS];
            for (int e = 0; e < some; e++) {
                const double z = along[start + e] - low, above = z > 0 ? z : 0; /* NaN becomes 0 */
                step[e] = above < last ? above : last;
                knot[e] = (int32_t)step[e];
            }
            for (int e = 0; e < some; e++) {
                const double place = line[2 * knot[e]] * step[e] + line[2 * knot[e] + 1];
                knot[e] = (int32_t)place;
                part[e] = place - knot[e];
            }
            for (int e = 0; e < some; e++)
                below[start + e] = (int16_t)(step[e] > 0 ? knot[e] : -1);
            for (int e = 0; e < some; e++) {
                double *sum = sums + 2 * ((label[start + e] * rows + row) * knots + knot[e]);
                sum[0] += weight[start + e];
                sum[1] += weight[start + e] * part[e];
            }
        }
    }
}

/* below: (rows, events) as above
 * columns: (events, count, 8) what is summed over the events above a knot, but before the next
 * moved: (rows, knots, count, 8) the sums, which are added to what is there */
WIDEST void hepdann_moved(const int16_t *below, int64_t rows, int64_t events, int64_t knots,
                          const Floats *columns, int64_t count, Floats *moved)
{
    for (int64_t row = 0; row < rows; row++, below += events, moved += knots * count)
        for (int64_t e = 0; e < events; e++) {
            const int64_t knot = below[e], some = knot < 0 ? 0 : count;
            const Floats *from = columns + e * count;
            Floats *to = moved + knot * count;
            for (int64_t c = 0; c < some; c++)
                to[c] += from[c];
        }
}

#define CELLS 8192

/* values: (rows, events); those of a cell count as they come
 * centre: (2,) of the cells, and the width of their finer half
 * sorted: (events,)
 * matched: (rows, events) what is sorted, at the rank of each value */
WIDEST void hepdann_match(const double *values, int64_t rows, int64_t events, const double *centre,
                          const double *sorted, double *matched)
{
    for (int64_t row = 0; row < rows; row++, values += events, matched += events) {
        int32_t rank[CELLS + 1] = {0};
        for (int64_t e = 0; e < events; e++) {
            const double z = (values[e] - centre[0]) / centre[1], size = z < 0 ? -z : z;
            const double share = size < 1e300 ? z / (1 + size) : 0;
            matched[e] = (double)(int32_t)((CELLS - 1) / 2.0 * (1 + share));
        }
        for (int64_t e = 0; e < events; e++)
            rank[(int32_t)matched[e] + 1]++;
        for (int cell = 0; cell < CELLS; cell++)
            rank[cell + 1] += rank[cell];
        for (int64_t e = 0; e < events; e++)
            matched[e] = sorted[rank[(int32_t)matched[e]]++];
    }
}
