/* Run recurrent layers over all steps, forward and backward, on one thread; threads.c shares the rows among several.
 *
 * Compiled once for each instruction set: AVX-512 or AVX2 as -march says, with products of float32 numbers; or with -DBFLOAT16
 * (needs AVX512-BF16), with products of numbers rounded to bfloat16. Sums, gates, states and gradients are always float32.
 * Any number of threads may call at once: the only global state, in teams.c, is how long some have waited for each other and
 * which have nothing to do.
 *
 * Sizes: T steps, B rows, D inputs, H units, V tokens. Inside, units and inputs are padded with zeros to whole blocks of 32.
 * A `word` is what one multiply-add takes of an operand: a float, or two bfloat16 that stand one after the other along the
 * product's inner dimension; a block is WORDS words wide. Layouts, so that the inner loops read whole cache lines in order:
 *   sums, gates    [block of units][slot][B][32]     a slot is what a unit adds up for a gate; see Cell
 *   states         [block of units][B][32]
 *   weights        [panel of 32 columns][words][32]  packed on each call
 *   left operand   [16 words][B, even][16]           of the products of a step: all rows' first 16 words, their next 16, ...
 *   rows           [16 columns][words][16]           of the weight gradients, whose inner dimension is all rows of all steps
 */
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define MAX_TURNS 8
#define MAX_ROWS 14 /* of a product at once: 28 sums, 2 vectors of weights and a number in 32 registers */
#define COLUMNS 32
#define DEPTH 16 /* chunks of a panel that stay in the first cache for all rows: 32 kB */
#else
#define MAX_TURNS 4
#define MAX_ROWS 6 /* 12 sums, 2 vectors of weights and a number in 16 registers */
#define COLUMNS 16
#define DEPTH 8
#endif

/* ---------- words ---------- */

#define BLOCK 32
#ifdef BFLOAT16
#define PER_WORD 2
typedef uint32_t word;
INLINE vec multiply_add(word a, const word *b, vec sum) {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(a), (__m512bh)_mm512_loadu_si512(b));
}
INLINE __m512i halves(vec first, vec second) { return (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first); }
INLINE void store_paired(word *to, vec even, vec odd) { /* of two rows, 16 columns */
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                           23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, halves(even, odd)));
}
#else
#define PER_WORD 1
typedef float word;
INLINE vec multiply_add(word a, const word *b, vec sum) { return a * load(b) + sum; }
#endif
#define WORDS (BLOCK / PER_WORD)
#define CHUNKS (WORDS / 16)
#define EVEN(rows) (((rows) + PER_WORD - 1) / PER_WORD * PER_WORD)
#define BLOCKS(size) (((size) + BLOCK - 1) / BLOCK)
#define WIDE(block, size) ((size) - (block) * BLOCK < BLOCK ? (size) - (block) * BLOCK : BLOCK) /* of it, without padding */

INLINE void copy_block(float *to, const float *from, long wide) {
    for (long u = 0; u < BLOCK; u += WIDTH) store(to + u, load_part(from + u, wide - u));
}

/* ---------- products ---------- */

/* Weights that are read next, as lines of 64 bytes: a product brings so many at each chunk into the second cache. */
typedef struct { const word *from; long lines; } Ahead;
#define LINE (64 / sizeof(word))

/* sums (rows, 32) += left operand (rows, words) * panel (words, 32). Few rows have several sums each, which take turns, so that
 * none waits for the one before it. */
INLINE void row_product(int rows, int turns, const word *left, long next, const word *panel, long chunks, float *sums,
                        Ahead ahead) {
    for (int first = 0; first < BLOCK; first += COLUMNS) {
        vec sum[MAX_ROWS][COLUMNS / WIDTH][8] = {};
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++) sum[r][v][0] = load(sums + r * BLOCK + first + v * WIDTH);
        const word *a = left, *b = panel + first;
        for (long chunk = 0; chunk < chunks; chunk++, a += next) {
            for (long line = 0; line < ahead.lines; line++, ahead.from += LINE) _mm_prefetch(ahead.from, _MM_HINT_T1);
            for (int k = 0; k < 16; k += turns, b += turns * BLOCK)
                UNROLL for (int turn = 0; turn < turns; turn++)
                    UNROLL for (int r = 0; r < rows; r++)
                        UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++)
                            sum[r][v][turn] = multiply_add(a[r * 16 + k + turn], b + turn * BLOCK + v * WIDTH, sum[r][v][turn]);
        }
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++) {
                UNROLL for (int turn = 1; turn < turns; turn++) sum[r][v][0] += sum[r][v][turn];
                store(sums + r * BLOCK + first + v * WIDTH, sum[r][v][0]);
            }
    }
}
typedef void RowProduct(const word *left, long next, const word *panel, long chunks, float *sums, Ahead ahead);
#define OF_ROWS(N) \
    static void product_of_##N(const word *left, long next, const word *panel, long chunks, float *sums, Ahead ahead) { \
        row_product(N, N == 1 ? MAX_TURNS : N < 4 ? MAX_TURNS / 2 : 1, left, next, panel, chunks, sums, ahead); \
    }
