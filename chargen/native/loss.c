/* The cross-entropy of the logits that a Dense layer gives, and its gradients, in one pass: some rows at a time, whose inputs,
 * logits and gradients stay in the cache. V: the outputs of the layer. */
#include <math.h>

/* What a caller gives. Rows without a weight are left out. */
typedef struct {
    Dense dense;
    long N;
    const float *inputs;                     /* (N, D) */
    const int32_t *targets;                  /* (N) */
    const float *weights;                    /* (N) */
    float *d_inputs, *d_kernel, *d_bias;     /* (N, D), (D, V), (V); or all NULL */
} Head;

/* What all threads share. rows: numbers of those with a weight. kernel, transposed: panels. */
typedef struct { const Head *head; int32_t *rows; long count; word *kernel, *transposed; } HeadShared;

/* What a thread has of its own. Operands of products: the inputs and the logits' gradients, as left operands and as columns.
 * logits: blocks of (rows, 32), which become their gradients. sums: a block of those of the inputs. */
typedef struct {
    word *left, *columns, *d_left, *d_columns;
    float *logits, *sums, *d_kernel, *d_bias;
} HeadOwn;
typedef struct { const HeadShared *shared; HeadOwn own; long number, count; double loss; } HeadThread;

static void lay_out_shared(HeadShared *s, Space *space) {
    const Dense *d = &s->head->dense;
    s->rows = take(space, s->head->N);
    s->kernel = take(space, dense_floats(d));
    s->transposed = take(space, dense_floats(d));
}
static void lay_out_own(HeadOwn *own, Space *space, const Head *head) {
    long inputs = BLOCKS(head->dense.D), outputs = BLOCKS(head->dense.H), words = ROWS_AT_ONCE / PER_WORD * BLOCK;
    own->left = take(space, inputs * words), own->columns = take(space, inputs * words);
    own->d_left = take(space, outputs * words), own->d_columns = take(space, outputs * words);
    own->logits = take(space, outputs * ROWS_AT_ONCE * BLOCK);
    own->sums = take(space, ROWS_AT_ONCE * BLOCK);
    own->d_kernel = take(space, head->d_kernel ? head->dense.D * head->dense.H : 0);
    own->d_bias = take(space, outputs * BLOCK);
}

static void pack_head(const HeadShared *s) {
    const Head *head = s->head;
    const Dense *d = &head->dense;
    Dense packed = *d;
    packed.packed = (float *)s->kernel;
    pack_dense(&packed);
    for (long q = 0; head->d_kernel && q < BLOCKS(d->D); q++)
        pack_transposed(d->kernel + q * BLOCK * d->H, WIDE(q, d->D), d->H, d->H,
                        s->transposed + q * BLOCKS(d->H) * WORDS * BLOCK);
}

/* The logits of some rows: their biases and products. */
static void head_logits(const HeadShared *s, const HeadOwn *own, const int32_t *rows, long count) {
    const Dense *d = &s->head->dense;
    long inputs = BLOCKS(d->D), words = EVEN(count) / PER_WORD;
    for (long q = 0; q < inputs; q++)
        spread(s->head->inputs + q * BLOCK, d->D, rows, WIDE(q, d->D), count, own->left + q * EVEN(count) * WORDS,
               s->head->d_kernel ? own->columns + q * 2 * words * 16 : NULL, words);
    for (long j = 0; j < BLOCKS(d->H); j++) {
        float *to = own->logits + j * count * BLOCK;
        for (long b = 0; b < count; b++) copy_block(to + b * BLOCK, d->bias + j * BLOCK, WIDE(j, d->H));
        product(own->left, count, s->kernel + j * inputs * WORDS * BLOCK, inputs, to);
    }
}

static const float ONES[WIDTH] = {[0 ... WIDTH - 1] = 1};
INLINE vec with_padding(vec logits, long left) { /* what is beyond V has no probability */
    return left < WIDTH ? logits - (1 - load_part(ONES, left)) * 1e30f : logits;
}
#define EACH_LOGIT(v, V) for (long v = 0; v < (V); v += WIDTH)
#define AT(v) (row + (v) / BLOCK * apart + (v) % BLOCK)

/* The cross-entropy in nats of a row of logits, whose blocks are `apart`; they become their gradients. Both times weight. */
static double row_loss(float *row, long apart, long V, long target, float weight) {
    vec most = with_padding(load(row), V), sums = {};
    float at_target = *AT(target);
    EACH_LOGIT(v, V) most += positive(with_padding(load(AT(v)), V - v) - most);
    float top = highest(most);
    EACH_LOGIT(v, V) {
        vec exponential = power_of_2(within((with_padding(load(AT(v)), V - v) - top) * LOG2_E, 120));
        sums += exponential;
        store(AT(v), exponential);
    }
    float sum = total(sums);
    EACH_LOGIT(v, BLOCKS(V) * BLOCK) store(AT(v), v < V ? load(AT(v)) * (weight / sum) : all(0));
    *AT(target) -= weight;
    return weight * (logf(sum) + top - at_target);
}

