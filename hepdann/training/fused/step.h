/* Body of step.c for one type REAL, with integers INT of its size, and vectors of BYTES bytes. */

typedef REAL NAME(Vector) __attribute__((vector_size(BYTES)));
typedef INT NAME(Mask) __attribute__((vector_size(BYTES)));
#define Vector NAME(Vector)
#define Mask NAME(Mask)
#define LANES ((int64_t)(BYTES / sizeof(REAL)))
#define STRIP (VECTORS * LANES)
#define PICK(mask, yes, no) ((Vector)(((Mask)(yes) & (mask)) | ((Mask)(no) & ~(mask))))
#define INLINE TARGET static inline __attribute__((always_inline))

INLINE Vector NAME(load)(const REAL *at)
{
    Vector value;
    memcpy(&value, at, BYTES);
    return value;
}

/* The sum of the lanes, in a fixed order. */
INLINE REAL NAME(total)(Vector value)
{
    REAL part[LANES];
    memcpy(part, &value, BYTES);
    for (int64_t half = LANES / 2; half; half /= 2)
        for (int64_t i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

#ifndef __clang__
static const INT NAME(NEAR)[][16] = {PAIRS(NEAR, 1), PAIRS(NEAR, 2), PAIRS(NEAR, 4), PAIRS(NEAR, 8)};
static const INT NAME(FAR)[][16] = {PAIRS(FAR, 1), PAIRS(FAR, 2), PAIRS(FAR, 4), PAIRS(FAR, 8)};

/* The sums of the lanes of LANES vectors, side by side: neighbours are added, then pairs of these. */
INLINE Vector NAME(totals)(Vector *value)
{
#pragma GCC unroll 4
    for (int level = 0; 1 << level < LANES; level++) {
        Mask near, far;
        memcpy(&near, NAME(NEAR)[level], BYTES);
        memcpy(&far, NAME(FAR)[level], BYTES);
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i += 2 << level)
            value[i] = __builtin_shuffle(value[i], value[i + (1 << level)], near) +
                       __builtin_shuffle(value[i], value[i + (1 << level)], far);
    }
    return value[0];
}
#endif

/* `outputs` rows of y += factor W x, or y = W x + bias, with ReLU if asked, for a strip of events. W[o][i] is
 * weight[o * down + i * along]. The sums stay in registers. */
INLINE void NAME(strip)(const REAL *weight, int64_t down, int64_t along, REAL factor, const REAL *bias,
                        int64_t inputs, const REAL *x, REAL *y, const int outputs, const int add, int relu)
{
    Vector sum[ROWS][VECTORS];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < VECTORS; v++)
            sum[o][v] = (Vector){0} + (bias ? bias[o] : 0);
    for (int64_t i = 0; i < inputs; i++) {
        Vector value[VECTORS];
        memcpy(value, x + i * TILE, sizeof value);
        for (int o = 0; o < outputs; o++) {
            const Vector w = weight[o * down + i * along] - (Vector){0}; /* + would cost an addition */
            for (int v = 0; v < VECTORS; v++)
                sum[o][v] += w * value[v];
        }
    }
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < VECTORS; v++) {
            if (add)
                sum[o][v] = NAME(load)(y + o * TILE + v * LANES) + factor * sum[o][v];
            const Vector z = relu ? (Vector)((Mask)sum[o][v] & ~(Mask)(sum[o][v] <= 0)) : sum[o][v];
            memcpy(y + o * TILE + v * LANES, &z, BYTES);
        }
}

TARGET static void NAME(multiply)(const REAL *weight, int64_t down, int64_t along, REAL factor,
                                  const REAL *bias, int64_t inputs, int64_t outputs, const REAL *x,
                                  REAL *y, int64_t n, int add, int relu)
{
    for (int64_t o = 0; o < outputs;) {
        const int many = o + ROWS <= outputs;
        const REAL *w = weight + o * down, *b = bias ? bias + o : 0;
        REAL *out = y + o * TILE;
        for (int64_t t = 0; t < n; t += STRIP) {
            if (many && add)
                NAME(strip)(w, down, along, factor, b, inputs, x + t, out + t, ROWS, 1, relu);
            else if (many)
                NAME(strip)(w, down, along, factor, b, inputs, x + t, out + t, ROWS, 0, relu);
            else if (add)
                NAME(strip)(w, down, along, factor, b, inputs, x + t, out + t, 1, 1, relu);
            else
                NAME(strip)(w, down, along, factor, b, inputs, x + t, out + t, 1, 0, relu);
        }
        o += many ? ROWS : 1;
    }
}

