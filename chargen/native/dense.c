/* Dense layers: N rows of D inputs and H outputs. */

typedef struct {
    long D, H;
    const float *kernel, *bias; /* (D, H), (H) */
    float *packed;              /* the kernel as `pack_dense` has packed it, `dense_floats` numbers */
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

enum { ROWS_AT_ONCE = 256 }; /* so that their operands stay in the cache */

/* The rows that a thread computes. */
typedef struct {
    const Dense *d;
    long first, end, relu;
    const float *inputs;
    float *outputs, *sums;
    word *left;
} DenseThread;
static int dense_thread(void *given) {
    const DenseThread *t = given;
    for (long b = t->first; b < t->end; b += ROWS_AT_ONCE) {
        long count = t->end - b < ROWS_AT_ONCE ? t->end - b : ROWS_AT_ONCE;
        spread_all(t->inputs + b * t->d->D, t->d->D, count, t->left, NULL);
        dense_blocks(t->d, 0, BLOCKS(t->d->H), count, t->left, t->relu, t->sums, t->outputs + b * t->d->H);
    }
    return DONE;
}

/* outputs (N, H) of inputs (N, D), with so many threads; the kernel is packed. */
EXPORT int dense_forward(const Dense *d, long N, const float *inputs, float *outputs, long relu, long count) {
    DenseThread threads[count];
    Space space = {NULL, 0};
    long rows = N < ROWS_AT_ONCE ? N : ROWS_AT_ONCE;
    for (long k = 0; k < count; k++)
        threads[k] = (DenseThread){d, N * k / count, N * (k + 1) / count, relu, inputs, outputs, NULL, NULL};
    IN_NEW_MEMORY(space, {
        for (long k = 0; k < count; k++) {
            threads[k].left = take(&space, BLOCKS(d->D) * EVEN(rows) * WORDS);
            threads[k].sums = take(&space, rows * BLOCK);
        }
    });
    run_jobs(dense_thread, threads, sizeof *threads, count, NULL);
    free(space.start);
    return DONE;
}
