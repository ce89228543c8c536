/* An optimizer step of Adam, AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) or Muon, for all weights, as Keras does. */

typedef struct {
    float share;                 /* what the summed gradients are multiplied by */
    float clip_norm, clip_value; /* of the whole gradient, or else of each entry; 0 does not clip */
    float alpha;                 /* the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t */
    float decay;                 /* the learning rate times the weight decay */
    float beta_1_rest, beta_2_rest, epsilon; /* 1 - beta_1, 1 - beta_2 */
    float orthogonal;            /* what orthogonal matrices of Muon are multiplied by */
} Adam;

/* Of some arrays of weights, one after the other: gradients of each shard, (shards * count). */
typedef struct { const float *const *from; long shards, count; } Gradients;
INLINE vec gradient_part(const Gradients *g, long i, long left) { /* the sum of the shards' */
    vec sum = load_part(g->from[0] + i, left);
    for (long shard = 1; shard < g->shards; shard++) sum += load_part(g->from[shard * g->count] + i, left);
    return sum;
}

enum { PIECE = 4096 }; /* numbers whose squares are added up in float32 */
static double sum_of_squares(const Gradients *g, long size, float times) {
    double total = 0;
    for (long begin = 0; begin < size; begin += PIECE) {
        long end = size - begin < PIECE ? size : begin + PIECE;
        vec squares = all(0);
        for (long i = begin; i < end; i += WIDTH) {
            vec gradient = gradient_part(g, i, end - i) * times;
            squares += gradient * gradient;
        }
        for (int u = 0; u < WIDTH; u++) total += squares[u];
    }
    return total;
}

/* What is written may be where it was read. */
static void update(const Adam *a, const Weight *w, float scale, const Gradients *g, const float *const *before,
                   float *const *after) {
    const float *weights = before[0], *momentum = before[g->count], *velocity = before[2 * g->count];
    float *new_weights = after[0], *new_momentum = after[g->count], *new_velocity = after[2 * g->count];
    float alpha = w->gates ? 0 : a->alpha, beta_2_rest = w->gates ? 0 : a->beta_2_rest; /* Muon needs no velocity */
    for (long i = 0; i < w->size; i += WIDTH) {
        long left = w->size - i;
        vec gradient = gradient_part(g, i, left) * a->share * scale;
        if (a->clip_value > 0 && !(a->clip_norm > 0)) gradient = within(gradient, a->clip_value);
        vec value = load_part(weights + i, left), m = load_part(momentum + i, left), v = load_part(velocity + i, left);
        m += (gradient - m) * a->beta_1_rest;
        v += (gradient * gradient - v) * beta_2_rest;
        value -= value * a->decay;
        store_part(new_momentum + i, m, left);
        store_part(new_velocity + i, v, left);
        store_part(new_weights + i, value - m * alpha / (root(v) + a->epsilon), left);
    }
}

/* Of `count` arrays of weights: gradients of each shard (shards * count), then weights, momentum and velocity (3 * count)
 * before and after the step, which may be the same arrays. */
EXPORT int adam(const Adam *a, long count, const Weight *weights, long threads, long shards, const float *const *gradients,
                const float *const *before, float *const *after) {
    double squares = 0;
    long num_groups = 0;
    for (long n = 0; n < count; n++) {
        if (a->clip_norm > 0) squares += sum_of_squares(&(Gradients){gradients + n, shards, count}, weights[n].size, a->share);
        num_groups += list_groups(weights + n, 0, NULL, NULL, NULL);
    }
    float norm = sqrt(squares), scale = 1;
    if (a->clip_norm > 0) scale = a->clip_norm * fminf(1 / norm, 1 / a->clip_norm) + (norm - norm); /* or NaN */
    Group groups[num_groups + 1], *end = groups;
    for (long n = 0; n < count; n++) {
        update(a, weights + n, scale, &(Gradients){gradients + n, shards, count}, before + n, after + n);
        end += list_groups(weights + n, a->orthogonal, after[count + n], after[n], end);
    }
    return orthogonal_steps(groups, end - groups, threads);
}