/* W[o][i] += sum over events of delta[o] x[i], for a patch of W. */
INLINE void NAME(patch)(const REAL *delta, const REAL *x, REAL *weight, int64_t inputs, int64_t n,
                        const int rows, const int columns)
{
    Vector sum[ROWS][ROWS] = {{{0}}};
    for (int64_t t = 0; t < n; t += LANES) {
        Vector d[ROWS], value[ROWS];
        for (int o = 0; o < rows; o++)
            d[o] = NAME(load)(delta + o * TILE + t);
        for (int i = 0; i < columns; i++)
            value[i] = NAME(load)(x + i * TILE + t);
        for (int o = 0; o < rows; o++)
            for (int i = 0; i < columns; i++)
                sum[o][i] += d[o] * value[i];
    }
#ifndef __clang__
    if (rows == ROWS && columns == ROWS) {
        REAL part[ROWS * ROWS];
#pragma GCC unroll 8
        for (int i = 0; i < ROWS * ROWS; i += LANES) {
            const Vector totals = NAME(totals)(&sum[0][0] + i);
            memcpy(part + i, &totals, BYTES);
        }
        for (int o = 0; o < ROWS; o++)
            for (int i = 0; i < ROWS; i++)
                weight[o * inputs + i] += part[o * ROWS + i];
        return;
    }
#endif
    for (int o = 0; o < rows; o++)
        for (int i = 0; i < columns; i++)
            weight[o * inputs + i] += NAME(total)(sum[o][i]);
}

/* A block's share of the gradients of a layer: W += delta x^T, b += sum of delta. */
TARGET static void NAME(outer)(const REAL *delta, int64_t outputs, const REAL *x, int64_t inputs,
                               REAL *weight, REAL *bias, int64_t n)
{
    for (int64_t o = 0; o < outputs;) {
        const int many = o + ROWS <= outputs;
        for (int64_t i = 0; i < inputs;) {
            const int wide = i + ROWS <= inputs;
            const REAL *d = delta + o * TILE, *value = x + i * TILE;
            REAL *w = weight + o * inputs + i;
            if (many && wide)
                NAME(patch)(d, value, w, inputs, n, ROWS, ROWS);
            else if (many)
                NAME(patch)(d, value, w, inputs, n, ROWS, 1);
            else if (wide)
                NAME(patch)(d, value, w, inputs, n, 1, ROWS);
            else
                NAME(patch)(d, value, w, inputs, n, 1, 1);
            i += wide ? ROWS : 1;
        }
        o += many ? ROWS : 1;
    }
    for (int64_t o = 0; bias && o < outputs; o++) {
        Vector sum = {0};
        for (int64_t t = 0; t < n; t += LANES)
            sum += NAME(load)(delta + o * TILE + t);
        bias[o] += NAME(total)(sum);
    }
}

/* Sum of series[j] x^j. */
INLINE Vector NAME(horner)(const double *series, int terms, Vector x)
{
    Vector sum = (Vector){0} + (REAL)series[terms - 1];
    for (int j = terms - 2; j >= 0; j--)
        sum = sum * x + (REAL)series[j];
    return sum;
}

/* e^-size = 2^-k e^r with r = k ln 2 - size, for size >= 0 */
INLINE Vector NAME(decay)(Vector size)
{
    const Mask far = size > MOST;
    size = PICK(far, (Vector){0} + MOST, size);
    const Mask k = __builtin_convertvector(size * (REAL)1.4426950408889634 + (REAL)0.5, Mask);
    const Vector r = __builtin_convertvector(k, Vector) * (REAL)0.6931471805599453 - size;
    return NAME(horner)(EXPONENTIAL, TERMS, r) * (Vector)((OFFSET - k) << SHIFT_BITS);
}