OF_ROWS(1) OF_ROWS(2) OF_ROWS(3) OF_ROWS(4) OF_ROWS(5) OF_ROWS(6)
#if MAX_ROWS > 6
OF_ROWS(7) OF_ROWS(8) OF_ROWS(9) OF_ROWS(10) OF_ROWS(11) OF_ROWS(12) OF_ROWS(13) OF_ROWS(14)
#endif
static RowProduct *const ROW_PRODUCTS[MAX_ROWS + 1] = {
    NULL, product_of_1, product_of_2, product_of_3, product_of_4, product_of_5, product_of_6,
#if MAX_ROWS > 6
    product_of_7, product_of_8, product_of_9, product_of_10, product_of_11, product_of_12, product_of_13, product_of_14,
#endif
};

/* The same for more rows, in groups as even as can be. All groups but the first find the panel in the first cache, and bring in
 * what follows it: as many chunks of the weights. */
static void product_of_groups(const word *left, long next, long rows, const word *panel, long chunks, float *sums) {
    long groups = (rows + MAX_ROWS - 1) / MAX_ROWS, passes = (groups - 1) * (BLOCK / COLUMNS);
    Ahead ahead = {panel + chunks * 16 * BLOCK, passes ? (16 * BLOCK / LINE + passes - 1) / passes : 0};
    for (long group = 0, first = 0; group < groups; group++) {
        long count = (rows - first + groups - group - 1) / (groups - group);
        ROW_PRODUCTS[count](left + first * 16, next, panel, chunks, sums + first * BLOCK, group ? ahead : (Ahead){});
        if (group) ahead.from += ahead.lines * chunks * (BLOCK / COLUMNS) * LINE;
        first += count;
    }
}
/* The same for some of a left operand's rows; the inner dimension is so many blocks. */
static void product_of_some(const word *left, long next, long rows, const word *panel, long blocks, float *sums) {
    long depth = rows > MAX_ROWS ? DEPTH : blocks * CHUNKS; /* a single group reads each weight once */
    for (long left_over = blocks * CHUNKS; left_over > 0; left_over -= depth) {
        product_of_groups(left, next, rows, panel, left_over < depth ? left_over : depth, sums);
        left += depth * next, panel += depth * 16 * BLOCK;
    }
}
static void product(const word *left, long rows, const word *panel, long blocks, float *sums) { /* of all its rows */
    product_of_some(left, EVEN(rows) * 16, rows, panel, blocks, sums);
}

/* to (columns of a, 32) += the sum over count words of a's columns * b's; the two halves of b are `apart` */
INLINE void outer_product(int columns, const word *a, const word *b, long apart, long count, float *to, long next) {
    vec sum[COLUMNS / WIDTH][8];
#define HALF(v, distance) ((v) * WIDTH / 16 * (distance) + (v) * WIDTH % 16)
    UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++)
        UNROLL for (int c = 0; c < columns; c++) sum[v][c] = load(to + c * next + v * WIDTH);
    for (long k = 0; k < count; k++, a += 16, b += 16)
        UNROLL for (int c = 0; c < columns; c++)
            UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++) sum[v][c] = multiply_add(a[c], b + HALF(v, apart), sum[v][c]);
    UNROLL for (int v = 0; v < COLUMNS / WIDTH; v++)
        UNROLL for (int c = 0; c < columns; c++) store(to + c * next + v * WIDTH, sum[v][c]);
}
static void outer_tile(const word *a, const word *b, long apart, long count, float *to, long next) { /* 16 columns of a */
#if WIDTH == 16
    outer_product(8, a, b, apart, count, to, next);
    outer_product(8, a + 8, b, apart, count, to + 8 * next, next);
#else
    for (int half = 0; half < 2; half++, b += apart, to += 16) {
        outer_product(6, a, b, 0, count, to, next);
        outer_product(5, a + 6, b, 0, count, to + 6 * next, next);
        outer_product(5, a + 11, b, 0, count, to + 11 * next, next);
    }
#endif
}

#define STAYING 512 /* words of two columns of `rows` that stay in the first cache together */

/* Blocks of columns of gradient (M, H) += left^T right, each rows of `count` words a column; its rows are `next` apart. */
static void weight_gradient(const word *left, const word *right, long count, long M, long H, long first, long end,
                            float *gradient, long next) {
    for (long k = 0; k < count; k += STAYING) {
        long words = count - k < STAYING ? count - k : STAYING;
        for (long j = first; j < end; j++)
            for (long m = 0; m < M; m += 16) {
                const word *a = left + (m / 16 * count + k) * 16, *b = right + (2 * j * count + k) * 16;
                float *to = gradient + m * next + j * BLOCK, edge[16 * BLOCK];
                long wide = WIDE(j, H), high = M - m < 16 ? M - m : 16;
                if (wide == BLOCK && high == 16) {
                    outer_tile(a, b, count * 16, words, to, next);
                    continue;
                }
                memset(edge, 0, sizeof edge);
                outer_tile(a, b, count * 16, words, edge, BLOCK);
                for (long row = 0; row < high; row++)
                    for (long u = 0; u < wide; u++) to[row * next + u] += edge[row * BLOCK + u];
            }
    }
}

/* ---------- between floats and words ---------- */

/* values (B, wide), `next` apart -> a block of a left operand and of rows with `count` words a column, of those not NULL.
 * order: which rows of the values, (B), or NULL for the first ones */
