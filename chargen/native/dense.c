/* Dense layers: N rows of D inputs and H outputs. */

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
