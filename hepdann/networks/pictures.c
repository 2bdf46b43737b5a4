/* ReLU and max pooling in one pass, channels innermost.
 *
 * Windows do not overlap, and those at the lower and right edge may be cut. Positive floating-point
 * numbers have the order of their bits as integers, so that float32 and bfloat16 are compared as
 * such; what is no number stays what it is. */

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define WIDEST __attribute__((target_clones("arch=icelake-server", "avx2", "default")))
#else
#define WIDEST
#endif

#define UP(n) (((n) + size - 1) / size)

/* x: (batch, height, width, channels)
 * y: (batch, ceil(height / size), ceil(width / size), channels)
 * place: like y, 1 + where in its window the maximum stands, 0 where nothing is positive
 *
 * gx: like x, filled with gy where the maxima stand */
#define POOL(name, type, infinity, largest)                                                        \
    WIDEST void hepdann_pool_##name(const type *x, int64_t batch, int64_t height, int64_t width,   \
                                    int64_t channels, int64_t size, type *y, type *place)          \
    {                                                                                              \
        int64_t values = UP(height) * UP(width) * channels;                                        \
        memset(y, 0, sizeof(type) * batch * values);                                               \
        memset(place, 0, sizeof(type) * batch * values);                                           \
        for (int64_t b = 0; b < batch; b++, y += values, place += values)                          \
            for (int64_t i = 0; i < height; i++)                                                   \
                for (int64_t j = 0; j < width; j++, x += channels) {                               \
                    int64_t at = (i / size * UP(width) + j / size) * channels;                     \
                    type *restrict best = y + at, *restrict at_best = place + at;                  \
                    const type here = 1 + i % size * size + j % size;                              \
                    for (int64_t c = 0; c < channels; c++) {                                       \
                        const type bits = x[c] & (largest);                                        \
                        const type value = bits > (infinity) ? bits : x[c];                        \
                        const type more = -(value > best[c]);                                      \
                        best[c] = (value & more) | (best[c] & ~more);                              \
                        at_best[c] = (here & more) | (at_best[c] & ~more);                         \
                    }                                                                              \
                }                                                                                  \
    }                                                                                              \
                                                                                                   \
    WIDEST void hepdann_unpool_##name(const type *gy, const type *place, int64_t batch,            \
                                      int64_t height, int64_t width, int64_t channels,             \
                                      int64_t size, type *gx)                                      \
    {                                                                                              \
        int64_t values = UP(height) * UP(width) * channels;                                        \
        for (int64_t b = 0; b < batch; b++, gy += values, place += values)                         \
            for (int64_t i = 0; i < height; i++)                                                   \
                for (int64_t j = 0; j < width; j++, gx += channels) {                              \
                    int64_t at = (i / size * UP(width) + j / size) * channels;                     \
                    const type *g = gy + at, *where = place + at;                                  \
                    type *restrict to = gx;                                                        \
                    const type here = 1 + i % size * size + j % size;                              \
                    for (int64_t c = 0; c < channels; c++)                                         \
                        to[c] = g[c] & -(where[c] == here);                                        \
                }                                                                                  \
    }

POOL(bfloat16, int16_t, 0x7f80, 0x7fff)
POOL(float32, int32_t, 0x7f800000, 0x7fffffff)
