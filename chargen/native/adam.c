/* An optimizer step of Adam, AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) or Muon, for all weights, as Keras does. */

typedef struct {
    float share;                 /* what the summed gradients are multiplied by */
    float clip_norm, clip_value; /* of the whole gradient, or else of each entry; 0 does not clip */
    float alpha;                 /* the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t */
    float decay;                 /* the learning rate times the weight decay */
    float beta_1_rest, beta_2_rest, epsilon; /* 1 - beta_1, 1 - beta_2 */
    float orthogonal;            /* what orthogonal matrices of Muon are multiplied by */
} Adam;

/* What is written may be where it was read. */
static void update(const Adam *a, const Weight *w, float scale, const Sum *gradients, const float *const *before,
                   float *const *after, long next) {
    const float *weights = before[0], *momentum = before[next], *velocity = before[2 * next];
    float *new_weights = after[0], *new_momentum = after[next], *new_velocity = after[2 * next];
    float alpha = w->gates ? 0 : a->alpha, beta_2_rest = w->gates ? 0 : a->beta_2_rest; /* Muon needs no velocity */
    for (long i = 0; i < w->size; i += WIDTH) {
        long left = w->size - i;
        vec gradient = sum_part(gradients, i, left) * a->share * scale;
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
        if (a->clip_norm > 0) squares += sum_of_squares(&(Sum){gradients + n, shards, count}, weights[n].size, a->share);
        num_groups += list_groups(weights + n, 0, NULL, NULL, NULL);
    }
    float norm = sqrt(squares), scale = 1;
    if (a->clip_norm > 0) scale = a->clip_norm * fminf(1 / norm, 1 / a->clip_norm) + (norm - norm); /* or NaN */
    Group groups[num_groups + 1], *end = groups;
    for (long n = 0; n < count; n++) {
        update(a, weights + n, scale, &(Sum){gradients + n, shards, count}, before + n, after + n, count);
        end += list_groups(weights + n, a->orthogonal, after[count + n], after[n], end);
    }
    return orthogonal_steps(groups, end - groups, threads);
}