/* Weighted cross entropy of logits, sum of w (max(z, 0) - z y + ln(1 + e^-|z|)), the last term by
 * 2 artanh(e / (2 + e)); slope receives factor w (1 / (1 + e^-z) - y). Weights of zero fill the strip. */
TARGET static double NAME(logistic)(const REAL *z, REAL y, const REAL *target, const REAL *weight,
                                    REAL *slope, REAL factor, int64_t n)
{
    Vector loss = {0};
    for (int64_t t = 0; t < n; t += LANES) {
        const Vector at = NAME(load)(z + t), w = NAME(load)(weight + t);
        const Vector wanted = target ? NAME(load)(target + t) : (Vector){0} + y;
        const Mask above = at > 0;
        const Vector e = NAME(decay)(PICK(above, at, -at)), share = 1 / (1 + e), s = e / (2 + e);
        const Vector d = factor * w * (PICK(above, share, e * share) - wanted);
        memcpy(slope + t, &d, BYTES);
        const Vector rest = 2 * s * NAME(horner)(ARTANH, ODD_TERMS, s * s);
        loss += w * ((Vector)((Mask)at & ~(Mask)(at <= 0)) - at * wanted + rest);
    }
    return NAME(total)(loss);
}

/* Weighted cross entropy of a softmax over the rows of z, sum of w (ln sum e^z - z_y). */
TARGET static double NAME(softmax)(const REAL *z, int64_t classes, const int64_t *label,
                                   const REAL *weight, REAL *slope, int64_t events, int64_t n)
{
    double loss = 0;
    for (int64_t t = 0; t < n; t += LANES) {
        Vector most = NAME(load)(z + t), norm = {0}, w = NAME(load)(weight + t);
        for (int64_t c = 1; c < classes; c++) {
            const Vector at = NAME(load)(z + c * TILE + t);
            const Mask more = at > most;
            most = PICK(more, at, most);
        }
        for (int64_t c = 0; c < classes; c++) {
            const Vector e = NAME(decay)(most - NAME(load)(z + c * TILE + t));
            memcpy(slope + c * TILE + t, &e, BYTES);
            norm += e;
        }
        for (int64_t c = 0; c < classes; c++) {
            const Vector e = NAME(load)(slope + c * TILE + t) * (w / norm);
            memcpy(slope + c * TILE + t, &e, BYTES);
        }
        for (int64_t i = t; i < events && i < t + LANES; i++) {
            slope[label[i] * TILE + i] -= weight[i];
            loss += weight[i] * (log(norm[i - t]) + most[i - t] - z[label[i] * TILE + i]);
        }
    }
    return loss;
}

/* Batch normalisation and ReLU of the rows of a layer: what comes in becomes (x - mean) / width, where events
 * count by the size of their weight. Behind the events of a block size is 0; norm has the sum of each group. */
TARGET static void NAME(normalise)(const int64_t *layer, const REAL *scale, const REAL *shift, REAL *memory,
                                   int64_t stride, const int64_t *blocks, int64_t count, int64_t groups,
                                   const REAL *size, const REAL *norm, REAL *inverse, int64_t widest)
{
    for (int64_t o = 0; o < layer[OUTPUTS]; o++)
        for (int64_t group = 0; group < groups; group++) {
            double total = 0, square = 0;
            for (int64_t b = 0; b < count; b++) {
                const REAL *row = memory + b * stride + (layer[NORMAL] + o) * TILE;
                Vector sum = {0};
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += LANES)
                    sum += NAME(load)(row + t) * NAME(load)(size + b * TILE + t);
                total += NAME(total)(sum);
            }
            const REAL mean = total / norm[group];
            for (int64_t b = 0; b < count; b++) {
                REAL *row = memory + b * stride + (layer[NORMAL] + o) * TILE;
                Vector sum = {0};
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += LANES) {
                    const Vector x = NAME(load)(row + t) - mean;
                    memcpy(row + t, &x, BYTES);
                    sum += x * x * NAME(load)(size + b * TILE + t);
                }
                square += NAME(total)(sum);
            }
            const REAL factor = 1 / sqrt(square / norm[group] + 1e-5);
            inverse[group * widest + o] = factor;
            for (int64_t b = 0; b < count; b++) {
                if (blocks[4 * b + GROUP] != group)
                    continue;
                REAL *row = memory + b * stride + (layer[NORMAL] + o) * TILE;
                REAL *out = memory + b * stride + (layer[OUT] + o) * TILE;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += LANES) {
                    const Vector x = NAME(load)(row + t) * factor, y = x * scale[o] + shift[o];
                    const Vector z = (Vector)((Mask)y & ~(Mask)(y <= 0));
                    memcpy(row + t, &x, BYTES);
                    memcpy(out + t, &z, BYTES);
                }
            }
        }
}

