/* Body of step.c for one type REAL, with integers INT of its size, and vectors of BYTES bytes. */

typedef REAL NAME(Vector) __attribute__((vector_size(BYTES)));
typedef INT NAME(Mask) __attribute__((vector_size(BYTES)));
#define Vector NAME(Vector)
#define Mask NAME(Mask)
#define LANES ((int64_t)(BYTES / sizeof(REAL)))
#define PICK(mask, yes, no) ((Vector)(((Mask)(yes) & (mask)) | ((Mask)(no) & ~(mask))))
#define INLINE TARGET static inline __attribute__((always_inline))

typedef struct { /* of a member; rows and columns up to whole vectors, which zeros fill */
    int64_t inputs, outputs, deep, wide; /* the last two are these up to whole vectors */
    int64_t in, normal, out;
    REAL *across, *weight, *slope; /* (inputs, wide), (outputs, deep), (outputs, deep) */
    REAL *bias, *scale, *shift, *bias_slope, *scale_slope, *shift_slope;
} NAME(Layer);

INLINE Vector NAME(load)(const REAL *at)
{
    Vector value;
    memcpy(&value, at, BYTES);
    return value;
}

/* `value` where `decides` is above 0, or not a number; else 0 */
INLINE Vector NAME(kept)(Vector value, Vector decides)
{
    return (Vector)((Mask)value & ~(Mask)(decides <= 0));
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
#endif

/* The sums of the lanes of LANES vectors, side by side: neighbours are added, then pairs of these. */
INLINE Vector NAME(totals)(Vector *value)
{
#ifdef __clang__
    REAL part[LANES];
    for (int i = 0; i < LANES; i++)
        part[i] = NAME(total)(value[i]);
    return NAME(load)(part);
#else
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
#endif
}

/* The transpose of `rows` rows of some columns. */
TARGET static void NAME(transpose)(const REAL *from, int64_t pitch, int64_t rows, int64_t columns, REAL *to,
                                   int64_t step)
{
    for (int64_t r = 0; r < rows; r += LANES)
        for (int64_t c = 0; c < columns; c += LANES) {
            const int64_t down = rows - r < LANES ? rows - r : LANES, along = columns - c < LANES ? columns - c : LANES;
#ifndef __clang__
            if (down == LANES && along == LANES) {
                Vector square[LANES];
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++)
                    square[i] = NAME(load)(from + (r + i) * pitch + c);
#pragma GCC unroll 4
                for (int level = 0; 1 << level < LANES; level++) {
                    Mask near, far;
                    memcpy(&near, NAME(NEAR)[level], BYTES);
                    memcpy(&far, NAME(FAR)[level], BYTES);
#pragma GCC unroll 16
                    for (int i = 0; i < LANES; i++) {
                        const int other = i + (1 << level);
                        if (i >> level & 1)
                            continue;
                        const Vector one = square[i];
                        square[i] = __builtin_shuffle(one, square[other], near);
                        square[other] = __builtin_shuffle(one, square[other], far);
                    }
                }
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++)
                    memcpy(to + (c + i) * step + r, square + i, BYTES);
                continue;
            }
#endif
            for (int64_t i = r; i < r + down; i++)
                for (int64_t j = c; j < c + along; j++)
                    to[j * step + i] = from[i * pitch + j];
        }
}

/* A patch of c = a b: a few rows of some vectors of columns, whose sums stay in registers; a[r][s] is
 * a[r * stride + s], or a[s * stride + r] if turned. Few rows have several sums each, of every `parts`th term.
 * `alive` is as c is; where it is not above 0, c becomes 0. */
