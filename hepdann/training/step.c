/* A phase of a training step of a stack of DANNs: gradients, clipping, Adam, averaged weights, member after member.
 *
 * A block is a hundred events: a row is an event, and zeros end it at a whole vector; logits alone have a row each.
 * With batch normalisation a whole batch goes through one layer of the extractor after the other, else one
 * block through all; both heads take a block forward and back at once. Rows beyond the events of a block have
 * slopes of zero. A member's weights are copied to where rows and columns are whole vectors. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TILE 128  /* events of a block */
#define VECTORS 2 /* of columns of a product at a time */
#define SIZES 18  /* of Shape, which come first in it */
#define WIDE(n) (((n) + LINE - 1) / LINE * LINE)

/* columns of layers, of which IN, NORMAL and OUT are the first columns of the input, of what is normalised and
 * of the output; others are where a tensor of all members begins in the buffer of its part, or -1 */
enum { PART, INPUTS, OUTPUTS, WEIGHT, BIAS, SCALE, SHIFT, IN, NORMAL, OUT };
enum { DOMAIN, FIRST, COUNT, GROUP }; /* columns of the table of blocks */
enum { LABEL_LOSS = 1, DOMAIN_LOSS = 2, LAMBDA_ON_LOSS = 4, TARGET_DETACHED = 8 };

typedef struct {
    int64_t members, features, domains, events, count, blocks, parameters, widest, columns, normalised, per_domain, done;
    int64_t heads[2];       /* index of the first layer of each */
    int64_t losses, moved;  /* bits: of losses below, and of parts that move */
    int64_t averaged;       /* and whose averages follow */
    int64_t packed;         /* where in the memory of factors the copies of a member's weights begin */
    const int64_t *layers;  /* (count, 10) */
    const int64_t *table;   /* (blocks, 4) */
    const int64_t *tensors; /* (parameters, 3) part, start and size of a member */
} Shape;

static const double EXPONENTIAL[] = { /* 1 / j! */
    1., 1., 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800,
    1. / 39916800, 1. / 479001600, 1. / 6227020800.};
static const double ARTANH[] = { /* of artanh(s) / s in s^2 */
    1., 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15, 1. / 17, 1. / 19, 1. / 21, 1. / 23, 1. / 25,
    1. / 27, 1. / 29, 1. / 31, 1. / 33};

/* which lanes of two vectors side by side stand in lane j of a sum of neighbours `by` lanes apart */
#define NEAR(by, j) ((j) & (by) ? LANES : 0) + ((j) & ~(by))
#define FAR(by, j) ((j) & (by) ? LANES : 0) + ((j) | (by))
#define PAIRS(at, by)                                                                             \
    {at(by, 0), at(by, 1), at(by, 2),  at(by, 3),  at(by, 4),  at(by, 5),  at(by, 6),  at(by, 7), \
     at(by, 8), at(by, 9), at(by, 10), at(by, 11), at(by, 12), at(by, 13), at(by, 14), at(by, 15)}

#define REAL float
#define LINE 16 /* of the cache: numbers */
#define INT int32_t
#define MOST 80
#define OFFSET 127
#define SHIFT_BITS 23
#define TERMS 8
#define ODD_TERMS 8
#define SQRT sqrtf
#define NAME(name) name##_f4_plain
#define TARGET
#define BYTES 16
#define ROWS 4
#include "step.h"
#if defined(__x86_64__) && defined(__GNUC__)
#define NAME(name) name##_f4_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define ROWS 4
#include "step.h"
#define NAME(name) name##_f4_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,prefer-vector-width=512")))
#define BYTES 64
#define ROWS 8
#include "step.h"
#endif
#undef REAL
#undef INT
#undef MOST
#undef OFFSET
#undef SHIFT_BITS
#undef TERMS
#undef ODD_TERMS
#undef SQRT
#undef LINE

#define REAL double
#define LINE 8
#define INT int64_t
#define MOST 700
#define OFFSET 1023
#define SHIFT_BITS 52
#define TERMS 14
#define ODD_TERMS 17
#define SQRT sqrt
#define NAME(name) name##_f8_plain
#define TARGET
#define BYTES 16
#define ROWS 4
#include "step.h"
#if defined(__x86_64__) && defined(__GNUC__)
#define NAME(name) name##_f8_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define ROWS 4
#include "step.h"
#define NAME(name) name##_f8_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,prefer-vector-width=512")))
#define BYTES 64
#define ROWS 8
#include "step.h"
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define CHOOSE(NAME, TYPE)                                                                           \
    __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? NAME##_##TYPE##_avx512 \
    : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")       ? NAME##_##TYPE##_avx2   \
                                                                            : NAME##_##TYPE##_plain
#else
#define CHOOSE(NAME, TYPE) NAME##_##TYPE##_plain
#endif

/* sizes: those of Shape, in order
 * addresses: values, gradients, first and second moments and averages of the extractor, the label head and
 *   the domain head
 * x: (members, features, domains * events); label: (members, domains - 1, events)
 * weight: (members, domains, events); lambda, rates: (members,)
 * settings: weight of the domain loss, largest norm of a part's gradient, decay of the averages
 * figures: (3, members) receives L_y, L_d and the domain accuracy
 * parameters: of an extractor
 * out: (members, layers, 2, widest) receives mean and variance of what each layer normalises */
#define ENTRIES(TYPE, REAL)                                                                                           \
    typedef void Step_##TYPE(const Shape *, REAL *const *, const REAL *, const int64_t *, const REAL *, const REAL *, \
                             const double *, const double *, REAL *, REAL *, REAL *, REAL *);                         \
    typedef void Statistics_##TYPE(const Shape *, REAL *const *, const REAL *, const REAL *, REAL *, REAL *, REAL *); \
                                                                                                                      \
    void hepdann_step_##TYPE(const int64_t *sizes, const int64_t *layers, const int64_t *table,                       \
                             const int64_t *tensors, REAL *const *addresses, const REAL *x, const int64_t *label,     \
                             const REAL *weight, const REAL *lambda, const double *rates, const double *settings,     \
                             REAL *memory, REAL *slopes, REAL *moments, REAL *figures)                                \
    {                                                                                                                 \
        Shape shape = {.layers = layers, .table = table, .tensors = tensors};                                         \
        Step_##TYPE *step = CHOOSE(step, TYPE);                                                                       \
        memcpy(&shape, sizes, SIZES * sizeof *sizes);                                                                 \
        step(&shape, addresses, x, label, weight, lambda, rates, settings, memory, slopes, moments, figures);         \
    }                                                                                                                 \
                                                                                                                      \
    void hepdann_statistics_##TYPE(const int64_t *sizes, const int64_t *layers, const int64_t *table,                 \
                                   REAL *parameters, const REAL *x, const REAL *weight, REAL *memory, REAL *moments,  \
                                   REAL *out)                                                                         \
    {                                                                                                                 \
        Shape shape = {.layers = layers, .table = table};                                                             \
        Statistics_##TYPE *statistics = CHOOSE(statistics, TYPE);                                                     \
        memcpy(&shape, sizes, SIZES * sizeof *sizes);                                                                 \
        statistics(&shape, &parameters, x, weight, memory, moments, out);                                             \
    }

ENTRIES(f4, float)
ENTRIES(f8, double)