/* The slopes before a batch normalisation and its ReLU from those behind, and the gradients of scale and
 * shift: Ioffe & Szegedy, "Batch Normalization" (2015), the chain rule of section 3. */
TARGET static void NAME(normalise_slope)(const int64_t *layer, const REAL *scale, REAL *scale_slope,
                                         REAL *shift_slope, const REAL *memory, REAL *slopes,
                                         int64_t stride, const int64_t *blocks, int64_t count,
                                         int64_t groups, const REAL *size, const REAL *norm,
                                         const REAL *inverse, int64_t widest)
{
    for (int64_t o = 0; o < layer[OUTPUTS]; o++)
        for (int64_t group = 0; group < groups; group++) {
            double total = 0, along = 0;
            for (int64_t b = 0; b < count; b++) {
                if (blocks[4 * b + GROUP] != group)
                    continue;
                const int64_t at = b * stride + (layer[OUT] + o) * TILE;
                const REAL *row = memory + b * stride + (layer[NORMAL] + o) * TILE;
                Vector sum = {0}, product = {0};
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += LANES) { /* zeros fill it */
                    const Mask dead = NAME(load)(memory + at + t) <= 0;
                    const Vector d = (Vector)((Mask)NAME(load)(slopes + at + t) & ~dead);
                    memcpy(slopes + at + t, &d, BYTES);
                    sum += d;
                    product += d * NAME(load)(row + t);
                }
                total += NAME(total)(sum);
                along += NAME(total)(product);
            }
            scale_slope[o] += along;
            shift_slope[o] += total;
            const REAL mean = total / norm[group], mean_along = along / norm[group];
            const REAL factor = scale[o] * inverse[group * widest + o];
            for (int64_t b = 0; b < count; b++) {
                if (blocks[4 * b + GROUP] != group)
                    continue;
                const int64_t at = b * stride + (layer[NORMAL] + o) * TILE, n = blocks[4 * b + COUNT];
                const REAL *delta = slopes + b * stride + (layer[OUT] + o) * TILE;
                for (int64_t t = 0; t < WIDE(n); t += LANES) {
                    const Vector d = NAME(load)(delta + t), x = NAME(load)(memory + at + t);
                    const Vector before = factor * (d - NAME(load)(size + b * TILE + t) * (mean + x * mean_along));
                    memcpy(slopes + at + t, &before, BYTES);
                }
                memset(slopes + at + n, 0, (WIDE(n) - n) * sizeof(REAL));
            }
        }
}

/* A head of a block, forward: logits in the rows of its last layer. */
TARGET static void NAME(forward)(const Shape *shape, int64_t first, int64_t end, REAL *const *value,
                                 int64_t k, const REAL *features, REAL *rows, int64_t n)
{
    for (int64_t index = first; index < end; index++) {
        const int64_t *layer = shape->layers + 10 * index, size = layer[INPUTS] * layer[OUTPUTS];
        const REAL *weight = value[layer[PART]] + layer[WEIGHT] + k * size;
        const REAL *bias = value[layer[PART]] + layer[BIAS] + k * layer[OUTPUTS];
        const REAL *x = index == first ? features : rows + layer[IN] * TILE;
        NAME(multiply)(weight, layer[INPUTS], 1, 1, bias, layer[INPUTS], layer[OUTPUTS], x,
                       rows + layer[OUT] * TILE, n, 0, index + 1 < end);
    }
}