INLINE void NAME(patch)(const REAL *a, const int64_t stride, const int turned, const REAL *b, const int64_t step,
                        const int64_t depth, REAL *c, const int64_t pitch, const int rows, const int vectors,
                        const REAL *bias, const REAL *alive, const int relu, const int add, const REAL factor)
{
    const int parts = ROWS / rows;
    Vector sum[ROWS][VECTORS] = {{{0}}};
#pragma GCC unroll 8
    for (int r = 0; bias && r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = NAME(load)(bias + v * LANES);
    for (int64_t s = 0; s < depth; s += parts)
#pragma GCC unroll 8
        for (int p = 0; p < parts; p++) {
            Vector value[VECTORS];
            for (int v = 0; v < vectors; v++)
                value[v] = NAME(load)(b + (s + p) * step + v * LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const REAL factor = a[turned ? (s + p) * stride + r : r * stride + s + p];
                const Vector w = factor - (Vector){0}; /* + would cost an addition */
                for (int v = 0; v < vectors; v++)
                    sum[p * rows + r][v] += w * value[v];
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            const int64_t at = r * pitch + v * LANES;
            for (int p = 1; p < parts; p++)
                sum[r][v] += sum[p * rows + r][v];
            Vector z = add ? NAME(load)(c + at) + factor * sum[r][v] : sum[r][v];
            if (relu)
                z = NAME(kept)(z, z);
            if (alive)
                z = NAME(kept)(z, NAME(load)(alive + at));
            memcpy(c + at, &z, BYTES);
        }
}

/* c = a b, or with `add` c += factor a b, of whole vectors of columns, see above. Rows are a multiple of LINE / 2, or
 * the depth is. */
INLINE void NAME(product)(const REAL *a, int64_t stride, const int turned, const REAL *b, int64_t step, int64_t depth,
                          REAL *c, int64_t pitch, int64_t rows, int64_t columns, const REAL *bias,
                          const REAL *alive, const int relu, const int add, REAL factor)
{
    for (int64_t i = 0; i < columns;) {
        const int many = i + VECTORS * LANES <= columns;
        const REAL *shift = bias ? bias + i : 0, *kept = alive ? alive + i : 0;
        for (int64_t r = 0; r < rows;) {
            const int64_t from = turned ? r : r * stride;
            const int some = r + ROWS <= rows ? ROWS : r + 2 <= rows ? 2 : 1;
            const REAL *mask = kept ? kept + r * pitch : 0;
            REAL *to = c + r * pitch + i;
#define PATCH(rows, vectors)                                                                                          \
    NAME(patch)(a + from, stride, turned, b + i, step, depth, to, pitch, rows, vectors, shift, mask, relu, add, factor)
            if (some == ROWS && many)
                PATCH(ROWS, VECTORS);
            else if (some == ROWS)
                PATCH(ROWS, 1);
            else if (some == 2 && many)
                PATCH(2, VECTORS);
            else if (some == 2)
                PATCH(2, 1);
            else if (many)
                PATCH(1, VECTORS);
            else
                PATCH(1, 1);
#undef PATCH
            r += some;
        }
        i += many ? VECTORS * LANES : LANES;
    }
}

/* Events through a layer: y = x W^T + bias, if asked with ReLU. */
TARGET static void NAME(through)(const NAME(Layer) *layer, const REAL *x, REAL *y, int64_t n, int relu)
{
    NAME(product)(x, layer->deep, 0, layer->across, layer->wide, layer->inputs, y, layer->wide, n, layer->wide,
                  layer->bias, 0, relu, 0, 1);
}

/* Slopes of the inputs of a layer, where these are alive; with a factor they are added to. */
TARGET static void NAME(back)(const NAME(Layer) *layer, const REAL *delta, int turned, REAL *slope, int64_t n,
                              const REAL *alive, int add, REAL factor)
{
    if (turned)
        NAME(product)(delta, TILE, 1, layer->weight, layer->deep, layer->outputs, slope, layer->deep, n, layer->deep,
                      0, alive, 0, add, factor);
    else
        NAME(product)(delta, layer->wide, 0, layer->weight, layer->deep, layer->outputs, slope, layer->deep, n,
                      layer->deep, 0, alive, 0, add, factor);
}

/* A block's share of the gradients of a layer: W += delta^T x, b += sum of delta, which are rows if turned. */
TARGET static void NAME(outer)(const NAME(Layer) *layer, const REAL *delta, int turned, const REAL *x, int64_t n)
{
    if (turned)
        NAME(product)(delta, TILE, 0, x, layer->deep, n, layer->slope, layer->deep, layer->outputs, layer->deep, 0, 0,
                      0, 1, 1);
    else
        NAME(product)(delta, layer->wide, 1, x, layer->deep, n, layer->slope, layer->deep, layer->outputs,
                      layer->deep, 0, 0, 0, 1, 1);
    for (int64_t o = 0; turned && o < layer->outputs; o++) {
        Vector sum = {0};
        for (int64_t t = 0; t < n; t += LANES)
            sum += NAME(load)(delta + o * TILE + t);
        layer->bias_slope[o] += NAME(total)(sum);
    }
    for (int64_t o = 0; layer->bias && !turned && o < layer->wide; o += LANES) {
        Vector sum[4] = {{0}}, whole = NAME(load)(layer->bias_slope + o);
        for (int64_t t = 0; t < n; t += 4)
            for (int j = 0; j < 4; j++)
                sum[j] += NAME(load)(delta + (t + j) * layer->wide + o);
        whole += (sum[0] + sum[1]) + (sum[2] + sum[3]);
        memcpy(layer->bias_slope + o, &whole, BYTES);
    }
}

/* The outputs of a head's last layer as rows of TILE events. */
TARGET static void NAME(logits)(const NAME(Layer) *layer, const REAL *x, REAL *y, int64_t n)
{
    for (int64_t o = 0; o < layer->outputs; o++)
        for (int64_t t = 0; t < n; t += LANES) {
            Vector sum[LANES] = {{0}};
            for (int64_t i = 0; i < layer->deep; i += LANES) {
                const Vector w = NAME(load)(layer->weight + o * layer->deep + i);
#pragma GCC unroll 16
                for (int e = 0; e < LANES; e++)
                    sum[e] += w * NAME(load)(x + (t + e) * layer->deep + i);
            }
            const Vector z = NAME(totals)(sum) + layer->bias[o];
            memcpy(y + o * TILE + t, &z, BYTES);
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
        loss += w * (NAME(kept)(at, at) - at * wanted + rest);
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

/* total[j] += lane j */
INLINE void NAME(gather)(double *total, const Vector *sum)
{
    REAL part[LANES];
    const Vector whole = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    memcpy(part, &whole, BYTES);
    for (int j = 0; j < LANES; j++)
        total[j] += part[j];
}

/* Batch normalisation and ReLU of the outputs of a layer: what comes in becomes (x - mean) / width, where events
 * count by the size of their weight. Behind the events of a block size is 0; norm has the sum of each group. moments
 * receives 1 / width, mean and variance of each group. */
TARGET static void NAME(normalise)(const NAME(Layer) *layer, REAL *memory, int64_t stride, const int64_t *blocks,
                                   int64_t count, int64_t groups, const REAL *size, const REAL *norm, REAL *moments,
                                   int64_t widest)
{
    const int64_t wide = layer->wide;
    for (int64_t group = 0; group < groups; group++)
        for (int64_t o = 0; o < wide; o += LANES) {
            const Vector scale = NAME(load)(layer->scale + o), shift = NAME(load)(layer->shift + o);
            double total[LANES] = {0}, square[LANES] = {0};
            Vector mean, factor;
            REAL lane[LANES];
            for (int64_t b = 0; b < count; b++) {
                const REAL *x = memory + b * stride + layer->normal * TILE + o, *share = size + b * TILE;
                Vector sum[4] = {{0}};
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += 4)
                    for (int j = 0; j < 4; j++)
                        sum[j] += NAME(load)(x + (t + j) * wide) * share[t + j];
                NAME(gather)(total, sum);
            }
            for (int j = 0; j < LANES; j++)
                lane[j] = total[j] / norm[group];
            memcpy(&mean, lane, BYTES);
            for (int64_t b = 0; b < count; b++) {
                const REAL *x = memory + b * stride + layer->normal * TILE + o, *share = size + b * TILE;
                Vector sum[4] = {{0}};
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += 4)
                    for (int j = 0; j < 4; j++) {
                        const Vector d = NAME(load)(x + (t + j) * wide) - mean;
                        sum[j] += d * d * share[t + j];
                    }
                NAME(gather)(square, sum);
            }
            for (int j = 0; j < LANES; j++)
                lane[j] = 1 / sqrt(square[j] / norm[group] + 1e-5);
            memcpy(&factor, lane, BYTES);
            memcpy(moments + 3 * group * widest + o, lane, BYTES);
            memcpy(moments + (3 * group + 1) * widest + o, &mean, BYTES);
            for (int j = 0; j < LANES; j++)
                moments[(3 * group + 2) * widest + o + j] = square[j] / norm[group];
            for (int64_t b = 0; b < count; b++) {
                REAL *in = memory + b * stride + layer->normal * TILE + o;
                REAL *out = memory + b * stride + layer->out * TILE + o;
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]) * wide; t += wide) {
                    const Vector x = (NAME(load)(in + t) - mean) * factor, y = x * scale + shift;
                    const Vector z = NAME(kept)(y, y);
                    memcpy(in + t, &x, BYTES);
                    memcpy(out + t, &z, BYTES);
                }
            }
        }
}