/* The gradients that the logits' gradients of some rows give. */
static void head_gradients(const HeadShared *s, const HeadOwn *own, const int32_t *rows, long count) {
    const Head *head = s->head;
    const Dense *d = &head->dense;
    long outputs = BLOCKS(d->H), words = EVEN(count) / PER_WORD;
    for (long j = 0; j < outputs; j++) {
        const float *from = own->logits + j * count * BLOCK;
        spread(from, BLOCK, NULL, BLOCK, count, own->d_left + j * EVEN(count) * WORDS, own->d_columns + j * 2 * words * 16,
               words);
        EACH(u, BLOCK) {
            vec sum = load(own->d_bias + j * BLOCK + u);
            for (long b = 0; b < count; b++) sum += load(from + b * BLOCK + u);
            store(own->d_bias + j * BLOCK + u, sum);
        }
    }
    for (long q = 0; q < BLOCKS(d->D); q++) {
        memset(own->sums, 0, 4 * count * BLOCK);
        product(own->d_left, count, s->transposed + q * outputs * WORDS * BLOCK, outputs, own->sums);
        from_block(own->sums, rows, count, d->D, q, head->d_inputs);
    }
    weight_gradient(own->columns, own->d_columns, words, d->D, d->H, 0, outputs, own->d_kernel, d->H);
}

/* Set the gradients that are added up to zero, and those of the inputs of rows that are left out. */
static void clear_head_gradients(const HeadThread *thread) {
    const Head *head = thread->shared->head;
    long D = head->dense.D, V = head->dense.H;
    Range rows = part_of(thread->number, thread->count, head->N);
    memset(thread->own.d_kernel, 0, 4 * D * V);
    memset(thread->own.d_bias, 0, 4 * BLOCKS(V) * BLOCK);
    for (long b = rows.first; b < rows.end; b++)
        if (head->weights[b] == 0) memset(head->d_inputs + b * D, 0, 4 * D);
}
/* Add up a part of the kernel's gradients of all threads; the first one does it for the bias, too. */
static int add_head_gradients(void *given) {
    const HeadThread *thread = given, *all_threads = thread - thread->number;
    const Head *head = thread->shared->head;
    Range part = part_of(thread->number, thread->count, head->dense.D * head->dense.H);
    const float *kernels[thread->count];
    for (long k = 0; k < thread->count; k++) kernels[k] = all_threads[k].own.d_kernel;
    Sum sum = {kernels, thread->count, 1};
    for (long i = part.first; i < part.end; i += WIDTH)
        store_part(head->d_kernel + i, sum_part(&sum, i, part.end - i), part.end - i);
    for (long v = 0; thread->number == 0 && v < head->dense.H; v++) {
        head->d_bias[v] = 0;
        for (long k = 0; k < thread->count; k++) head->d_bias[v] += all_threads[k].own.d_bias[v];
    }
    return DONE;
}

static double rows_loss(const HeadThread *thread, const int32_t *rows, long count) {
    const Head *head = thread->shared->head;
    long V = head->dense.H;
    double loss = 0;
    for (long b = 0; b < count; b++) {
        long target = head->targets[rows[b]];
        target = target < 0 ? 0 : target < V ? target : V - 1;
        loss += row_loss(thread->own.logits + b * BLOCK, count * BLOCK, V, target, head->weights[rows[b]]);
    }
    return loss;
}
static int head_thread(void *given) {
    HeadThread *thread = given;
    const HeadShared *s = thread->shared;
    int training = s->head->d_kernel != NULL;
    if (training) clear_head_gradients(thread);
    Range part = part_of(thread->number, thread->count, s->count);
    for (long first = part.first; first < part.end; first += ROWS_AT_ONCE) {
        const int32_t *rows = s->rows + first;
        long count = part.end - first < ROWS_AT_ONCE ? part.end - first : ROWS_AT_ONCE;
        head_logits(s, &thread->own, rows, count);
        thread->loss += rows_loss(thread, rows, count);
        if (training) head_gradients(s, &thread->own, rows, count);
    }
    return DONE;
}

/* Write the cross-entropy in nats of all rows, weighed and summed, and its gradients unless they are NULL. */
EXPORT int cross_entropy(const Head *head, long count, float *loss) {
    HeadThread threads[count];
    HeadShared shared = {.head = head};
    Space space = {NULL, 0};
    for (long k = 0; k < count; k++) threads[k] = (HeadThread){.shared = &shared, .number = k, .count = count};
    IN_NEW_MEMORY(space, {
        lay_out_shared(&shared, &space);
        for (long k = 0; k < count; k++) lay_out_own(&threads[k].own, &space, head);
    });
    pack_head(&shared);
    for (long b = 0; b < head->N; b++)
        if (head->weights[b] != 0) shared.rows[shared.count++] = b;
    run_jobs(head_thread, threads, sizeof *threads, count, NULL);
    if (head->d_kernel) run_jobs(add_head_gradients, threads, sizeof *threads, count, NULL);
    double sum = 0;
    for (long k = 0; k < count; k++) sum += threads[k].loss;
    *loss = sum;
    free(space.start);
    return DONE;
}
