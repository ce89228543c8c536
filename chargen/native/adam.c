/* An optimizer step of Adam, AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) or Muon, for all weights, as Keras does. */

typedef struct {
    float share;                 /* what the summed gradients are multiplied by */
    float clip_norm, clip_value; /* of the whole gradient, or else of each entry; 0 does not clip */
    float alpha;                 /* the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t */
    float decay;                 /* the learning rate times the weight decay */
    float beta_1_rest, beta_2_rest, epsilon; /* 1 - beta_1, 1 - beta_2 */
    float orthogonal;            /* what orthogonal matrices of Muon are multiplied by */
} Adam;

#ifdef __AVX512F__
INLINE vec root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#else
INLINE vec root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#endif

/* A step is taken in pieces of the arrays of weights, which threads share. The squares of each piece are added up in float32,
 * and those of all pieces in their order, so that the step is the same on any number of threads. */
enum { PIECE = 4096, PIECES_OF_A_THREAD = 16 /* at least: a thread takes as long to start as a few pieces */ };

typedef struct {
    const Adam *a;
    long count, shards; /* of arrays of weights, and of gradients of each */
    const Weight *weights;
    const float *const *gradients, *const *before; /* as `adam` is given them */
    float *const *after;
    float scale;     /* what the gradients are multiplied by, to be clipped */
    double *squares; /* of each piece */
} Step;
typedef struct { const Step *step; long array, begin, end, piece; } Piece; /* of an array; `piece` counts those before it */
typedef void OnPiece(const Piece *);
typedef struct { const Step *step; OnPiece *work; long first, end; } Stretch; /* of pieces */

static long num_pieces(const Weight *w) { return (w->size + PIECE - 1) / PIECE; }

/* Write the sum of a piece's gradients, in the place of the new weights, and that of its squares. */
static void add_up(const Piece *p) {
    const Step *s = p->step;
    const float *const *from = s->gradients + p->array;
    float *to = s->after[p->array];
    vec squares = all(0);
    for (long i = p->begin; i < p->end; i += WIDTH) {
        vec sum = load_part(from[0] + i, p->end - i);
        for (long shard = 1; shard < s->shards; shard++) sum += load_part(from[shard * s->count] + i, p->end - i);
        sum *= s->a->share;
        squares += sum * sum;
        store_part(to + i, sum, p->end - i);
    }
    double total = 0;
    for (int u = 0; u < WIDTH; u++) total += squares[u];
    s->squares[p->piece] = total;
}

static void update(const Piece *p) {
    const Step *s = p->step;
    const Adam *a = s->a;
    const float *const *before = s->before + p->array;
    float *const *after = s->after + p->array;
    const float *weights = before[0], *momentum = before[s->count], *velocity = before[2 * s->count];
    float *new_weights = after[0], *new_momentum = after[s->count], *new_velocity = after[2 * s->count];
    int orthogonal = s->weights[p->array].gates; /* Muon needs no velocity */
    float alpha = orthogonal ? 0 : a->alpha, beta_2_rest = orthogonal ? 0 : a->beta_2_rest;
    for (long i = p->begin; i < p->end; i += WIDTH) {
        long left = p->end - i;
        vec gradient = load_part(new_weights + i, left) * s->scale;
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

static int work_on(void *given) {
    const Stretch *stretch = given;
    const Step *step = stretch->step;
    Piece piece = {.step = step};
    for (; piece.array < step->count && piece.piece < stretch->end; piece.array++) {
        long size = step->weights[piece.array].size;
        for (piece.begin = 0; piece.begin < size; piece.begin += PIECE, piece.piece++) {
            piece.end = size - piece.begin < PIECE ? size : piece.begin + PIECE;
            if (stretch->first <= piece.piece && piece.piece < stretch->end) stretch->work(&piece);
        }
    }
    return DONE;
}
static void share_pieces(const Step *step, OnPiece *work, long pieces, long threads) {
    long most = pieces / PIECES_OF_A_THREAD, count = threads < most ? threads : most > 1 ? most : 1;
    Stretch stretches[count];
    for (long k = 0; k < count; k++) stretches[k] = (Stretch){step, work, pieces * k / count, pieces * (k + 1) / count};
    run_jobs(work_on, stretches, sizeof *stretches, count, NULL);
}

/* Of `count` arrays of weights: gradients of each shard (shards * count), then weights, momentum and velocity (3 * count)
 * before and after the step. */
EXPORT int adam(const Adam *a, long count, const Weight *weights, long threads, long shards, const float *const *gradients,
                const float *const *before, float *const *after) {
    Step step = {a, count, shards, weights, gradients, before, after, 1, NULL};
    long pieces = 0, num_groups = 0;
    for (long n = 0; n < count; n++) {
        pieces += num_pieces(weights + n);
        num_groups += list_groups(weights + n, 0, NULL, NULL, NULL);
    }
    Space space = {NULL, 0};
    IN_NEW_MEMORY(space, step.squares = take(&space, 2 * pieces));
    share_pieces(&step, add_up, pieces, threads);
    double squares = 0;
    for (long piece = 0; piece < pieces; piece++) squares += step.squares[piece];
    free(space.start);
    float norm = sqrt(squares);
    if (a->clip_norm > 0) step.scale = a->clip_norm * fminf(1 / norm, 1 / a->clip_norm) + (norm - norm); /* or NaN */
    share_pieces(&step, update, pieces, threads);
    Group groups[num_groups + 1], *end = groups;
    for (long n = 0; n < count; n++) end += list_groups(weights + n, a->orthogonal, after[count + n], after[n], end);
    return orthogonal_steps(groups, end - groups, threads);
}