static void spread(const float *values, long next, const int32_t *order, long wide, long B, word *left, word *rows,
                   long count) {
    for (long b = 0; b < B; b += PER_WORD) {
        const float *first = values + (order ? order[b] : b) * next;
#ifdef BFLOAT16
        const float *second = b + 1 < B ? values + (order ? order[b + 1] : b + 1) * next : NULL;
        vec even[2], odd[2];
        UNROLL for (int v = 0; v < 2; v++) {
            even[v] = load_part(first + v * 16, wide - v * 16);
            odd[v] = second ? load_part(second + v * 16, wide - v * 16) : (vec){};
        }
        if (left) {
            _mm512_storeu_si512(left + b * 16, halves(even[0], even[1]));
            _mm512_storeu_si512(left + b * 16 + 16, halves(odd[0], odd[1]));
        }
        if (rows) UNROLL for (int v = 0; v < 2; v++) store_paired(rows + (v * count + b / 2) * 16, even[v], odd[v]);
#else
        UNROLL for (int u = 0; u < BLOCK; u += WIDTH) {
            vec part = load_part(first + u, wide - u);
            if (left) store(left + (u / 16 * B + b) * 16 + u % 16, part);
            if (rows) store(rows + (u / 16 * count + b) * 16 + u % 16, part);
        }
#endif
    }
}

/* A gate's 32 columns of a kernel, from (K, wide) with rows `next` apart, as a panel. */
static void pack_panel(const float *from, long K, long next, long wide, word *to) {
    for (long k = 0; k < BLOCKS(K) * BLOCK; k += PER_WORD, from += PER_WORD * next, to += BLOCK)
        for (long u = 0; u < BLOCK; u += WIDTH) {
            vec first = k < K ? load_part(from + u, wide - u) : (vec){};
#ifdef BFLOAT16
            store_paired(to + u, first, k + 1 < K ? load_part(from + next + u, wide - u) : (vec){});
#else
            store(to + u, first);
#endif
        }
}

/* The same of the transposed kernel: 32 of its rows, with a gate's units as the inner dimension; `from` is (high, H). */
static void pack_transposed(const float *from, long high, long next, long H, word *to) {
    for (long j = 0; j < BLOCKS(H); j++, to += WORDS * BLOCK) {
        word block[BLOCK][WORDS] = {};
        for (long n = 0; n < high; n++) {
            const float *row = from + n * next + j * BLOCK;
            long wide = WIDE(j, H);
#ifdef BFLOAT16
            _mm512_storeu_si512(block[n], halves(load_part(row, wide), load_part(row + 16, wide - 16)));
#else
            copy_block(block[n], row, wide);
#endif
        }
        transpose((float *)block, BLOCK, WORDS, WORDS, (float *)to, BLOCK); /* words, whatever they are */
    }
}

/* ---------- a layer ---------- */

/* What a caller gives; chargen/native/layer.py has the same fields. With `ids` the products of the inputs are looked up in a
 * table, otherwise computed from x. Arrays of all steps have `all_rows` rows a step, of which B belong to this call. */
typedef struct {
    long cell, T, B, all_rows, D, H, V;           /* D is 0 with ids, V without */
    long masks;                                   /* of the hidden state: none, one, or one for each slot that it adds to */
    long threads, together;                       /* that share the rows; or the units of each step if above 1 */
    const int32_t *ids;                           /* (T, all_rows), ENDED after the end of a row */
    const float *table;                           /* (V, gates H), with the bias in it */
    const float *x, *kernel, *bias;               /* (T, all_rows, D), (D, gates H), (gates H) */
    const float *recurrent_kernel;                /* (H, gates H) */
    const float *recurrent_bias;                  /* (gates H) of a GRU whose reset gate comes after the product, else NULL */
    const float *h0, *c0;                         /* (B, H); c0 of an LSTM */
    const float *mask;                            /* (masks, all_rows, H), what it is multiplied with before its products */
    float *packed;                                /* weights as `pack_layer` has packed them, or NULL */
    float *kept;                                  /* what backward needs, `kept_floats` numbers a row; NULL keeps nothing */
    float *h, *last_cell;                         /* (T, all_rows, H), (B, H) */
    const float *d_h, *d_last_cell;               /* (T, all_rows, H), (B, H) */
    float *d_table, *d_x, *d_kernel, *d_bias, *d_recurrent_kernel, *d_recurrent_bias, *d_h0, *d_c0;
} Layer;

/* Memory that is cut into arrays; without a start it is only measured. */
typedef struct { char *start; size_t used; } Space;
static void *take(Space *space, long count) { /* numbers of 4 bytes, aligned to a cache line */
    size_t at = space->used;
    space->used += ((size_t)count * 4 + 63) / 64 * 64;
    return space->start ? space->start + at : NULL;
}
#define IN_NEW_MEMORY(space, lay_out) \
    do { \
        lay_out; \
        space.start = aligned_alloc(64, space.used + 64), space.used = 0; \
        if (!space.start) return NO_MEMORY; \
        lay_out; \
    } while (0)

/* As how many left operands the hidden state enters its products. */
#define OPERANDS(l) ((l)->masks ? (l)->masks : 1)