/* The slopes before a batch normalisation and its ReLU in place of those behind, and the gradients of scale and
 * shift: Ioffe & Szegedy, "Batch Normalization" (2015), the chain rule of section 3. */
TARGET static void NAME(normalise_slope)(const NAME(Layer) *layer, const REAL *memory, REAL *slopes, int64_t stride,
                                         const int64_t *blocks, int64_t count, int64_t groups, const REAL *size,
                                         const REAL *norm, const REAL *moments, int64_t widest)
{
    const int64_t wide = layer->wide;
    for (int64_t group = 0; group < groups; group++)
        for (int64_t o = 0; o < wide; o += LANES) {
            const Vector scale = NAME(load)(layer->scale + o), shift = NAME(load)(layer->shift + o);
            const Vector factor = scale * NAME(load)(moments + 3 * group * widest + o);
            double total[LANES] = {0}, along[LANES] = {0};
            REAL mean[LANES], mean_along[LANES];
            for (int64_t b = 0; b < count; b++) {
                const REAL *delta = slopes + b * stride + layer->out * TILE + o;
                const REAL *x = memory + b * stride + layer->normal * TILE + o;
                Vector sum[4] = {{0}}, product[4] = {{0}};
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t += 4) /* slopes of zero fill it */
                    for (int j = 0; j < 4; j++) {
                        const Vector at = NAME(load)(x + (t + j) * wide);
                        const Vector d = NAME(kept)(NAME(load)(delta + (t + j) * wide), at * scale + shift);
                        sum[j] += d;
                        product[j] += d * at;
                    }
                NAME(gather)(total, sum);
                NAME(gather)(along, product);
            }
            for (int j = 0; j < LANES; j++) {
                layer->scale_slope[o + j] += along[j];
                layer->shift_slope[o + j] += total[j];
                mean[j] = total[j] / norm[group];
                mean_along[j] = along[j] / norm[group];
            }
            for (int64_t b = 0; b < count; b++) {
                const REAL *input = memory + b * stride + layer->normal * TILE + o, *share = size + b * TILE;
                REAL *delta = slopes + b * stride + layer->out * TILE + o;
                if (blocks[4 * b + GROUP] != group)
                    continue;
                for (int64_t t = 0; t < WIDE(blocks[4 * b + COUNT]); t++) {
                    const Vector x = NAME(load)(input + t * wide);
                    const Vector d = NAME(kept)(NAME(load)(delta + t * wide), x * scale + shift);
                    const Vector common = NAME(load)(mean) + x * NAME(load)(mean_along);
                    const Vector before = factor * (d - share[t] * common);
                    memcpy(delta + t * wide, &before, BYTES);
                }
            }
        }
}

