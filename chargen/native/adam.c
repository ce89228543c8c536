/* An optimizer step of Adam, AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) or Muon, for all weights, as Keras does. */

typedef struct {
    float share;                 /* what the summed gradients are multiplied by */
    float clip_norm, clip_value; /* of the whole gradient, or else of each entry; 0 does not clip */
    float alpha;                 /* the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t */
    float decay;                 /* the learning rate times the weight decay */
    float beta_1_rest, beta_2_rest, epsilon; /* 1 - beta_1, 1 - beta_2 */
    float orthogonal;            /* what orthogonal matrices of Muon are multiplied by */
} Adam;

/* What a step reads and writes: `count` arrays of weights. gradients of each shard (shards * count); weights, momentum and
 * velocity (3 * count) before and after the step, which may be the same arrays. */
typedef struct {
    const Adam *adam;
    long count, shards;
    const Weight *weights;
    const float *const *gradients, *const *before;
    float *const *after;
} Step;

/* A thread's part of every array; squares: the sum of those of its gradients; scale: what clipping multiplies them by. */
typedef struct { const Step *step; long number, count; double squares; float scale; } Share;
enum { WORTH_A_THREAD = 1 << 18 }; /* weights */

static Range vectors_of(const Share *share, long size) { /* of an array, none of them cut */
    Range vectors = part_of(share->number, share->count, (size + WIDTH - 1) / WIDTH);
    return (Range){vectors.first * WIDTH, vectors.end * WIDTH < size ? vectors.end * WIDTH : size};
}

static int add_squares(void *given) {
    Share *share = given;
    const Step *s = share->step;
    for (long n = 0; n < s->count; n++) {
        Range part = vectors_of(share, s->weights[n].size);
        Sum gradients = {s->gradients + n, s->shards, s->count};
        share->squares += sum_of_squares(&gradients, part.first, part.end, s->adam->share);
    }
    return DONE;
}

/* Update a part of array n. What is written may be where it was read. */
static void update(const Step *s, long n, Range part, float scale) {
    const Adam *a = s->adam;
    const Sum gradients = {s->gradients + n, s->shards, s->count};
    const float *weights = s->before[n], *momentum = s->before[n + s->count], *velocity = s->before[n + 2 * s->count];
    float *new_weights = s->after[n], *new_momentum = s->after[n + s->count], *new_velocity = s->after[n + 2 * s->count];
    int muon = s->weights[n].gates > 0; /* which needs no velocity */
    float alpha = muon ? 0 : a->alpha, beta_2_rest = muon ? 0 : a->beta_2_rest;
    for (long i = part.first; i < part.end; i += WIDTH) {
        long left = part.end - i;
        vec gradient = sum_part(&gradients, i, left) * a->share * scale;
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

static int update_share(void *given) {
    const Share *share = given;
    const Step *s = share->step;
    for (long n = 0; n < s->count; n++) update(s, n, vectors_of(share, s->weights[n].size), share->scale);
    return DONE;
}

static void clip(Share *shares, long count) {
    float clip_norm = shares[0].step->adam->clip_norm;
    double squares = 0;
    run_jobs(add_squares, shares, sizeof *shares, count, NULL);
    for (long k = 0; k < count; k++) squares += shares[k].squares;
    float norm = sqrt(squares);
    for (long k = 0; k < count; k++) shares[k].scale = clip_norm * fminf(1 / norm, 1 / clip_norm) + (norm - norm); /* or NaN */
}

/* Take a step, on so many threads at most. */
EXPORT int adam(const Step *s, long threads) {
    long size = 0, num_groups = 0;
    for (long n = 0; n < s->count; n++) {
        size += s->weights[n].size;
        num_groups += list_groups(s->weights + n, 0, NULL, NULL, NULL);
    }
    long count = size < WORTH_A_THREAD ? 1 : threads;
    Share shares[count];
    for (long k = 0; k < count; k++) shares[k] = (Share){.step = s, .number = k, .count = count, .scale = 1};
    if (s->adam->clip_norm > 0) clip(shares, count);
    run_jobs(update_share, shares, sizeof *shares, count, NULL);
    Group groups[num_groups + 1], *end = groups;
    for (long n = 0; n < s->count; n++)
        end += list_groups(s->weights + n, s->adam->orthogonal, s->after[s->count + n], s->after[n], end);
    return orthogonal_steps(groups, end - groups, threads);
}