/* What forward keeps for backward, or else the gates and the state of one step. hidden: rows of the state before a step. */
typedef struct { float *gates, *carried; word *hidden, *inputs, *middle; } Kept;
static void lay_out_kept(Kept *kept, Space *space, const Layer *l, const Cell *cell, int keep) {
    long steps = keep ? l->T : 1, n = BLOCKS(l->H) * BLOCK * l->B, words = l->T * EVEN(l->B) / PER_WORD;
    kept->gates = take(space, steps * cell->slots * n);
    kept->carried = take(space, keep ? (steps + 1) * n : n);
    kept->hidden = keep ? take(space, words * OPERANDS(l) * BLOCKS(l->H) * BLOCK) : NULL;
    kept->inputs = keep ? take(space, words * BLOCKS(l->D) * BLOCK) : NULL;
    kept->middle = keep && cell->middle ? take(space, words * BLOCKS(l->H) * BLOCK) : NULL;
}
EXPORT long kept_floats(const Layer *layer) { /* for a row, of which there is a whole number of words */
    Kept kept;
    Space space = {NULL, 0};
    Layer word = *layer;
    word.B = PER_WORD;
    lay_out_kept(&kept, &space, &word, &CELLS[layer->cell], 1);
    return space.used / 4 / PER_WORD;
}

/* Packed weights: panels [block][slot] of the kernel and of the recurrent kernel, those for a middle state apart; biases. */
typedef struct { word *input, *recurrent, *middle; float *bias; } Weights;
static void lay_out_weights(Weights *w, Space *space, const Layer *l, const Cell *cell) {
    long units = BLOCKS(l->H), panel = units * WORDS * BLOCK;
    w->input = take(space, units * cell->gates * BLOCKS(l->D) * WORDS * BLOCK);
    w->recurrent = take(space, units * cell->recurrent * panel);
    w->middle = take(space, units * cell->middle * panel);
    w->bias = take(space, units * cell->slots * BLOCK);
}

/* Pack those of some blocks of units. */
static void pack_weights(const Weights *w, const Layer *l, const Cell *cell, long first, long end) {
    long units = BLOCKS(l->H), width = cell->gates * l->H;
    long input = BLOCKS(l->D) * WORDS * BLOCK, panel = units * WORDS * BLOCK;
    for (long j = first; j < end; j++)
        for (long slot = 0; slot < cell->slots; slot++) {
            long at = cell->gate[slot] * l->H + j * BLOCK, wide = WIDE(j, l->H), number = slot - cell->first;
            float *bias = w->bias + (j * cell->slots + slot) * BLOCK;
            memset(bias, 0, 4 * BLOCK);
            if (slot < cell->gates && l->kernel) {
                pack_panel(l->kernel + at, l->D, width, wide, w->input + (j * cell->gates + slot) * input);
                for (long u = 0; u < wide; u++) bias[u] += l->bias[at + u];
            }
            if (joins(cell, slot) || joins_middle(cell, slot))
                pack_panel(l->recurrent_kernel + at, l->H, width, wide,
                           joins(cell, slot) ? w->recurrent + (j * cell->recurrent + number) * panel
                                 : w->middle + (j * cell->middle + slot) * panel);
            if (joins(cell, slot) && l->recurrent_bias) for (long u = 0; u < wide; u++) bias[u] += l->recurrent_bias[at + u];
        }
}

EXPORT long packed_floats(const Layer *layer) {
    Weights weights;
    Space space = {NULL, 0};
    lay_out_weights(&weights, &space, layer, &CELLS[layer->cell]);
    return space.used / 4;
}
EXPORT void pack_layer(const Layer *layer) { /* for many forward calls with the same weights */
    Weights weights;
    Space space = {(char *)layer->packed, 0};
    lay_out_weights(&weights, &space, layer, &CELLS[layer->cell]);
    pack_weights(&weights, layer, &CELLS[layer->cell], 0, BLOCKS(layer->H));
}

/* ---------- rows that end early ---------- */

enum { ENDED = INT32_MIN }; /* the id of the steps after a row's end, which are not computed: its outputs are zeros there */

/* order: the rows in the order in which they are computed, (B), those that end last first: so the ones that have not ended
 * stand together. active: how many these are at a step, (T + 1). words: how many words of a column of `rows` the steps before
 * have, (T + 1). ends: when each row ends, (B). */
typedef struct { int32_t *order, *active, *words, *ends; } Rows;
static void lay_out_rows(Rows *rows, Space *space, const Layer *l) {
    rows->order = take(space, l->B), rows->ends = take(space, l->B);
    rows->active = take(space, l->T + 1), rows->words = take(space, l->T + 1);
}
static long end_of(const Layer *l, long b) {
    long end = l->T;
    while (l->ids && end && l->ids[(end - 1) * l->all_rows + b] == ENDED) end--;
    return end;
}
static void order_rows(const Rows *rows, const Layer *l) {
    long placed = 0, words = 0;
    for (long b = 0; b < l->B; b++) rows->ends[b] = end_of(l, b);
    for (long t = l->T; t >= 0; t--) {
        rows->active[t] = placed;
        for (long b = 0; b < l->B; b++)
            if (rows->ends[b] == t) rows->order[placed++] = b;
    }
    if (l->T) rows->active[l->T] = rows->active[l->T - 1]; /* whose states are those after all steps */
    for (long t = 0; t <= l->T; words += EVEN(rows->active[t]) / PER_WORD, t++) rows->words[t] = words;
}

INLINE long id_at(const Layer *l, long t, long b) { /* the nearest one that is in the table */
    long id = l->ids[t * l->all_rows + b];
    return id < 0 ? 0 : id < l->V ? id : l->V - 1;
}