/* The layers of member k, and room for their gradients. Nothing is written where zeros end rows and columns. */
TARGET static void NAME(pack)(const Shape *shape, int64_t k, REAL *const *value, REAL *room, NAME(Layer) *layers)
{
    for (int64_t index = 0; index < shape->count; index++) {
        const int64_t *entry = shape->layers + 10 * index, inputs = entry[INPUTS], outputs = entry[OUTPUTS];
        const REAL *of_part = value[entry[PART]], *weight = of_part + entry[WEIGHT] + k * inputs * outputs;
        NAME(Layer) layer = {inputs, outputs, WIDE(inputs), WIDE(outputs), entry[IN], entry[NORMAL], entry[OUT]};
        REAL **vectors[] = {&layer.bias, &layer.scale, &layer.shift};
        layer.across = room;
        layer.weight = layer.across + inputs * layer.wide;
        layer.slope = layer.weight + outputs * layer.deep;
        room = layer.slope + outputs * layer.deep;
        NAME(transpose)(weight, inputs, outputs, inputs, layer.across, layer.wide);
        for (int64_t o = 0; o < outputs; o++)
            memcpy(layer.weight + o * layer.deep, weight + o * inputs, inputs * sizeof(REAL));
        for (int i = 0; i < 3; i++, room += layer.wide) {
            if (entry[BIAS + i] < 0)
                continue;
            *vectors[i] = room;
            memcpy(room, of_part + entry[BIAS + i] + k * outputs, outputs * sizeof(REAL));
        }
        memset(layer.slope, 0, outputs * layer.deep * sizeof(REAL));
        memset(room, 0, 3 * layer.wide * sizeof(REAL));
        layer.bias_slope = room;
        layer.scale_slope = room + layer.wide;
        layer.shift_slope = room + 2 * layer.wide;
        room += 3 * layer.wide;
        layers[index] = layer;
    }
}

