/* Body of perceptron.c, for vectors of BYTES bytes, VECTORS of them at a time. */

typedef float NAME(Floats) __attribute__((vector_size(BYTES), may_alias));
typedef int32_t NAME(Mask) __attribute__((vector_size(BYTES)));

/* `outputs` rows of y = W x + b, with ReLU if it is hidden, for a strip of VECTORS vectors of events.
 * The sums stay in registers; the order of the terms is the same for every event. */
TARGET static inline __attribute__((always_inline)) void NAME(strip)(const float *weight, const float *bias,
                                                              int64_t inputs, const float *x, float *y,
                                                              const int outputs, int hidden)
{
    NAME(Floats) sum[ROWS][VECTORS];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < VECTORS; v++)
            sum[o][v] = bias[o] - (NAME(Floats)){0};
    for (int64_t i = 0; i < inputs; i++) {
        const NAME(Floats) *value = (const NAME(Floats) *)(x + i * EVENTS);
        for (int o = 0; o < outputs; o++) {
            const NAME(Floats) factor = weight[o * inputs + i] - (NAME(Floats)){0};
            for (int v = 0; v < VECTORS; v++)
                sum[o][v] += factor * value[v];
        }
    }
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < VECTORS; v++) {
            NAME(Floats) z = sum[o][v];
            if (hidden) /* NaN stays */
                z = (NAME(Floats))((NAME(Mask))z & ~(NAME(Mask))(z <= 0));
            memcpy(y + o * EVENTS + v * (BYTES / 4), &z, BYTES);
        }
}

TARGET static void NAME(layer)(const float *weight, const int64_t *layer, float *rows)
{
    const int64_t inputs = layer[0], outputs = layer[1], hidden = layer[4];
    const float *bias = weight + inputs * outputs, *x = rows + layer[2] * EVENTS;
    float *y = rows + layer[3] * EVENTS;
    int64_t o = 0;
    for (; o + ROWS <= outputs; o += ROWS)
        for (int e = 0; e < EVENTS; e += VECTORS * (BYTES / 4))
            NAME(strip)(weight + o * inputs, bias + o, inputs, x + e, y + o * EVENTS + e, ROWS, hidden);
    for (; o < outputs; o++)
        for (int e = 0; e < EVENTS; e += VECTORS * (BYTES / 4))
            NAME(strip)(weight + o * inputs, bias + o, inputs, x + e, y + o * EVENTS + e, 1, hidden);
}

TARGET static void NAME(scale)(const float *x, int64_t events, int64_t features,
                               const double *scaling, float *rows)
{
    const double *impute = scaling, *mean = impute + features, *width = mean + features;
    for (int64_t f = 0; f < features; f++) {
        double value[EVENTS] = {0};
        for (int64_t e = 0; e < events; e++)
            value[e] = x[e * features + f];
        for (int e = 0; e < EVENTS; e++) {
            value[e] = value[e] != value[e] ? impute[f] : value[e];
            rows[f * EVENTS + e] = (float)((value[e] - mean[f]) / width[f]);
        }
    }
}

/* e^x for x <= 0, within two units of the last place; the series of Cephes' expf */
TARGET static inline __attribute__((always_inline)) NAME(Floats) NAME(exponential)(NAME(Floats) x)
{
    const NAME(Floats) zero = {0};
    const NAME(Mask) small = x < -87;
    x = (NAME(Floats))(((NAME(Mask))x & ~small) | ((NAME(Mask))(zero - 87) & small));
    const NAME(Mask) power = __builtin_convertvector(x * 1.44269504f - 0.5f, NAME(Mask));
    const NAME(Floats) whole = __builtin_convertvector(power, NAME(Floats));
    const NAME(Floats) r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    NAME(Floats) sum = zero + 1.9875691500e-4f;
    sum = sum * r + 1.3981999507e-3f;
    sum = sum * r + 8.3334519073e-3f;
    sum = sum * r + 4.1665795894e-2f;
    sum = sum * r + 1.6666665459e-1f;
    sum = sum * r + 5.0000001201e-1f;
    return (sum * r * r + r + 1) * (NAME(Floats))((power + 127) << 23);
}

/* Probabilities of the classes from the logits z of a strip of events; of one logit those of two
 * classes. z and p are rows. */
TARGET static void NAME(probabilities)(const float *z, int64_t outputs, float *p)
{
    for (int e = 0; e < EVENTS; e += BYTES / 4) {
        NAME(Floats) value, most = {0}, total = {0};
        for (int64_t o = 0; o < outputs; o++) {
            memcpy(&value, z + o * EVENTS + e, BYTES);
            const NAME(Mask) more = o ? value > most : ~(NAME(Mask)){0};
            most = (NAME(Floats))(((NAME(Mask))value & more) | ((NAME(Mask))most & ~more));
        }
        if (outputs == 1) { /* not 1 - p, which keeps nothing of a small p */
            const NAME(Mask) above = most > 0;
            const NAME(Floats) size = (NAME(Floats))((NAME(Mask))most & 0x7fffffff);
            const NAME(Floats) small = NAME(exponential)(-size);
            const NAME(Floats) high = 1 / (1 + small), low = small / (1 + small);
            const NAME(Mask) flip = ((NAME(Mask))high ^ (NAME(Mask))low) & above;
            const NAME(Floats) first = (NAME(Floats))((NAME(Mask))high ^ flip);
            const NAME(Floats) second = (NAME(Floats))((NAME(Mask))low ^ flip);
            memcpy(p + e, &first, BYTES);
            memcpy(p + EVENTS + e, &second, BYTES);
            continue;
        }
        for (int64_t o = 0; o < outputs; o++) {
            memcpy(&value, z + o * EVENTS + e, BYTES);
            value = NAME(exponential)(value - most);
            total += value;
            memcpy(p + o * EVENTS + e, &value, BYTES);
        }
        for (int64_t o = 0; o < outputs; o++) {
            memcpy(&value, p + o * EVENTS + e, BYTES);
            value /= total;
            memcpy(p + o * EVENTS + e, &value, BYTES);
        }
    }
}