/* A block of some rows of (B, H) -> (rows, 32), and back */
static void to_block(const float *from, const int32_t *order, long rows, long H, long j, float *to) {
    for (long b = 0; b < rows; b++, to += BLOCK) copy_block(to, from + order[b] * H + j * BLOCK, WIDE(j, H));
}
static void from_block(const float *from, const int32_t *order, long rows, long H, long j, float *to) {
    for (long b = 0; b < rows; b++, from += BLOCK) memcpy(to + order[b] * H + j * BLOCK, from, 4 * WIDE(j, H));
}

/* Left operands: the hidden states before and after a step [mask][block], the inputs, the middle state. Blocks of a state, and
 * of one times a mask. */
typedef struct { word *left[2], *input, *middle; float *hidden, *masked; } Work;
static void lay_out_work(Work *work, Space *space, const Layer *l, const Cell *cell) {
    long operand = EVEN(l->B) * WORDS;
    for (int k = 0; k < 2; k++) work->left[k] = take(space, operand * OPERANDS(l) * BLOCKS(l->H));
    work->input = take(space, operand * BLOCKS(l->D));
    work->middle = take(space, cell->middle ? operand * BLOCKS(l->H) : 0);
    work->hidden = take(space, l->B * BLOCK);
    work->masked = take(space, l->masks ? l->B * BLOCK : 0);
}

/* All that belongs to one call. */
typedef struct {
    const Layer *l;
    const Cell *cell;
    long units, inputs; /* blocks */
    long first, end;    /* the blocks of units that this thread computes; all unless threads share the units of a step */
    long first_input, end_input; /* and of inputs, whose rows and gradients it writes */
    long n;             /* numbers of a block of a state of all rows */
    long panel;         /* words of a panel of the recurrent kernel */
    int keep;
    Rows rows;
    Kept kept;
    Weights weights;
    Work work;
} Run;
static Run new_run(const Layer *l, int keep) {
    Run run = {.l = l, .cell = &CELLS[l->cell], .units = BLOCKS(l->H), .inputs = BLOCKS(l->D), .keep = keep};
    run.end = run.units, run.end_input = run.inputs;
    run.n = l->B * BLOCK, run.panel = run.units * WORDS * BLOCK;
    return run;
}
static long active(const Run *run, long t) { /* the rows of a step; the first so many of those that are computed */
    return t < 0 ? run->l->B : run->rows.active[t];
}
static long operand(const Run *run, long t) { return EVEN(active(run, t)) * WORDS; } /* words of a block of a left operand */
static long count(const Run *run) { return run->rows.words[run->l->T]; } /* words of a column of `rows` */
static float *gates_at(const Run *run, long t, long j) {
    return run->kept.gates + ((run->keep ? t : 0) * run->units + j) * run->cell->slots * run->n;
}
static float *carried_at(const Run *run, long t, long j) {
    return run->kept.carried + ((run->keep ? t : 0) * run->units + j) * run->n;
}
/* A block of rows, at a step; NULL where nothing is kept, or after the last step. */
static word *rows_at(const Run *run, word *rows, long block, long t) {
    return rows && t < run->l->T ? rows + (block * 2 * count(run) + run->rows.words[t]) * 16 : NULL;
}

/* Set the sums of a block of units to the biases and, with ids, to the rows of the table. */
static void begin_sums(const Run *run, long t, long j, float *sums) {
    const Layer *l = run->l;
    long slots = run->cell->slots, wide = WIDE(j, l->H);
    const float *bias = run->weights.bias + j * slots * BLOCK;
    for (long slot = 0; slot < slots; slot++, bias += BLOCK) {
        int looked_up = l->ids && slot < run->cell->gates;
        const float *table = l->table + run->cell->gate[slot] * l->H + j * BLOCK;
        for (long b = 0; b < active(run, t); b++, sums += BLOCK) {
            const float *row = looked_up ? table + id_at(l, t, run->rows.order[b]) * run->cell->gates * l->H : NULL;
            EACH(u, BLOCK) store(sums + u, load(bias + u) + (row ? load_part(row + u, wide - u) : (vec){}));
        }
    }
}

/* Multiply a block of some rows with a mask; add the product to `to`, or put it there. */
static void apply_mask(const Run *run, long m, long rows, long j, const float *block, float *to, int add) {
    const Layer *l = run->l;
    for (long b = 0; b < rows; b++, block += BLOCK, to += BLOCK) {
        const float *mask = l->mask + (m * l->all_rows + run->rows.order[b]) * l->H + j * BLOCK;
        EACH(u, BLOCK) store(to + u, load(block + u) * load_part(mask + u, WIDE(j, l->H) - u) + (add ? load(to + u) : (vec){}));
    }
}
/* Hand a block of a hidden state to the products of step t and, from the thread that computes it, to the gradient of the
 * recurrent kernel. */
static void hand_to_products(const Run *run, long t, long j, const float *hidden, int own) {
    const Layer *l = run->l;
    for (long m = 0, rows = active(run, t); m < OPERANDS(l); m++) {
        long block = m * run->units + j;
        if (l->masks) apply_mask(run, m, rows, j, hidden, run->work.masked, 0);
        spread(l->masks ? run->work.masked : hidden, BLOCK, NULL, BLOCK, rows, run->work.left[t % 2] + block * operand(run, t),
               own ? rows_at(run, run->kept.hidden, block, t) : NULL, count(run));
    }
}
/* The same of a state, (all_rows, H). */
static void hand_state_to_products(const Run *run, long t, long j, const float *state, int own) {
    to_block(state, run->rows.order, active(run, t), run->l->H, j, run->work.hidden);
    hand_to_products(run, t, j, run->work.hidden, own);
}