/* The gradients of member k to where its optimiser wants them. */
TARGET static void NAME(unpack)(const Shape *shape, int64_t k, const NAME(Layer) *layer, REAL *const *gradient)
{
    for (int64_t index = 0; index < shape->count; index++, layer++) {
        const int64_t *entry = shape->layers + 10 * index, inputs = layer->inputs, outputs = layer->outputs;
        REAL *of_part = gradient[entry[PART]], *weight = of_part + entry[WEIGHT] + k * inputs * outputs;
        const REAL *vectors[] = {layer->bias_slope, layer->scale_slope, layer->shift_slope};
        for (int64_t o = 0; o < outputs; o++)
            memcpy(weight + o * inputs, layer->slope + o * layer->deep, inputs * sizeof(REAL));
        for (int i = 0; i < 3; i++)
            if (entry[BIAS + i] >= 0)
                memcpy(of_part + entry[BIAS + i] + k * outputs, vectors[i], outputs * sizeof(REAL));
    }
}

/* A head of a block, forward: logits in the rows of its last layer. */
TARGET static void NAME(forward)(const NAME(Layer) *layer, const NAME(Layer) *end, const REAL *features, REAL *memory,
                                 int64_t n)
{
    const REAL *x = features;
    for (; layer + 1 < end; x = memory + layer->out * TILE, layer++)
        NAME(through)(layer, x, memory + layer->out * TILE, n, 1);
    NAME(logits)(layer, x, memory + layer->out * TILE, n);
}

/* Back through a head from the slopes of its logits; those of the features are added to, times factor. */
TARGET static void NAME(backward)(const NAME(Layer) *first, const NAME(Layer) *end, const REAL *features, REAL *below,
                                  const REAL *memory, REAL *slopes, int64_t n, REAL factor)
{
    for (const NAME(Layer) *layer = end - 1; layer >= first; layer--) {
        const int inner = layer > first, last = layer + 1 == end;
        const REAL *x = inner ? memory + layer->in * TILE : features, *delta = slopes + layer->out * TILE;
        NAME(outer)(layer, delta, last, x, n);
        if (inner)
            NAME(back)(layer, delta, last, slopes + layer->in * TILE, n, x, 0, 1);
        else if (factor != 0)
            NAME(back)(layer, delta, last, below, n, 0, 1, factor);
    }
}

/* How many blocks go through the extractor at once. */
INLINE int64_t NAME(together)(const Shape *shape)
{
    return shape->normalised ? shape->blocks : 1;
}

/* Where the sizes of the weights of events are, block by block, and behind them their sums, behind what
 * normalises the layers. */
INLINE REAL *NAME(sizes)(const Shape *shape, REAL *moments)
{
    return moments + 3 * shape->heads[0] * (shape->per_domain ? shape->domains : 1) * shape->widest;
}

