/* Write text with a network: draw a token, read it through all layers, draw the next one.
 *
 * Several threads share the rows of many texts. Few texts read all weights for each token, which takes longer than computing
 * with them; there, the threads share the units of each step, so that each reads its own part of the weights, and they meet
 * after each layer. */
#include <math.h>

/* ---------- a draw ---------- */

#define PAIRED (WIDTH / 2)
#define PADDED(size) (((size) + WIDTH - 1) / WIDTH * WIDTH)
typedef double doubles __attribute__((vector_size(4 * WIDTH)));
typedef uint64_t longs __attribute__((vector_size(4 * WIDTH)));
typedef float half __attribute__((vector_size(2 * WIDTH), aligned(4), may_alias));

/* e to the x of x <= 0; relative error 3e-16, and 0 below -708. */
INLINE doubles exponential(doubles x) {
    static const double TERMS[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                                   1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2,     1.0, 1.0};
    doubles sum = x * 1.4426950408889634 + 0x1.8p52, n = sum - 0x1.8p52; /* n / log2(e) is nearest to x */
    doubles rest = x - n * 0x1.62e42fefa38p-1 - n * 0x1.ef35793c7673p-45;
    doubles p = rest * (1.0 / 6227020800) + TERMS[0];
    UNROLL for (int k = 1; k < (int)(sizeof TERMS / sizeof *TERMS); k++) p = p * rest + TERMS[k];
    longs power = ((longs)sum + 1023) << 52;
    return (doubles)((longs)(p * (doubles)power) & (longs)(x >= -708));
}

/* Draw an id from V logits, each with `mask` added, divided by the temperature; point: a uniform number of [0, 1). The mask has
 * minus infinity from V to PADDED(V); `logs` and `sums` are room for as many numbers. */
static long drawn(const float *logits, const float *mask, long V, double temperature, double point, float *logs, double *sums) {
    vec most = all(-INFINITY);
    EACH(v, V) {
        vec log = load_part(logits + v, V - v) + load(mask + v);
        most = larger(log, most);
        store(logs + v, log);
    }
    double highest = -INFINITY, sum = 0;
    for (int lane = 0; lane < WIDTH; lane++) highest = most[lane] > highest ? most[lane] : highest;
    for (long v = 0; v < PADDED(V); v += PAIRED) {
        doubles log = __builtin_convertvector(*(const half *)(logs + v), doubles);
        *(doubles *)(sums + v) = exponential((log - highest) / temperature);
    }
    for (long v = 0; v < V; v++) sums[v] = sum += sums[v];
    for (long v = 0; v < V - 1; v++)
        if (sums[v] > point * sum) return v;
    return V - 1;
}

/* ---------- networks ---------- */

/* A network of some rows: layers, each reading the outputs of the one before, and Dense layers, the last giving the logits. */
typedef struct {
    long num_layers, num_dense;
    const Layer *const *layers;
    const Dense *const *dense;
    float *const *outputs; /* of each Dense layer, (rows, H) */
} Net;

/* One or several networks that draw together, from the average of their probabilities. */
typedef struct {
    long rows, threads, num_nets, V, num_temperatures, stop; /* stop: the id that ends a row, or -1 */
    long together; /* how many threads may share the units of a step, unless they have to wait for each other too long */
    const Net *const *nets;
    float *logits;              /* (rows, V); of one network, its last outputs */
    const float *mask;          /* (V); what is added to logits */
    const double *temperatures; /* taken in turn, from the first */
    const Memory *memory;       /* whose probabilities are mixed with the networks', or NULL */
    int32_t *contexts;          /* of the memory, after what was read */
    const Cache *cache;         /* of the rows, which is mixed with both, or NULL */
    uint8_t *stopped;           /* (rows); the rows that draw `stop` from now on */
} Writer;

/* What a thread does: draw ids of some rows from points (steps, rows) and read them, with the units of its member of a team. */
typedef struct {
    const Writer *w;
    Team *team; /* NULL if no other thread has these rows */
    long member, first, rows, step, steps;
    const double *points;
    int64_t *ids; /* (steps, rows) */
    long num_layers; /* of all networks */
    Layer *layers;
    Run *runs;
    Space *spaces, own;
    int32_t *tokens;  /* (rows); what the first layers read */
    uint8_t *stopped; /* (rows) */
    word *left;
    float *mask, *logs, *dense_sums;
    double *sums;
} Hand;

