/* Features of some events in one pass: bytes swapped, counted, and laid out event by event.
 *
 * What Tiles of summary.py does with NumPy in eight passes over memory. Built where there is a C compiler, and
 * called with ctypes, which lets other threads run. Vectors are those of GCC and Clang.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EVENTS 128 /* at a time: what is done with these stays in the first cache */
#define FEATURES 32

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx2", "default"))) /* chosen when it is loaded */
#else
#define WIDEST
#endif

typedef uint32_t Bits __attribute__((vector_size(32)));
typedef int32_t Mask __attribute__((vector_size(32))); /* -1 where true */
typedef float Floats __attribute__((vector_size(32)));
typedef float Half __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(32)));

#if defined(__clang__) || __GNUC__ >= 12
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else /* GCC before 12 */
#define MIX(a, b, ...) __builtin_shuffle(a, b, (Mask){__VA_ARGS__})
#endif

#define PICK(mask, yes, no) ((Floats)(((Bits)(yes) & (Bits)(mask)) | ((Bits)(no) & ~(Bits)(mask))))

/* Eight events of eight features, event by event: into out, whose events are ``columns`` apart. */
static inline __attribute__((always_inline)) void turn(Floats (*tile)[EVENTS / 8], int64_t at,
                                                       float *out, int64_t columns)
{
    Floats a[8], b[8];
    for (int f = 0; f < 8; f += 2) { /* pairs of features, of events 0, 1, 4, 5 and 2, 3, 6, 7 */
        a[f] = MIX(tile[f][at], tile[f + 1][at], 0, 8, 1, 9, 4, 12, 5, 13);
        a[f + 1] = MIX(tile[f][at], tile[f + 1][at], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int f = 0; f < 8; f += 4) /* fours of features, of events e and e + 4 */
        for (int k = 0; k < 2; k++) {
            b[f + 2 * k] = MIX(a[f + k], a[f + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            b[f + 2 * k + 1] = MIX(a[f + k], a[f + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int e = 0; e < 4; e++) {
        const Floats low = MIX(b[e], b[e + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        const Floats high = MIX(b[e], b[e + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        memcpy(out + e * columns, &low, sizeof low);
        memcpy(out + (e + 4) * columns, &high, sizeof high);
    }
}

/* rows: float32 of each feature, of any alignment; swap: whether their bytes are the other way round
 * column: where each feature goes; indicator: whether the next column says that it is not finite
 * train: 1 for events of the training split, 0 for others
 * out: (events, columns); NaN where a value is not finite
 * figures: minimum, maximum, sum and sum over the training split of each feature's finite values
 * counts: how many these are, of all events and of the training split
 * Figures and counts are added to what is there. */
WIDEST void hepdann_lay_out(const char *const *rows, const uint8_t *swap, const int64_t *column,
                            const uint8_t *indicator, int64_t features, int64_t columns,
                            int64_t events, const double *train, float *out, double *figures,
                            int64_t *counts)
{
    const Bits zero = {0}, exponent = zero + 0x7f800000u, nan = zero + 0x7fc00000u;
    double *lows = figures, *highs = lows + features;
    double *sums = highs + features, *train_sums = sums + features;
    Floats tile[FEATURES][EVENTS / 8];

    for (int64_t start = 0; start < events; start += EVENTS) {
        const int64_t size = events - start < EVENTS ? events - start : EVENTS;
        double weight[EVENTS] = {0};
        int64_t trained = 0;
        memcpy(weight, train + start, size * sizeof *weight);
        for (int64_t i = 0; i < size; i++)
            trained += weight[i] != 0;

        for (int64_t first = 0; first < features; first += FEATURES) {
            const int64_t some = features - first < FEATURES ? features - first : FEATURES;
            for (int64_t f = first; f < first + some; f++) {
                Bits bits[EVENTS / 8];
                Floats finite[EVENTS / 8], *values = tile[f - first];
                Floats low = (Floats)zero + INFINITY, high = (Floats)zero - INFINITY;
                Mask valid = {0};
                if (size < EVENTS)
                    memset(bits, 0xff, sizeof bits); /* NaN, which does not count */
                memcpy(bits, rows[f] + 4 * start, 4 * size);
                if (start + 2 * EVENTS <= events) /* no processor foresees so many columns apart */
                    for (int i = 0; i < EVENTS / 16; i++)
                        __builtin_prefetch(rows[f] + 4 * (start + EVENTS) + 64 * i);
                for (int i = 0; i < EVENTS / 8; i++) {
                    Bits x = bits[i];
                    if (swap[f])
                        x = x >> 24 | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u) | x << 24;
                    const Mask good = (Mask)((x & exponent) != exponent);
                    values[i] = PICK(good, x, nan);
                    finite[i] = (Floats)(x & (Bits)good);
                    low = PICK(values[i] < low, values[i], low);
                    high = PICK(values[i] > high, values[i], high);
                    valid -= good;
                }

                Doubles sum = {0}, train_sum = {0};
                for (int i = 0; i < EVENTS / 4; i++) {
                    Half part;
                    Doubles share;
                    memcpy(&part, (const char *)finite + i * sizeof part, sizeof part);
                    memcpy(&share, weight + 4 * i, sizeof share);
                    const Doubles wide = __builtin_convertvector(part, Doubles);
                    sum += wide;
                    train_sum += wide * share;
                }

                int64_t finite_count = 0;
                for (int k = 0; k < 8; k++) {
                    lows[f] = low[k] < lows[f] ? low[k] : lows[f];
                    highs[f] = high[k] > highs[f] ? high[k] : highs[f];
                    finite_count += valid[k];
                }
                sums[f] += sum[0] + sum[1] + sum[2] + sum[3];
                train_sums[f] += train_sum[0] + train_sum[1] + train_sum[2] + train_sum[3];
                counts[f] += finite_count;
                counts[features + f] += trained;
                const float *value = (const float *)values;
                for (int64_t i = 0; finite_count < size && i < size; i++)
                    counts[features + f] -= isnan(value[i]) && weight[i] != 0;
            }

            for (int64_t f = 0, next; f < some; f = next) {
                const int64_t place = column[first + f];
                const int adjacent = f + 8 <= some && column[first + f + 7] == place + 7;
                const int64_t turned = adjacent ? size / 8 * 8 : 0;
                float *events = out + start * columns;
                for (int64_t i = 0; i < turned; i += 8)
                    turn(tile + f, i / 8, events + i * columns + place, columns);
                next = adjacent ? f + 8 : f + 1;
                for (int64_t k = f; k < next; k++)
                    for (int64_t i = turned; i < size; i++)
                        events[i * columns + column[first + k]] = ((const float *)tile[k])[i];
            }
            for (int64_t f = 0; f < some; f++)
                for (int64_t i = 0; indicator[first + f] && i < size; i++)
                    out[(start + i) * columns + column[first + f] + 1] =
                        isnan(((const float *)tile[f])[i]) ? 1 : 0;
        }
    }
}