/* Blocks of member k through the extractor, layer after layer. */
TARGET static void NAME(extract)(const Shape *shape, int64_t k, const NAME(Layer) *layers, const int64_t *blocks,
                                 const REAL *x, const REAL *weight, REAL *memory, REAL *moments)
{
    const int64_t size = shape->events, domains = shape->domains, features = shape->features;
    const int64_t together = NAME(together)(shape), stride = shape->columns * TILE;
    const int64_t groups = shape->per_domain ? domains : 1;
    REAL *sizes = NAME(sizes)(shape, moments), *norm = sizes + together * TILE;
    for (int64_t group = 0; group < groups; group++)
        norm[group] = 0;
    for (int64_t b = 0; b < together; b++) {
        const int64_t *block = blocks + 4 * b, n = block[COUNT];
        const REAL *begin = x + (k * features * domains + block[DOMAIN]) * size + block[FIRST];
        const REAL *w = weight + (k * domains + block[DOMAIN]) * size + block[FIRST];
        REAL *share = sizes + b * TILE;
        Vector total = {0};
        NAME(transpose)(begin, domains * size, features, n, memory + b * stride, layers->deep);
        memset(memory + b * stride + n * layers->deep, 0, (WIDE(n) - n) * layers->deep * sizeof(REAL));
        if (!shape->normalised)
            continue;
        for (int64_t t = 0; t < n; t++)
            share[t] = (w[t] < 0 ? -w[t] : w[t]) + (REAL)1e-12;
        for (int64_t t = 0; t < n; t += LANES)
            total += NAME(load)(share + t); /* zeros are behind them */
        norm[block[GROUP]] += NAME(total)(total);
    }
    for (int64_t index = 0; index < shape->heads[0]; index++) {
        const NAME(Layer) *layer = layers + index;
        for (int64_t b = 0; b < together; b++)
            NAME(through)(layer, memory + b * stride + layer->in * TILE, memory + b * stride + layer->normal * TILE,
                          WIDE(blocks[4 * b + COUNT]), !shape->normalised);
        if (shape->normalised)
            NAME(normalise)(layer, memory, stride, blocks, together, groups, sizes, norm,
                            moments + 3 * index * groups * shape->widest, shape->widest);
    }
}

