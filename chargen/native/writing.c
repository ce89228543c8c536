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

/* A network of one row: layers, each reading the outputs of the one before, and Dense layers, the last giving the logits. */
typedef struct {
    long num_layers, num_dense, V, num_temperatures, stop; /* stop: the id that ends a text, or -1 */
    const Layer *const *layers;
    const Dense *const *dense;
    float *const *outputs;                                 /* of each Dense layer; the last are the logits */
    const float *mask;                                     /* (V); what is added to logits */
    const double *temperatures;                            /* taken in turn, from the first */
    const Memory *memory;                                  /* whose probabilities are mixed with the network's, or NULL */
    int32_t *contexts;                                     /* of the memory, after what was read */
} Writer;

static int read_token(const Writer *w, const int32_t *token, double *room) { /* layers[0]->ids points to the token, too */
    int result = DONE;
    for (long k = 0; k < w->num_layers && result == DONE; k++) result = layer_forward(w->layers[k]);
    const float *values = w->layers[w->num_layers - 1]->h;
    for (long k = 0; k < w->num_dense && result == DONE; values = w->outputs[k++])
        result = dense_forward(w->dense[k], 1, values, w->outputs[k], k < w->num_dense - 1);
    if (w->memory) {
        memory_read(w->memory, 1, token, w->contexts);
        memory_mix(w->memory, 1, w->contexts, w->outputs[w->num_dense - 1], room);
    }
    return result;
}

/* Draw up to `steps` ids and read each. Return how many were drawn, or -1 if there is no memory. */
EXPORT long write_tokens(const Writer *w, long steps, const double *points, int32_t *token, int64_t *ids) {
    double *sums = malloc(w->V * sizeof *sums);
    long count = 0;
    for (; sums && count < steps; count++) {
        double temperature = w->temperatures[count % w->num_temperatures];
        *token = ids[count] = drawn(w->outputs[w->num_dense - 1], w->mask, w->V, temperature, points[count], sums);
        if (*token == w->stop) {
            count++;
            break;
        }
        if (read_token(w, token, sums) != DONE) count = steps + 1;
    }
    free(sums);
    return sums && count <= steps ? count : -1;
}