/* Hand a block's hidden state on: to the outputs, and to the next step. */
static void hand_on(const Run *run, long t, long j, const float *hidden) {
    const Layer *l = run->l;
    long wide = WIDE(j, l->H);
    for (long b = 0; b < l->B; b++) {
        float *to = l->h + (t * l->all_rows + run->rows.order[b]) * l->H + j * BLOCK;
        int ended = b >= active(run, t);
        EACH(u, BLOCK) store_part(to + u, ended ? (vec){} : load(hidden + b * BLOCK + u), wide - u);
    }
    hand_to_products(run, t + 1, j, hidden, 1);
}

static void finish_block(const Run *run, long t, long j) {
    float *after = carried_at(run, t + 1, j);
    run->cell->forward(active(run, t) * BLOCK, gates_at(run, t, j), carried_at(run, t, j), after, run->work.hidden);
    hand_on(run, t, j, run->cell->has_cell ? run->work.hidden : after);
}

/* The first block of the left operands that a slot of the hidden state's products reads, or of the rows that are kept. */
static long left_of(const Run *run, long slot) { return run->l->masks > 1 ? (slot - run->cell->first) * run->units : 0; }

/* Compute the sums of a step and, without a middle state, the states after it. */
static void begin_step(const Run *run, long t) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    const word *hidden = run->work.left[t % 2];
    long rows = active(run, t), n = rows * BLOCK;
    for (long q = 0; q < run->inputs; q++)
        spread(l->x + t * l->all_rows * l->D + q * BLOCK, l->D, run->rows.order, WIDE(q, l->D), rows,
               run->work.input + q * operand(run, t),
               q >= run->first_input && q < run->end_input ? rows_at(run, run->kept.inputs, q, t) : NULL, count(run));
    for (long j = run->first; j < run->end; j++) {
        float *sums = gates_at(run, t, j);
        const word *panel = run->weights.input + j * cell->gates * run->inputs * WORDS * BLOCK;
        begin_sums(run, t, j, sums);
        if (run->inputs)
            for (long slot = 0; slot < cell->gates; slot++, panel += run->inputs * WORDS * BLOCK)
                product(run->work.input, rows, panel, run->inputs, sums + slot * n);
        panel = run->weights.recurrent + j * cell->recurrent * run->panel;
        for (long slot = cell->first; slot < cell->first + cell->recurrent; slot++, panel += run->panel)
            product(hidden + left_of(run, slot) * operand(run, t), rows, panel, run->units, sums + slot * n);
        if (!cell->middle) {
            finish_block(run, t, j);
            continue;
        }
        cell->to_middle(n, sums, carried_at(run, t, j), run->work.hidden);
        spread(run->work.hidden, BLOCK, NULL, BLOCK, rows, run->work.middle + j * operand(run, t),
               rows_at(run, run->kept.middle, j, t), count(run));
    }
}
/* Finish a step whose middle state is known in all units. */
static void finish_step(const Run *run, long t) {
    const Cell *cell = run->cell;
    for (long j = run->first; cell->middle && j < run->end; j++) {
        const word *panel = run->weights.middle + j * cell->middle * run->panel;
        for (long slot = 0; slot < cell->middle; slot++, panel += run->panel)
            product(run->work.middle, active(run, t), panel, run->units,
                    gates_at(run, t, j) + slot * active(run, t) * BLOCK);
        finish_block(run, t, j);
    }
}

/* Lay out all that the steps need. `space` has to be freed; it holds what is not `shared` with another thread of a team. */
static int start_forward(Run *run, Space *space, const Layer *l, const Run *shared) {
    *run = new_run(l, l->kept != NULL);
    Space kept = {(char *)l->kept, 0}, packed = {(char *)l->packed, 0};
    IN_NEW_MEMORY((*space), {
        if (!shared) lay_out_weights(&run->weights, l->packed ? &packed : space, l, run->cell);
        if (!shared) lay_out_kept(&run->kept, run->keep ? &kept : space, l, run->cell, run->keep);
        if (!shared) lay_out_rows(&run->rows, space, l);
        lay_out_work(&run->work, space, l, run->cell);
        kept.used = packed.used = 0;
    });
    if (shared) {
        run->weights = shared->weights, run->kept = shared->kept, run->rows = shared->rows;
        run->work.middle = shared->work.middle;
    } else order_rows(&run->rows, l);
    return DONE;
}
/* Begin at the states that the layer has. */
static void begin_forward(const Run *run) {
    const Layer *l = run->l;
    if (!l->packed) pack_weights(&run->weights, l, run->cell, run->first, run->end);
    for (long j = 0; j < run->units; j++) {
        int own = j >= run->first && j < run->end;
        hand_state_to_products(run, 0, j, l->h0, own);
        if (own) to_block(run->cell->has_cell ? l->c0 : l->h0, run->rows.order, l->B, l->H, j, carried_at(run, 0, j));
    }
}
/* Read the units that others have computed in a step. */
static void take_others(const Run *run, long t) {
    const Layer *l = run->l;
    for (long j = 0; j < run->units; j++)
        if (j < run->first || j >= run->end) hand_state_to_products(run, t + 1, j, l->h + t * l->all_rows * l->H, 0);
}
static void finish_forward(const Run *run) {
    const Layer *l = run->l;
    for (long j = run->first; run->cell->has_cell && j < run->end; j++)
        for (long t = l->T; t >= 0; t--) { /* of the rows that ended there */
            long first = t < l->T ? active(run, t) : 0, rows = active(run, t - 1) - first;
            from_block(carried_at(run, t, j) + first * BLOCK, run->rows.order + first, rows, l->H, j, l->last_cell);
        }
}