/* Gradients of what is asked of L_y + w_d L_d of member k, the domain part reversed at the features. */
TARGET static void NAME(gradients)(const Shape *shape, int64_t k, const NAME(Layer) *layers, const REAL *x,
                                   const int64_t *label, const REAL *weight, REAL lambda, REAL domain_weight,
                                   REAL *memory, REAL *slopes, REAL *moments, REAL *figures)
{
    const int64_t size = shape->events, domains = shape->domains, members = shape->members;
    const int64_t together = NAME(together)(shape), stride = shape->columns * TILE;
    const int64_t groups = shape->per_domain ? domains : 1;
    const NAME(Layer) *first_head = layers + shape->heads[0], *second_head = layers + shape->heads[1];
    const NAME(Layer) *end = layers + shape->count, *top = first_head - 1, *last = second_head - 1;
    const REAL *sizes = NAME(sizes)(shape, moments), *norm = sizes + together * TILE;
    REAL *rows = memory + (together - 1) * stride, *head_slopes = slopes + (together - 1) * stride;
    double label_loss = 0, domain_loss = 0, recognised = 0; /* columns of heads follow those of the blocks */
    for (int64_t from = 0; from < shape->blocks; from += together) {
        const int64_t *blocks = shape->table + 4 * from;
        NAME(extract)(shape, k, layers, blocks, x, weight, memory, moments);
        for (int64_t b = 0; b < together; b++) {
            const int64_t *block = blocks + 4 * b, domain = block[DOMAIN], n = block[COUNT];
            const int64_t wide = WIDE(n), is_target = domain + 1 == domains;
            const REAL *features = memory + b * stride + top->out * TILE;
            const REAL *w = weight + (k * domains + domain) * size + block[FIRST];
            REAL *below = slopes + b * stride + top->out * TILE, scaled[TILE] = {0}, target[TILE] = {0};
            memset(below, 0, wide * top->wide * sizeof(REAL));
            if (shape->losses & LABEL_LOSS && !is_target) {
                const int64_t *y = label + (k * (domains - 1) + domain) * size + block[FIRST];
                const REAL share = 1.0 / ((domains - 1) * size), *z = rows + last->out * TILE;
                REAL *delta = head_slopes + last->out * TILE;
                for (int64_t t = 0; t < n; t++) {
                    scaled[t] = w[t] * share;
                    target[t] = y[t];
                }
                NAME(forward)(first_head, second_head, features, rows, wide);
                label_loss += last->outputs == 1 ? NAME(logistic)(z, 0, target, scaled, delta, 1, wide)
                                                 : NAME(softmax)(z, last->outputs, y, scaled, delta, n, wide);
                NAME(backward)(first_head, second_head, features, below, rows, head_slopes, wide, 1);
            }
            if (!(shape->losses & DOMAIN_LOSS))
                continue;
            const int on_loss = (shape->losses & LAMBDA_ON_LOSS) != 0;
            const REAL share = (is_target ? 0.5 : 0.5 / (domains - 1)) / size;
            const REAL reversed = is_target && shape->losses & TARGET_DETACHED ? 0 : on_loss ? -1 : -lambda;
            const int64_t out = (end - 1)->out * TILE;
            NAME(forward)(second_head, end, features, rows, wide);
            for (int64_t t = 0; t < n; t++) {
                scaled[t] = w[t] * share;
                recognised += ((rows[out + t] > 0) == is_target) * share;
            }
            domain_loss += NAME(logistic)(rows + out, is_target, 0, scaled, head_slopes + out,
                                          on_loss ? lambda * domain_weight : domain_weight, wide);
            NAME(backward)(second_head, end, features, below, rows, head_slopes, wide, reversed);
        }
        for (const NAME(Layer) *layer = top; layer >= layers; layer--) {
            if (shape->normalised)
                NAME(normalise_slope)(layer, memory, slopes, stride, blocks, together, groups, sizes, norm,
                                      moments + 3 * (layer - layers) * groups * shape->widest, shape->widest);
            for (int64_t b = 0; b < together; b++) {
                const int64_t wide = WIDE(blocks[4 * b + COUNT]), at = b * stride + layer->out * TILE;
                const int64_t in = b * stride + layer->in * TILE;
                for (int64_t t = at; layer == top && !shape->normalised && t < at + wide * top->wide; t += LANES) {
                    const Vector d = NAME(kept)(NAME(load)(slopes + t), NAME(load)(memory + t));
                    memcpy(slopes + t, &d, BYTES);
                }
                NAME(outer)(layer, slopes + at, 0, memory + in, wide);
                if (layer > layers)
                    NAME(back)(layer, slopes + at, 0, slopes + in, wide, shape->normalised ? 0 : memory + in, 0, 1);
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
    const double root = sqrt(1 - pow(0.999, done));
    const REAL scale = clipped < 1 ? clipped : 1, pace = root * rate / (1 - pow(0.9, done));
    const REAL least = root * 1e-8, keep = 0.999, gain = 0.001;
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
            value[j] -= pace * m / (SQRT(v) + least);
            average[j] += towards * (value[j] - average[j]);
        }
    }
}

TARGET static void NAME(step)(const Shape *shape, REAL *const *buffers, const REAL *x, const int64_t *label,
                              const REAL *weight, const REAL *lambda, const double *rates, const double *settings,
                              REAL *memory, REAL *slopes, REAL *moments, REAL *figures)
{
    NAME(Layer) layers[shape->count];
    for (int64_t k = 0; k < shape->members; k++) {
        NAME(pack)(shape, k, buffers, moments + shape->packed, layers);
        NAME(gradients)(shape, k, layers, x, label, weight, lambda[k], settings[0], memory, slopes,
                        moments, figures);
        NAME(unpack)(shape, k, layers, buffers + 3);
        for (int64_t part = 0; part < 3; part++)
            if (shape->moved >> part & 1)
                NAME(advance)(shape, k, part, buffers, rates[k], shape->done, settings[1], settings[2]);
    }
}

/* Mean and variance of what each layer of an extractor normalises: out is (members, count, 2, widest). */
TARGET static void NAME(statistics)(const Shape *shape, REAL *const *value, const REAL *x, const REAL *weight,
                                    REAL *memory, REAL *moments, REAL *out)
{
    NAME(Layer) layers[shape->count];
    for (int64_t k = 0; k < shape->members; k++) {
        NAME(pack)(shape, k, value, moments + shape->packed, layers);
        NAME(extract)(shape, k, layers, shape->table, x, weight, memory, moments);
        for (int64_t index = 0; index < shape->count; index++, out += 2 * shape->widest)
            memcpy(out, moments + (3 * index + 1) * shape->widest, 2 * shape->widest * sizeof(REAL));
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
#undef ROWS