/* Back through a head from the slopes of its logits; those of the features are added to, times factor. */
TARGET static void NAME(backward)(const Shape *shape, int64_t first, int64_t end, REAL *const *value,
                                  REAL *const *gradient, int64_t k, const REAL *features, REAL *below,
                                  const REAL *rows, REAL *slopes, int64_t n, REAL factor)
{
    for (int64_t index = end - 1; index >= first; index--) {
        const int64_t *layer = shape->layers + 10 * index, inputs = layer[INPUTS];
        const int64_t outputs = layer[OUTPUTS], start = layer[WEIGHT] + k * inputs * outputs;
        const int inner = index > first;
        const REAL *x = inner ? rows + layer[IN] * TILE : features;
        REAL *delta = slopes + layer[OUT] * TILE, *back = inner ? slopes + layer[IN] * TILE : below;
        NAME(outer)(delta, outputs, x, inputs, gradient[layer[PART]] + start,
                    gradient[layer[PART]] + layer[BIAS] + k * outputs, n);
        if (inner || factor != 0)
            NAME(multiply)(value[layer[PART]] + start, 1, inputs, inner ? 1 : factor, 0, outputs, inputs,
                           delta, back, n, !inner, 0);
        for (int64_t i = 0; inner && i < inputs; i++)
            for (int64_t t = 0; t < n; t += LANES) {
                const Mask dead = NAME(load)(x + i * TILE + t) <= 0;
                const Vector d = (Vector)((Mask)NAME(load)(back + i * TILE + t) & ~dead);
                memcpy(back + i * TILE + t, &d, BYTES);
            }
    }
}

