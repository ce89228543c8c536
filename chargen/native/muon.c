/* The steps of Muon (Jordan et al. 2024): bring the singular values of the momentum near 1, by the Newton-Schulz iteration.
 * Each gate's columns are taken in groups, which is a fifth of the work for 512 units, and trains as well. */

static const float QUINTIC[3] = {3.4445f, -4.7750f, 2.0315f};
enum { ITERATIONS = 5, MOST_COLUMNS = 128 };

/* An array of weights. gates: in its columns, if the steps are Muon's, else 0. */
typedef struct { long size, rows, gates; } Weight;

/* Some columns of the momentum, (high, wide) with rows `next` apart, and weights, from which times * the step is subtracted. */
typedef struct { const float *momentum; float *weights; long high, wide, next; float times; } Group;

/* x: (short side, long side); upright: its transpose at last. gram, polynomial: (short side, short side). The rest are operands
 * of products, and their sums. */
typedef struct { float *x, *upright, *gram, *polynomial, *sums; word *left, *panel; } Iteration;
static void lay_out_iteration(Iteration *it, Space *space, long small, long large) {
    it->x = take(space, small * large);
    it->upright = take(space, small * large);
    it->gram = take(space, small * small);
    it->polynomial = take(space, small * small);
    it->sums = take(space, small * BLOCK);
    it->left = take(space, BLOCKS(large) * EVEN(small) * WORDS);
    it->panel = take(space, BLOCKS(large) * WORDS * BLOCK);
}

/* to (n, n) = old times to_old + matrix matrix^T times to_new, for (n, k); as it is symmetric, a half is computed. */
static void squared(Iteration *it, const float *matrix, long n, long k, const float *old, float to_old, float to_new,
                    float *to) {
    spread_all(matrix, k, n, it->left, NULL);
    for (long first = 0; first < n; first += BLOCK) {
        long wide = n - first < BLOCK ? n - first : BLOCK;
        pack_transposed(matrix + first * k, wide, k, k, it->panel);
        memset(it->sums, 0, 4 * (n - first) * BLOCK);
        product_of_some(it->left + first * 16, EVEN(n) * 16, n - first, it->panel, BLOCKS(k), it->sums);
        for (long row = first; row < n; row++)
            EACH(u, BLOCK) {
                const float *from = it->sums + (row - first) * BLOCK + u;
                long at = row * n + first + u, left = wide - u;
                store_part(to + at, load(from) * to_new + (old ? load_part(old + at, left) * to_old : (vec){}), left);
            }
        for (long u = 0; u < wide; u++)
            for (long row = first + BLOCK; row < n; row++) {
                long at = (first + u) * n + row;
                to[at] = it->sums[(row - first) * BLOCK + u] * to_new + (old ? old[at] * to_old : 0);
            }
    }
}

/* x = a x + (b A + c A A) x, where A = x x^T */
static void iterate(Iteration *it, long small, long large) {
    squared(it, it->x, small, large, NULL, 0, 1, it->gram);
    squared(it, it->gram, small, small, it->gram, QUINTIC[1], QUINTIC[2], it->polynomial);
    spread_all(it->polynomial, small, small, it->left, NULL);
    for (long j = 0; j < BLOCKS(large); j++) {
        float *column = it->x + j * BLOCK;
        pack_panel(column, small, large, WIDE(j, large), it->panel);
        for (long row = 0; row < small; row++)
            EACH(u, BLOCK) {
                vec part = load_part(column + row * large + u, WIDE(j, large) - u);
                store(it->sums + row * BLOCK + u, QUINTIC[0] * part);
            }
        product(it->left, small, it->panel, BLOCKS(small), it->sums);
        copy_out(it->sums, small, WIDE(j, large), column, large);
    }
}

static void take_step(const Group *group, Iteration *it) {
    int upright = group->high > group->wide;
    long small = upright ? group->wide : group->high, large = upright ? group->high : group->wide;
    const float *momentum = group->momentum;
    if (upright) transpose(momentum, large, small, group->next, it->x, large);
    else for (long row = 0; row < small; row++) memcpy(it->x + row * large, momentum + row * group->next, 4 * large);
    const float *const x[] = {it->x};
    float scale = 1 / (sqrt(sum_of_squares(&(Sum){x, 1, 1}, 0, small * large, 1)) + 1e-12);
    for (long k = 0; k < small * large; k++) it->x[k] *= scale;
    for (int k = 0; k < ITERATIONS; k++) iterate(it, small, large);
    float *step = it->x;
    if (upright) transpose(it->x, small, large, large, step = it->upright, small);
    for (long row = 0; row < group->high; row++, step += group->wide)
        for (long u = 0; u < group->wide; u++) group->weights[row * group->next + u] -= group->times * step[u];
}

/* What some threads take groups from, one after the other. */
typedef struct { const Group *groups; long count, taken; } Queue;
static int take_steps(void *given) {
    Queue *queue = given;
    Iteration it;
    Space space = {NULL, 0};
    long small = 0, large = 0;
    for (long k = 0; k < queue->count; k++) {
        const Group *one = queue->groups + k;
        long least = one->high < one->wide ? one->high : one->wide, most = one->high + one->wide - least;
        small = least > small ? least : small, large = most > large ? most : large;
    }
    IN_NEW_MEMORY(space, lay_out_iteration(&it, &space, small, large));
    for (long k; (k = __atomic_fetch_add(&queue->taken, 1, __ATOMIC_RELAXED)) < queue->count;)
        take_step(queue->groups + k, &it);
    free(space.start);
    return DONE;
}

/* List the groups of an array, unless `groups` is NULL, and return how many there are. */
static long list_groups(const Weight *w, float length, const float *momentum, float *weights, Group *groups) {
    if (!w->gates) return 0;
    long next = w->size / w->rows, units = next / w->gates, of_a_gate = (units + MOST_COLUMNS - 1) / MOST_COLUMNS;
    long wide = (units + of_a_gate - 1) / of_a_gate, count = 0;
    for (long gate = 0; gate < w->gates; gate++)
        for (long first = 0; first < units; first += wide, count++)
            if (groups) {
                long at = gate * units + first, part = units - first < wide ? units - first : wide;
                float times = length * sqrtf((float)(part > w->rows ? part : w->rows) / units);
                groups[count] = (Group){momentum + at, weights + at, w->rows, part, next, times};
            }
    return count;
}
static int orthogonal_steps(const Group *groups, long count, long threads) {
    Queue queue = {groups, count, 0};
    return count ? run_jobs(take_steps, &queue, 0, threads < count ? threads : count, NULL) : DONE;
}
