/* Write text with a network: draw a token, read it through all layers, draw the next one. */
#include <math.h>

/* Draw an id from V logits, each with `mask` added, divided by the temperature; point: a uniform number of [0, 1). */
static long drawn(const float *logits, const float *mask, long V, double temperature, double point, double *sums) {
    double highest = -INFINITY, sum = 0;
    for (long v = 0; v < V; v++) {
        double logit = logits[v] + mask[v];
        if (logit > highest) highest = logit;
    }
    for (long v = 0; v < V; v++) sums[v] = sum += exp(((double)(logits[v] + mask[v]) - highest) / temperature);
    for (long v = 0; v < V - 1; v++)
        if (sums[v] > point * sum) return v;
    return V - 1;
}

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
    const Net *const *nets;
    float *logits;              /* (rows, V); of one network, its last outputs */
    const float *mask;          /* (V); what is added to logits */
    const double *temperatures; /* taken in turn, from the first */
    const Memory *memory;       /* whose probabilities are mixed with the networks', or NULL */
    int32_t *contexts;          /* of the memory, after what was read */
    const Cache *cache;         /* of the rows, which is mixed with both, or NULL */
    uint8_t *stopped;           /* (rows); the rows that draw `stop` from now on */
} Writer;

/* The rows of a thread, which draws `steps` ids of each from points (steps, rows). */
typedef struct {
    const Writer *w;
    long first, rows, steps;
    const double *points;
    int32_t *tokens; /* (rows), which the first layers read */
    int64_t *ids;    /* (steps, rows) */
} WriterRows;

static float *outputs_at(const WriterRows *r, const Net *net, long k) { return net->outputs[k] + r->first * net->dense[k]->H; }

/* Read a token of each row with one network, whose layers are those of these rows. */
static int read_with(const WriterRows *r, const Net *net, const Layer *layers) {
    int result = DONE;
    for (long k = 0; k < net->num_layers && result == DONE; k++) result = forward_rows(&layers[k]);
    const float *values = layers[net->num_layers - 1].h;
    for (long k = 0; k < net->num_dense && result == DONE; values = outputs_at(r, net, k++))
        result = dense_forward(net->dense[k], r->rows, values, outputs_at(r, net, k), k < net->num_dense - 1);
    return result;
}

/* Set the logits to the logarithms of the average of the networks' probabilities; `room` has V numbers. */
static void average_nets(const WriterRows *r, double *room) {
    const Writer *w = r->w;
    for (long b = 0; b < r->rows; b++) {
        for (long v = 0; v < w->V; v++) room[v] = 0;
        for (long n = 0; n < w->num_nets; n++) {
            const float *logits = outputs_at(r, w->nets[n], w->nets[n]->num_dense - 1) + b * w->V;
            double highest = -INFINITY, sum = 0;
            for (long v = 0; v < w->V; v++) highest = logits[v] > highest ? logits[v] : highest;
            for (long v = 0; v < w->V; v++) sum += exp(logits[v] - highest);
            for (long v = 0; v < w->V; v++) room[v] += exp(logits[v] - highest) / sum;
        }
        float *averaged = w->logits + (r->first + b) * w->V;
        for (long v = 0; v < w->V; v++) averaged[v] = log(room[v] / w->num_nets);
    }
}

static int read_tokens(const WriterRows *r, const Layer *layers, double *room) {
    const Writer *w = r->w;
    int result = DONE;
    for (long n = 0; n < w->num_nets && result == DONE; layers += w->nets[n++]->num_layers)
        result = read_with(r, w->nets[n], layers);
    if (w->num_nets > 1) average_nets(r, room);
    if (w->memory) {
        int32_t *contexts = w->contexts + r->first * w->memory->order;
        memory_read(w->memory, r->rows, r->tokens + r->first, contexts);
        memory_mix(w->memory, r->rows, contexts, w->logits + r->first * w->V, room);
    }
    if (w->cache) {
        cache_read(w->cache, r->first, r->rows, r->tokens + r->first);
        cache_mix(w->cache, r->first, r->rows, w->logits + r->first * w->V, room);
    }
    return result;
}

/* Draw an id of each row. Return how many rows have not stopped. */
static long draw_step(const WriterRows *r, long step, double *sums) {
    const Writer *w = r->w;
    const float *logits = w->logits + r->first * w->V;
    double temperature = w->temperatures[step % w->num_temperatures];
    long left = 0;
    for (long b = r->first; b < r->first + r->rows; b++, logits += w->V) {
        long at = step * w->rows + b;
        r->tokens[b] = w->stopped[b] ? w->stop : drawn(logits, w->mask, w->V, temperature, r->points[at], sums);
        r->ids[at] = r->tokens[b];
        left += !(w->stopped[b] = r->tokens[b] == w->stop);
    }
    return left;
}

/* Set the layers of all networks to those of a thread's rows. */
static void place_layers(const WriterRows *r, Layer *layers) {
    for (long n = 0; n < r->w->num_nets; n++) {
        const Net *net = r->w->nets[n];
        for (long k = 0; k < net->num_layers; k++) layers[k] = rows_of(net->layers[k], r->first, r->rows);
        layers->ids = r->tokens + r->first;
        layers += net->num_layers;
    }
}

static int write_rows(void *given) {
    const WriterRows *r = given;
    long count = 0;
    for (long n = 0; n < r->w->num_nets; n++) count += r->w->nets[n]->num_layers;
    Layer layers[count];
    place_layers(r, layers);
    double *sums = malloc(r->w->V * sizeof *sums);
    int result = sums ? DONE : NO_MEMORY;
    for (long step = 0; result == DONE && step < r->steps; step++)
        if (draw_step(r, step, sums)) result = read_tokens(r, layers, sums);
    free(sums);
    return result;
}

/* Draw `steps` ids of each row and read them. */
EXPORT int write_tokens(const Writer *w, long steps, const double *points, int32_t *tokens, int64_t *ids) {
    long count = w->threads < w->rows ? w->threads : w->rows;
    WriterRows parts[count];
    for (long k = 0; k < count; k++) {
        long first = w->rows * k / count;
        parts[k] = (WriterRows){w, first, w->rows * (k + 1) / count - first, steps, points, tokens, ids};
    }
    return run_jobs(write_rows, parts, sizeof *parts, count);
}