static float *outputs_at(const Hand *h, const Net *net, long k) { return net->outputs[k] + h->first * net->dense[k]->H; }
static float *logits_of(const Hand *h) { return h->w->logits + h->first * h->w->V; }

static void lay_out_hand(Hand *h, Space *space) {
    const Writer *w = h->w;
    long widest = 0;
    for (long n = h->num_layers = 0; n < w->num_nets; h->num_layers += w->nets[n++]->num_layers)
        for (long k = 0; k < w->nets[n]->num_dense; k++)
            widest = w->nets[n]->dense[k]->D > widest ? w->nets[n]->dense[k]->D : widest;
    h->sums = take(space, 2 * PADDED(w->V));
    h->logs = take(space, PADDED(w->V));
    h->mask = take(space, PADDED(w->V));
    h->dense_sums = take(space, h->rows * BLOCK);
    h->left = take(space, BLOCKS(widest) * EVEN(h->rows) * WORDS);
    h->tokens = take(space, h->rows);
    h->stopped = take(space, h->rows);
    h->layers = take(space, h->num_layers * sizeof *h->layers / 4);
    h->runs = take(space, h->num_layers * sizeof *h->runs / 4);
    h->spaces = take(space, h->num_layers * sizeof *h->spaces / 4);
}

/* Set the layers of all networks to those of the hand's rows. */
static void place_layers(const Hand *h) {
    Layer *layers = h->layers;
    for (long n = 0; n < h->w->num_nets; n++) {
        const Net *net = h->w->nets[n];
        for (long k = 0; k < net->num_layers; k++) layers[k] = rows_of(net->layers[k], h->first, h->rows);
        layers->ids = h->tokens;
        layers += net->num_layers;
    }
}
static int start_hand(Hand *h, const Hand *leader) { /* of a team, or NULL */
    const Writer *w = h->w;
    int result = DONE;
    IN_NEW_MEMORY(h->own, lay_out_hand(h, &h->own));
    memset(h->spaces, 0, h->num_layers * sizeof *h->spaces);
    memset(h->tokens, 0, h->rows * sizeof *h->tokens); /* no row ends, whatever is drawn later */
    memcpy(h->stopped, w->stopped + h->first, h->rows);
    for (long v = 0; v < PADDED(w->V); v++) h->mask[v] = v < w->V ? w->mask[v] : -INFINITY;
    place_layers(h);
    for (long k = 0; k < h->num_layers && result == DONE; k++)
        result = start_forward(&h->runs[k], &h->spaces[k], &h->layers[k], leader ? &leader->runs[k] : NULL);
    return result;
}
static void free_hand(Hand *h) {
    for (long k = 0; h->own.start && k < h->num_layers; k++) free(h->spaces[k].start);
    free(h->own.start);
}

/* Draw an id of each row. Return how many rows have not stopped. */
static long draw_step(Hand *h) {
    const Writer *w = h->w;
    const float *logits = logits_of(h);
    double temperature = w->temperatures[h->step % w->num_temperatures];
    const double *points = h->points + h->step * w->rows + h->first;
    long left = 0;
    for (long b = 0; b < h->rows; b++, logits += w->V) {
        h->tokens[b] = h->stopped[b] ? w->stop : drawn(logits, h->mask, w->V, temperature, points[b], h->logs, h->sums);
        left += !(h->stopped[b] = h->tokens[b] == w->stop);
        if (h->member == 0) h->ids[h->step * w->rows + h->first + b] = h->tokens[b];
    }
    h->step++;
    return left;
}

/* Compute a step of a layer, and take the other members' units of its output as the next step's input. */
static void step_layer(const Hand *h, Run *run) {
    step_together(run, 0, h->team);
    word *before = run->work.left[0];
    run->work.left[0] = run->work.left[1], run->work.left[1] = before;
}

static void read_with(const Hand *h, const Net *net, Run *runs) {
    for (long k = 0; k < net->num_layers; k++) step_layer(h, &runs[k]);
    const float *values = runs[net->num_layers - 1].l->h;
    for (long k = 0; k < net->num_dense; values = outputs_at(h, net, k++)) {
        const Dense *d = net->dense[k];
        long first = share_of(h->team, h->member, BLOCKS(d->H)), end = share_of(h->team, h->member + 1, BLOCKS(d->H));
        spread_all(values, d->D, h->rows, h->left, NULL);
        dense_blocks(d, first, end, h->rows, h->left, k < net->num_dense - 1, h->dense_sums, outputs_at(h, net, k));
        meet(h->team);
    }
}