/* Gradients of what is asked of L_y + w_d L_d of member k, the domain part reversed at the features. */
TARGET static void NAME(gradients)(const Shape *shape, int64_t k, REAL *const *value,
                                   REAL *const *gradient, const REAL *x, const int64_t *label,
                                   const REAL *weight, REAL lambda, REAL domain_weight, REAL *memory,
                                   REAL *slopes, REAL *inverse, REAL *figures)
{
    const int64_t size = shape->events, domains = shape->domains, members = shape->members;
    const int64_t first_head = shape->heads[0], second_head = shape->heads[1], own = shape->own;
    const int64_t together = shape->normalised ? shape->blocks : 1, stride = own * TILE;
    const int64_t groups = shape->per_domain ? domains : 1;
    const int64_t *top = shape->layers + 10 * (first_head - 1), *last = shape->layers + 10 * (second_head - 1);
    REAL *sizes = inverse + first_head * groups * shape->widest; /* |weight| of the events of each block */
    REAL *norm = sizes + together * TILE; /* its sum in each group */
    REAL *rows = memory + (together - 1) * stride, *head_slopes = slopes + (together - 1) * stride;
    double label_loss = 0, domain_loss = 0, recognised = 0; /* rows of heads follow those of the blocks */
    for (int64_t group = 0; group < groups; group++)
        norm[group] = 0;
    for (int64_t from = 0; from < shape->blocks; from += together) {
        const int64_t *blocks = shape->table + 4 * from;
        for (int64_t b = 0; b < together; b++) {
            const int64_t *block = blocks + 4 * b, n = block[COUNT];
            for (int64_t f = 0; f < shape->features; f++) {
                const REAL *row = x + (k * shape->features + f) * domains * size;
                REAL *to = memory + b * stride + f * TILE;
                memcpy(to, row + block[DOMAIN] * size + block[FIRST], n * sizeof(REAL));
                memset(to + n, 0, (WIDE(n) - n) * sizeof(REAL));
            }
            memset(slopes + b * stride + top[OUT] * TILE, 0, top[OUTPUTS] * TILE * sizeof(REAL));
            const REAL *w = weight + (k * domains + block[DOMAIN]) * size + block[FIRST];
            double total = 0;
            for (int64_t t = 0; shape->normalised && t < WIDE(n); t++) {
                sizes[b * TILE + t] = t < n ? (w[t] < 0 ? -w[t] : w[t]) + (REAL)1e-12 : 0;
                total += sizes[b * TILE + t];
            }
            norm[block[GROUP]] += total;
        }
        for (int64_t index = 0; index < first_head; index++) {
            const int64_t *layer = shape->layers + 10 * index, inputs = layer[INPUTS], outputs = layer[OUTPUTS];
            for (int64_t b = 0; b < together; b++)
                NAME(multiply)(value[0] + layer[WEIGHT] + k * inputs * outputs, inputs, 1, 1,
                               layer[BIAS] < 0 ? 0 : value[0] + layer[BIAS] + k * outputs, inputs, outputs,
                               memory + b * stride + layer[IN] * TILE, memory + b * stride + layer[NORMAL] * TILE,
                               WIDE(blocks[4 * b + COUNT]), 0, !shape->normalised);
            if (shape->normalised)
                NAME(normalise)(layer, value[0] + layer[SCALE] + k * outputs,
                                value[0] + layer[SHIFT] + k * outputs, memory, stride, blocks, together,
                                groups, sizes, norm, inverse + index * groups * shape->widest, shape->widest);
        }
        for (int64_t b = 0; b < together; b++) {
            const int64_t *block = blocks + 4 * b, domain = block[DOMAIN], n = block[COUNT];
            const int64_t wide = WIDE(n), is_target = domain + 1 == domains;
            const REAL *features = memory + b * stride + top[OUT] * TILE;
            const REAL *w = weight + (k * domains + domain) * size + block[FIRST];
            REAL *below = slopes + b * stride + top[OUT] * TILE, scaled[TILE] = {0}, target[TILE] = {0};
            if (shape->losses & LABEL_LOSS && !is_target) {
                const int64_t *y = label + (k * (domains - 1) + domain) * size + block[FIRST];
                const REAL share = 1.0 / ((domains - 1) * size), *z = rows + last[OUT] * TILE;
                REAL *delta = head_slopes + last[OUT] * TILE;
                for (int64_t t = 0; t < n; t++) {
                    scaled[t] = w[t] * share;
                    target[t] = y[t];
                }
                NAME(forward)(shape, first_head, second_head, value, k, features, rows, wide);
                label_loss += last[OUTPUTS] == 1
                                  ? NAME(logistic)(z, 0, target, scaled, delta, 1, wide)
                                  : NAME(softmax)(z, last[OUTPUTS], y, scaled, delta, n, wide);
                NAME(backward)(shape, first_head, second_head, value, gradient, k, features, below, rows,
                               head_slopes, wide, 1);
            }
            if (!(shape->losses & DOMAIN_LOSS))
                continue;
            const int on_loss = (shape->losses & LAMBDA_ON_LOSS) != 0;
            const REAL share = (is_target ? 0.5 : 0.5 / (domains - 1)) / size;
            const REAL reversed = is_target && shape->losses & TARGET_DETACHED ? 0 : on_loss ? -1 : -lambda;
            const int64_t out = shape->layers[10 * (shape->count - 1) + OUT] * TILE;
            NAME(forward)(shape, second_head, shape->count, value, k, features, rows, wide);
            for (int64_t t = 0; t < n; t++) {
                scaled[t] = w[t] * share;
                recognised += ((rows[out + t] > 0) == is_target) * share;
            }
            domain_loss += NAME(logistic)(rows + out, is_target, 0, scaled, head_slopes + out,
                                          on_loss ? lambda * domain_weight : domain_weight, wide);
            NAME(backward)(shape, second_head, shape->count, value, gradient, k, features, below, rows,
                           head_slopes, wide, reversed);
        }
        for (int64_t index = first_head - 1; index >= 0; index--) {
            const int64_t *layer = shape->layers + 10 * index, inputs = layer[INPUTS], outputs = layer[OUTPUTS];
            const int64_t start = layer[WEIGHT] + k * inputs * outputs;
            if (shape->normalised)
                NAME(normalise_slope)(layer, value[0] + layer[SCALE] + k * outputs,
                                      gradient[0] + layer[SCALE] + k * outputs,
                                      gradient[0] + layer[SHIFT] + k * outputs, memory, slopes, stride, blocks,
                                      together, groups, sizes, norm, inverse + index * groups * shape->widest,
                                      shape->widest);
            for (int64_t b = 0; b < together; b++) {
                const int64_t wide = WIDE(blocks[4 * b + COUNT]), at = b * stride + layer[NORMAL] * TILE;
                for (int64_t i = 0; !shape->normalised && i < outputs; i++)
                    for (int64_t t = at + i * TILE; t < at + i * TILE + wide; t += LANES) {
                        const Mask dead = NAME(load)(memory + t) <= 0;
                        const Vector d = (Vector)((Mask)NAME(load)(slopes + t) & ~dead);
                        memcpy(slopes + t, &d, BYTES);
                    }
                NAME(outer)(slopes + at, outputs, memory + b * stride + layer[IN] * TILE, inputs, gradient[0] + start,
                            layer[BIAS] < 0 ? 0 : gradient[0] + layer[BIAS] + k * outputs, wide);
                if (index)
                    NAME(multiply)(value[0] + start, 1, inputs, 1, 0, outputs, inputs, slopes + at,
                                   slopes + b * stride + layer[IN] * TILE, wide, 0, 0);
            }
        }
    }
    figures[k] = label_loss;
    figures[members + k] = domain_loss;
    figures[2 * members + k] = recognised;
}

