/* Dense layers, forward and backward: N rows of D inputs and H outputs. The loss of those that are logits. */
#include <math.h>

typedef struct {
    long D, H;
    const float *kernel, *bias; /* (D, H), (H) */
    float *packed;              /* the kernel as `pack_dense` has packed it, `dense_floats` numbers, or NULL */
} Dense;

EXPORT long dense_floats(const Dense *d) { return BLOCKS(d->D) * BLOCKS(d->H) * WORDS * BLOCK; }
EXPORT void pack_dense(const Dense *d) {
    for (long j = 0; j < BLOCKS(d->H); j++)
        pack_panel(d->kernel + j * BLOCK, d->D, d->H, WIDE(j, d->H), (word *)d->packed + j * BLOCKS(d->D) * WORDS * BLOCK);
}

static void spread_all(const float *values, long width, long rows, word *left, word *columns) {
    long words = EVEN(rows) / PER_WORD;
    for (long q = 0; q < BLOCKS(width); q++)
        spread(values + q * BLOCK, width, NULL, WIDE(q, width), rows, left ? left + q * EVEN(rows) * WORDS : NULL,
               columns ? columns + q * 2 * words * 16 : NULL, words);
}
static void copy_out(const float *sums, long rows, long wide, float *to, long next) {
    for (long b = 0; b < rows; b++) EACH(u, BLOCK) store_part(to + b * next + u, load(sums + b * BLOCK + u), wide - u);
}

/* Blocks of the outputs (N, H), from the first to before the end, of inputs that are a left operand; with `relu` none is
 * negative. sums: room for N * 32 numbers. */
static void dense_blocks(const Dense *d, long first, long end, long N, const word *left, long relu, float *sums,
                         float *outputs) {
    for (long j = first; j < end; j++) {
        for (long b = 0; b < N; b++) copy_block(sums + b * BLOCK, d->bias + j * BLOCK, WIDE(j, d->H));
        product(left, N, (word *)d->packed + j * BLOCKS(d->D) * WORDS * BLOCK, BLOCKS(d->D), sums);
        if (relu) EACH(u, N * BLOCK) store(sums + u, positive(load(sums + u)));
        copy_out(sums, N, WIDE(j, d->H), outputs + j * BLOCK, d->H);
    }
}

/* outputs (N, H) of inputs (N, D). */
EXPORT int dense_forward(const Dense *d, long N, const float *inputs, float *outputs, long relu) {
    Space space = {NULL, 0};
    Dense own = *d;
    word *left;
    float *sums;
    IN_NEW_MEMORY(space, {
        left = take(&space, BLOCKS(d->D) * EVEN(N) * WORDS);
        sums = take(&space, N * BLOCK);
        own.packed = d->packed ? d->packed : take(&space, dense_floats(d));
    });
    if (!d->packed) pack_dense(&own);
    spread_all(inputs, d->D, N, left, NULL);
    dense_blocks(&own, 0, BLOCKS(d->H), N, left, relu, sums, outputs);
    free(space.start);
    return DONE;
}

/* Gradients of the inputs, the kernel and the bias, from those of the outputs. */
EXPORT int dense_backward(const Dense *d, long N, const float *inputs, const float *d_outputs, float *d_inputs, float *d_kernel,
                          float *d_bias) {
    Space space = {NULL, 0};
    word *left, *rows, *d_rows, *panel;
    float *sums;
    long words = EVEN(N) / PER_WORD;
    IN_NEW_MEMORY(space, {
        left = take(&space, BLOCKS(d->H) * EVEN(N) * WORDS);
        rows = take(&space, BLOCKS(d->D) * BLOCK * words);
        d_rows = take(&space, BLOCKS(d->H) * BLOCK * words);
        panel = take(&space, BLOCKS(d->H) * WORDS * BLOCK);
        sums = take(&space, N * BLOCK);
    });
    spread_all(inputs, d->D, N, NULL, rows);
    spread_all(d_outputs, d->H, N, left, d_rows);
    for (long q = 0; q < BLOCKS(d->D); q++) {
        pack_transposed(d->kernel + q * BLOCK * d->H, WIDE(q, d->D), d->H, d->H, panel);
        memset(sums, 0, 4 * N * BLOCK);
        product(left, N, panel, BLOCKS(d->H), sums);
        copy_out(sums, N, WIDE(q, d->D), d_inputs + q * BLOCK, d->D);
    }
    for (long k = 0; k < d->D * d->H; k++) d_kernel[k] = 0;
    weight_gradient(rows, d_rows, words, d->D, d->H, 0, BLOCKS(d->H), d_kernel, d->H);
    for (long v = 0; v < d->H; v++) d_bias[v] = 0;
    for (long b = 0; b < N; b++)
        for (long v = 0; v < d->H; v++) d_bias[v] += d_outputs[b * d->H + v];
    free(space.start);
    return DONE;
}

static const float ONES[WIDTH] = {[0 ... WIDTH - 1] = 1};
INLINE vec logits_at(const float *row, long v, long V) { /* what is beyond V has no probability */
    return load_part(row + v, V - v) - (1 - load_part(ONES, V - v)) * 1e30f;
}
static float highest(const float *row, long V) {
    vec most = logits_at(row, 0, V);
    for (long v = WIDTH; v < V; v += WIDTH) most += positive(logits_at(row, v, V) - most);
    float top = most[0];
    for (int lane = 1; lane < WIDTH; lane++) top = most[lane] > top ? most[lane] : top;
    return top;
}

/* The cross-entropy in nats of N rows of V logits, weighed and summed, and the gradient of the logits. */
EXPORT float cross_entropy(long N, long V, const float *logits, const int32_t *targets, const float *weights,
                           float *d_logits) {
    double loss = 0;
    for (long b = 0; b < N; b++, logits += V, d_logits += V) {
        float top = highest(logits, V), sum = 0;
        long target = targets[b] < 0 ? 0 : targets[b] < V ? targets[b] : V - 1;
        vec sums = {};
        for (long v = 0; v < V; v += WIDTH) {
            vec exponential = power_of_2(within((logits_at(logits, v, V) - top) * LOG2_E, 120));
            sums += exponential;
            store_part(d_logits + v, exponential, V - v);
        }
        for (int lane = 0; lane < WIDTH; lane++) sum += sums[lane];
        for (long v = 0; v < V; v += WIDTH)
            store_part(d_logits + v, load_part(d_logits + v, V - v) * (weights[b] / sum), V - v);
        d_logits[target] -= weights[b];
        if (weights[b] != 0) loss += weights[b] * (logf(sum) + top - logits[target]);
    }
    return loss;
}