/* ---------- backward ---------- */

/* Left operands of the sums' gradients [slot][block], of a step and the one after it; rows of them; gradients in blocks.
 * Threads that share the units have the last three of their own. */
typedef struct {
    word *input, *recurrent, *middle, *left[2], *rows;
    float *d_carried, *d_bias, *d_hidden, *d_masked, *d_sums;
} Back;
static void lay_out_back(Back *back, Space *space, const Run *run) {
    const Cell *cell = run->cell;
    long units = run->units;
    back->input = take(space, run->inputs * cell->gates * run->panel);
    back->recurrent = take(space, units * cell->recurrent * run->panel);
    back->middle = take(space, units * cell->middle * run->panel);
    for (int k = 0; k < 2; k++) back->left[k] = take(space, cell->slots * units * EVEN(run->l->B) * WORDS);
    back->rows = take(space, cell->slots * units * BLOCK * run->l->T * EVEN(run->l->B) / PER_WORD);
    back->d_carried = take(space, units * run->n);
    back->d_bias = take(space, units * cell->slots * BLOCK);
}
static void lay_out_own_back(Back *back, Space *space, const Run *run) {
    back->d_hidden = take(space, run->n);
    back->d_masked = take(space, run->l->masks ? run->n : 0);
    back->d_sums = take(space, run->cell->slots * run->n);
}

static void pack_units_transposed(const Back *back, const Run *run) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    long width = cell->gates * l->H;
    for (long q = run->first_input; q < run->end_input; q++)
        for (long slot = 0; slot < cell->gates; slot++)
            pack_transposed(l->kernel + q * BLOCK * width + cell->gate[slot] * l->H, WIDE(q, l->D), width, l->H,
                            back->input + (q * cell->gates + slot) * run->panel);
    for (long j = run->first; j < run->end; j++) {
        const float *from = l->recurrent_kernel + j * BLOCK * width;
        for (long number = 0; number < cell->recurrent; number++)
            pack_transposed(from + cell->gate[cell->first + number] * l->H, WIDE(j, l->H), width, l->H,
                            back->recurrent + (j * cell->recurrent + number) * run->panel);
        for (long slot = 0; slot < cell->middle; slot++)
            pack_transposed(from + cell->gate[slot] * l->H, WIDE(j, l->H), width, l->H,
                            back->middle + (j * cell->middle + slot) * run->panel);
    }
}

/* Hand the gradient of a slot's sums back: to the products of the step before, to the weights' gradients. */
static void hand_back(const Run *run, const Back *back, long t, long j, long slot) {
    const Layer *l = run->l;
    long rows = active(run, t);
    const float *d_sums = back->d_sums + slot * rows * BLOCK;
    long block = slot * run->units + j, width = run->cell->gates * l->H, wide = WIDE(j, l->H);
    int in_gradient = run->inputs || joins(run->cell, slot) || joins_middle(run->cell, slot); /* of a kernel */
    spread(d_sums, BLOCK, NULL, BLOCK, rows, back->left[t % 2] + block * operand(run, t),
           in_gradient ? rows_at(run, back->rows, block, t) : NULL, count(run));
    if (!l->ids || l->recurrent_bias) EACH(u, BLOCK) {
        float *to = back->d_bias + (j * run->cell->slots + slot) * BLOCK + u;
        vec sum = load(to);
        for (long b = 0; b < rows; b++) sum += load(d_sums + b * BLOCK + u);
        store(to, sum);
    }
    if (!l->ids || slot >= run->cell->gates) return;
    float *table = l->d_table + run->cell->gate[slot] * l->H + j * BLOCK;
    for (long b = 0; b < rows; b++) {
        float *to = table + id_at(l, t, run->rows.order[b]) * width;
        EACH(u, BLOCK) store_part(to + u, load_part(to + u, wide - u) + load(d_sums + b * BLOCK + u), wide - u);
    }
}

/* The gradient of a block of a hidden state, from its output and the step after it. */
static void start_hidden(const Run *run, const Back *back, long t, long j) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    const float *carried = cell->has_cell ? NULL : back->d_carried + j * run->n;
    for (long b = 0; b < active(run, t); b++) {
        const float *from = l->d_h + (t * l->all_rows + run->rows.order[b]) * l->H + j * BLOCK;
        EACH(u, BLOCK) {
            vec d = t < 0 ? (vec){} : load_part(from + u, WIDE(j, l->H) - u);
            store(back->d_hidden + b * BLOCK + u, carried ? d + load(carried + b * BLOCK + u) : d);
        }
    }
    if (t + 1 == l->T) return;
    long slots = cell->recurrent / OPERANDS(l), rows = active(run, t + 1); /* of each mask */
    for (long m = 0; m < OPERANDS(l); m++) {
        float *to = l->masks ? memset(back->d_masked, 0, 4 * rows * BLOCK) : back->d_hidden;
        product(back->left[(t + 1) % 2] + (cell->first + m * slots) * run->units * operand(run, t + 1), rows,
                back->recurrent + (j * cell->recurrent + m * slots) * run->panel, slots * run->units, to);
        if (l->masks) apply_mask(run, m, rows, j, to, back->d_hidden, 1);
    }
}