/* Clip the gradient of a part of member k to a norm; Adam (Kingma & Ba, 2015, algorithm 1, with betas
 * 0.9 and 0.999 and epsilon 1e-8); the averaged weights. */
TARGET static void NAME(advance)(const Shape *shape, int64_t k, int64_t part, REAL *const *buffers, double rate,
                                 int64_t done, double largest, double decay)
{
    double square = 0;
    for (const int64_t *entry = shape->tensors; entry < shape->tensors + 3 * shape->parameters; entry += 3) {
        const REAL *slope = buffers[3 + part] + entry[1] + k * entry[2];
        if (entry[0] != part)
            continue;
        Vector sum = {0};
        int64_t j = 0;
        for (; j + LANES <= entry[2]; j += LANES)
            sum += NAME(load)(slope + j) * NAME(load)(slope + j);
        for (square += NAME(total)(sum); j < entry[2]; j++)
            square += slope[j] * slope[j];
    }
    const double clipped = largest / (sqrt(square) + 1e-6);
    const REAL scale = clipped < 1 ? clipped : 1, pace = rate / (1 - pow(0.9, done));
    const REAL root = sqrt(1 - pow(0.999, done)), keep = 0.999, gain = 0.001;
    const REAL towards = shape->averaged >> part & 1 ? 1 - decay : 0;
    for (const int64_t *entry = shape->tensors; entry < shape->tensors + 3 * shape->parameters; entry += 3) {
        const int64_t start = entry[1] + k * entry[2];
        if (entry[0] != part)
            continue;
        REAL *restrict value = buffers[part] + start, *restrict slope = buffers[3 + part] + start;
        REAL *restrict first = buffers[6 + part] + start, *restrict second = buffers[9 + part] + start;
        REAL *restrict average = buffers[12 + part] + start;
        for (int64_t j = 0; j < entry[2]; j++) {
            const REAL g = slope[j] * scale, m = first[j] + (REAL)0.1 * (g - first[j]);
            const REAL v = second[j] * keep + gain * g * g;
            slope[j] = g;
            first[j] = m;
            second[j] = v;
            value[j] -= pace * m / (SQRT(v) / root + (REAL)1e-8);
            average[j] += towards * (value[j] - average[j]);
        }
    }
}

TARGET static void NAME(step)(const Shape *shape, void *const *addresses, const void *x, const int64_t *label,
                              const void *weight, const void *lambda, const double *rates,
                              const double *settings, void *memory, void *slopes, void *inverse, void *figures)
{
    REAL *buffers[15];
    for (int i = 0; i < 15; i++)
        buffers[i] = addresses[i];
    for (int64_t k = 0; k < shape->members; k++) {
        for (const int64_t *entry = shape->tensors; entry < shape->tensors + 3 * shape->parameters; entry += 3)
            memset(buffers[3 + entry[0]] + entry[1] + k * entry[2], 0, entry[2] * sizeof(REAL));
        NAME(gradients)(shape, k, buffers, buffers + 3, x, label, weight, ((const REAL *)lambda)[k],
                        settings[0], memory, slopes, inverse, figures);
        for (int64_t part = 0; part < 3; part++)
            if (shape->moved >> part & 1)
                NAME(advance)(shape, k, part, buffers, rates[k], shape->done, settings[1], settings[2]);
    }
}

#undef Vector
#undef Mask
#undef LANES
#undef STRIP
#undef PICK
#undef INLINE
#undef NAME
#undef TARGET
#undef BYTES
#undef VECTORS