/* Set the logits to the logarithms of the average of the networks' probabilities. */
static void average_nets(const Hand *h) {
    const Writer *w = h->w;
    double *room = h->sums;
    for (long b = 0; b < h->rows; b++) {
        for (long v = 0; v < w->V; v++) room[v] = 0;
        for (long n = 0; n < w->num_nets; n++) {
            const float *logits = outputs_at(h, w->nets[n], w->nets[n]->num_dense - 1) + b * w->V;
            double highest = -INFINITY, sum = 0;
            for (long v = 0; v < w->V; v++) highest = logits[v] > highest ? logits[v] : highest;
            for (long v = 0; v < w->V; v++) sum += exp(logits[v] - highest);
            for (long v = 0; v < w->V; v++) room[v] += exp(logits[v] - highest) / sum;
        }
        float *averaged = logits_of(h) + b * w->V;
        for (long v = 0; v < w->V; v++) averaged[v] = log(room[v] / w->num_nets);
    }
}
static void mix(const Hand *h) {
    const Writer *w = h->w;
    if (w->num_nets > 1) average_nets(h);
    if (w->memory) {
        int32_t *contexts = w->contexts + h->first * w->memory->width;
        memory_read(w->memory, h->rows, h->tokens, contexts);
        memory_mix(w->memory, h->rows, contexts, logits_of(h), h->sums);
    }
    if (w->cache) {
        cache_read(w->cache, h->first, h->rows, h->tokens);
        cache_mix(w->cache, h->first, h->rows, logits_of(h), h->sums);
    }
}

static void read_tokens(const Hand *h) {
    const Writer *w = h->w;
    Run *runs = h->runs;
    for (long n = 0; n < w->num_nets; runs += w->nets[n++]->num_layers) read_with(h, w->nets[n], runs);
    if (w->num_nets == 1 && !w->memory && !w->cache) return;
    if (h->member == 0) mix(h); /* in arrays that all members share */
    meet(h->team);
}

static int write_hand(void *given) {
    Hand *h = given;
    join(h->team);
    for (long k = 0; k < h->num_layers; k++) {
        choose_units(&h->runs[k], h->team, h->member);
        begin_forward(&h->runs[k]);
    }
    meet(h->team); /* all have read the states, which a step overwrites */
    while (h->step < h->steps && !(h->team && h->team->leaving))
        if (draw_step(h)) read_tokens(h);
    for (long k = 0; k < h->num_layers; k++) finish_forward(&h->runs[k]);
    if (h->member == 0) memcpy(h->w->stopped + h->first, h->stopped, h->rows);
    return DONE;
}

/* Do the steps that are left of a hand's with so many threads, which share its rows or, as a team, its units. */
static int write_with(long count, Team *team, Hand *whole) {
    Hand hands[count];
    int result = DONE;
    for (long k = 0; k < count; k++) {
        hands[k] = *whole;
        hands[k].team = team, hands[k].member = team ? k : 0;
        if (!team) hands[k].first = whole->rows * k / count, hands[k].rows = whole->rows * (k + 1) / count - hands[k].first;
    }
    for (long k = 0; k < count && result == DONE; k++) result = start_hand(&hands[k], team && k > 0 ? hands : NULL);
    if (result == DONE) result = run_jobs(write_hand, hands, sizeof *hands, count, team);
    for (long k = 0; k < count; k++) {
        whole->step = hands[k].step; /* all have done as many */
        free_hand(&hands[k]);
    }
    return result;
}

/* Draw `steps` ids of each row and read them. */
EXPORT int write_tokens(Writer *w, long steps, const double *points, int64_t *ids) {
    Hand whole = {.w = w, .rows = w->rows, .steps = steps, .points = points, .ids = ids};
    Team team = {};
    int result = w->together > 1 && worth_meeting() ? write_with(w->together, &team, &whole) : DONE;
    if (result == DONE && whole.step < steps) result = write_with(w->threads < w->rows ? w->threads : w->rows, NULL, &whole);
    return result;
}
