/* Mix the predictions of a network with those of an n-gram memory; see chargen/memory/ngrams.py. */
#include <math.h>

typedef struct {
    long V, order, nowhere, first_label; /* nowhere: the number of a context that is not among the n-grams */
    double weight;
    const int32_t *firsts, *tokens;      /* of each context: its first child, in the order of their tokens */
    const float *kept, *rest;            /* of each node: its own probability, and what its children leave over */
} Memory;

static int32_t child_of(const Memory *m, int32_t node, int32_t token) {
    long low = m->firsts[node], end = m->firsts[node + 1], high = end;
    while (low < high) {
        long middle = (low + high) / 2;
        if (m->tokens[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && m->tokens[low] == token ? low : m->nowhere;
}

/* Read one id a row after contexts, (rows, order): of each length from 0 on. */
EXPORT void memory_read(const Memory *m, long rows, const int32_t *ids, int32_t *contexts) {
    for (long b = 0; b < rows; b++, contexts += m->order) {
        int begins = ids[b] == 0 || ids[b] >= m->first_label; /* a document */
        for (long length = m->order - 1; length > 0; length--)
            contexts[length] = begins && length > 1 ? m->nowhere : child_of(m, contexts[length - 1], ids[b]);
    }
}

static void memory_probabilities(const Memory *m, const int32_t *contexts, double *found) {
    double left = 1; /* what longer contexts leave over */
    memset(found, 0, m->V * sizeof *found);
    for (long length = m->order - 1; length > 0; length--) {
        int32_t node = contexts[length];
        for (long k = m->firsts[node]; k < m->firsts[node + 1]; k++) found[m->tokens[k]] += left * m->kept[k];
        left *= m->rest[node];
    }
    for (long v = 0; v < m->V; v++) found[v] += left * (m->kept[1 + v] + (double)m->rest[0] / m->V);
}

/* Replace logits, (rows, V), by those of the mixture, in which square roots are averaged; `room` has V numbers. */
EXPORT void memory_mix(const Memory *m, long rows, const int32_t *contexts, float *logits, double *room) {
    for (long b = 0; b < rows; b++, contexts += m->order, logits += m->V) {
        float highest = -INFINITY;
        double sum = 0;
        memory_probabilities(m, contexts, room);
        for (long v = 0; v < m->V; v++) highest = logits[v] > highest ? logits[v] : highest;
        for (long v = 0; v < m->V; v++) logits[v] = expf((logits[v] - highest) / 2), sum += logits[v] * logits[v];
        double share = (1 - m->weight) / sqrt(sum);
        for (long v = 0; v < m->V; v++) logits[v] = 2 * logf(share * logits[v] + m->weight * sqrt(room[v]));
    }
}