/* Compute the gradients of a step's sums and, with a middle state, of those that add to it in `finish_step_back`. */
static void begin_step_back(const Run *run, const Back *back, long t) {
    const Cell *cell = run->cell;
    for (long j = run->first; j < run->end; j++) {
        start_hidden(run, back, t, j);
        cell->backward(active(run, t) * BLOCK, gates_at(run, t, j), carried_at(run, t, j), carried_at(run, t + 1, j),
                       back->d_hidden, back->d_carried + j * run->n, back->d_sums);
        for (long slot = 0; slot < cell->early; slot++) hand_back(run, back, t, j, slot);
    }
}
static void finish_step_back(const Run *run, const Back *back, long t) {
    const Cell *cell = run->cell;
    long rows = active(run, t), n = rows * BLOCK;
    for (long j = run->first; cell->middle && j < run->end; j++) {
        memset(back->d_hidden, 0, 4 * n);
        product(back->left[t % 2], rows, back->middle + j * cell->middle * run->panel, cell->middle * run->units,
                back->d_hidden);
        cell->middle_backward(n, gates_at(run, t, j), carried_at(run, t, j), back->d_hidden,
                              back->d_carried + j * run->n, back->d_sums);
        for (long slot = cell->early; slot < cell->slots; slot++) hand_back(run, back, t, j, slot);
    }
}
static void hand_inputs_back(const Run *run, const Back *back, long t) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    long rows = active(run, t);
    for (long q = run->first_input; q < run->end_input; q++) {
        memset(back->d_hidden, 0, 4 * rows * BLOCK);
        product(back->left[t % 2], rows, back->input + q * cell->gates * run->panel, cell->gates * run->units, back->d_hidden);
        for (long b = 0; b < rows; b++) {
            float *to = l->d_x + (t * l->all_rows + run->rows.order[b]) * l->D + q * BLOCK;
            EACH(u, BLOCK) store_part(to + u, load(back->d_hidden + b * BLOCK + u), WIDE(q, l->D) - u);
        }
    }
}

static void kernel_gradients(const Run *run, const Back *back) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    long width = cell->gates * l->H;
    for (long slot = 0; slot < cell->slots; slot++) {
        const word *rows = back->rows + slot * run->units * BLOCK * count(run);
        long at = cell->gate[slot] * l->H;
        const word *hidden = run->kept.hidden + left_of(run, slot) * BLOCK * count(run);
        if (joins(cell, slot) || joins_middle(cell, slot))
            weight_gradient(joins(cell, slot) ? hidden : run->kept.middle, rows, count(run), l->H, l->H, run->first, run->end,
                            l->d_recurrent_kernel + at, width);
        if (run->inputs && slot < cell->gates)
            weight_gradient(run->kept.inputs, rows, count(run), l->D, l->H, run->first, run->end, l->d_kernel + at, width);
    }
}

static void bias_gradients(const Run *run, const Back *back) {
    const Layer *l = run->l;
    const Cell *cell = run->cell;
    for (long j = run->first; j < run->end; j++)
        for (long slot = 0; slot < cell->slots; slot++) {
            const float *from = back->d_bias + (j * cell->slots + slot) * BLOCK;
            long at = cell->gate[slot] * l->H + j * BLOCK;
            if (!l->ids && slot < cell->gates) memcpy(l->d_bias + at, from, 4 * WIDE(j, l->H));
            if (l->recurrent_bias && slot >= cell->first) memcpy(l->d_recurrent_bias + at, from, 4 * WIDE(j, l->H));
        }
}

static void start_backward(Run *run, const Layer *l) {
    Space kept = {(char *)l->kept, 0};
    *run = new_run(l, 1);
    lay_out_kept(&run->kept, &kept, l, run->cell, 1);
}
static void clear_gradients(const Run *run, const Back *back) { /* that are added up, of all units */
    const Layer *l = run->l;
    long width = 4 * run->cell->gates * l->H;
    memset(back->d_bias, 0, 4 * run->units * run->cell->slots * BLOCK);
    memset(back->d_carried, 0, 4 * run->units * run->n);
    memset(l->d_recurrent_kernel, 0, l->H * width);
    if (run->inputs) memset(l->d_kernel, 0, l->D * width);
    if (l->ids) memset(l->d_table, 0, l->V * width);
}
static void begin_backward(const Run *run, const Back *back) {
    const Layer *l = run->l;
    pack_units_transposed(back, run);
    for (long j = run->first; run->cell->has_cell && j < run->end; j++)
        to_block(l->d_last_cell, run->rows.order, l->B, l->H, j, back->d_carried + j * run->n);
}
static void finish_backward(const Run *run, const Back *back) {
    const Layer *l = run->l;
    for (long j = run->first; j < run->end; j++) {
        start_hidden(run, back, -1, j);
        from_block(back->d_hidden, run->rows.order, l->B, l->H, j, l->d_h0);
        if (run->cell->has_cell) from_block(back->d_carried + j * run->n, run->rows.order, l->B, l->H, j, l->d_c0);
    }
    kernel_gradients(run, back);
    bias_gradients(run, back);
}
