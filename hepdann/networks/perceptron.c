/* Probabilities by stacks of multilayer perceptrons: all layers of a few events while these are in the cache. */

#include <stdint.h>
#include <string.h>

#define EVENTS 64 /* at a time; side by side in vectors */
#define ROWS 4    /* of a layer's output at a time */

#define NAME(name) name##_plain
#define TARGET
#define BYTES 16
#define VECTORS 2
#include "perceptron.h"

#if defined(__x86_64__) && defined(__GNUC__)
#undef NAME
#undef TARGET
#undef BYTES
#define NAME(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#include "perceptron.h"

#undef NAME
#undef TARGET
#undef BYTES
#undef VECTORS
#define NAME(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,prefer-vector-width=512")))
#define BYTES 64
#define VECTORS 4
#include "perceptron.h"
#endif

typedef void Layer(const float *, const int64_t *, float *);
typedef void Scale(const float *, int64_t, int64_t, const double *, float *);
typedef void Probabilities(const float *, int64_t, float *);

/* x: (events, features), NaN where a value is missing
 * scaling: what stands in for these, what is subtracted and what then divides, of each feature
 * weights: (members, size) of each layer its weights (out, in) and its bias
 * layers: (count, 5) inputs, outputs, the first of the rows that hold them, whether it is hidden
 * rows: memory for these: logits of the classes, of the domains, probabilities, features, activations
 * classes: 1 for an estimate, which is not made a probability
 * domains: logits of these, or none
 * scores: (members, classes, events)
 * targets: (members, events) probability of the last domain against the first; empty without logits */
void hepdann_perceptrons(const float *x, int64_t events, int64_t features, const double *scaling,
                         const float *weights, int64_t members, int64_t size, const int64_t *layers,
                         int64_t count, float *rows, int64_t classes, int64_t domains, float *scores,
                         float *targets)
{
    Layer *layer = layer_plain;
    Scale *scale = scale_plain;
    Probabilities *probabilities = probabilities_plain;
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        layer = layer_avx512, scale = scale_avx512, probabilities = probabilities_avx512;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        layer = layer_avx2, scale = scale_avx2, probabilities = probabilities_avx2;
#endif
    const int64_t outputs = classes == 2 ? 1 : classes;
    float *domain = rows + outputs * EVENTS, *p = domain + domains * EVENTS;
    for (int64_t start = 0; start < events; start += EVENTS) {
        const int64_t some = events - start < EVENTS ? events - start : EVENTS;
        scale(x + start * features, some, features, scaling, p + (classes + 1) * EVENTS);
        for (int64_t k = 0; k < members; k++) {
            const float *weight = weights + k * size;
            for (int64_t number = 0; number < count; number++) {
                const int64_t *entry = layers + 5 * number;
                layer(weight, entry, rows);
                weight += (entry[0] + 1) * entry[1];
            }
            if (classes > 1)
                probabilities(rows, outputs, p);
            for (int64_t c = 0; c < classes; c++)
                memcpy(scores + (k * classes + c) * events + start, (classes > 1 ? p : rows) + c * EVENTS,
                       some * sizeof *scores);
            if (!domains)
                continue;
            for (int64_t e = 0; domains > 1 && e < EVENTS; e++)
                domain[e] = domain[(domains - 1) * EVENTS + e] - domain[e];
            probabilities(domain, 1, p);
            memcpy(targets + k * events + start, p + EVENTS, some * sizeof *targets);
        }
    }
}
