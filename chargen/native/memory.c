/* Mix the predictions of a network with those of an n-gram memory; see chargen/memory/ngrams.py. */
#include <math.h>

typedef struct {
    long V, order, width;                /* width: numbers in a context: nodes, and a line's hash if lines are known */
    long nowhere, first_label;           /* nowhere: the number of a context that is not among the n-grams */
    long num_lines;
    double weight;
    const int32_t *firsts, *tokens;      /* of each context: its first child, in the order of their tokens */
    const float *kept, *rest;            /* of each node: its own probability, and what its children leave over */
    const uint32_t *lines;               /* keys, see chargen/memory/lines.py */
    const float *log_factors;            /* of lines that occur once, and more than once */
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

static uint32_t hash_after(uint32_t line, int begins, int32_t token) {
    if (begins) line = 2166136261u;
    return line ? (line ^ (uint32_t)token) * 16777619u : 0; /* 0: reading began within a line */
}

/* Return what is added to the logit of the end after a line. */
static float log_factor(const Memory *m, uint32_t line) {
    long low = 0, high = m->num_lines;
    while (low < high) {
        long middle = (low + high) / 2;
        if (m->lines[middle] >> 1 < line >> 1)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->num_lines && m->lines[low] >> 1 == line >> 1 ? m->log_factors[m->lines[low] & 1] : 0;
}

/* Read one id a row after contexts, (rows, width): the nodes of each length from 0 on, and the hash of the line. */
EXPORT void memory_read(const Memory *m, long rows, const int32_t *ids, int32_t *contexts) {
    for (long b = 0; b < rows; b++, contexts += m->width) {
        int begins = ids[b] == 0 || ids[b] >= m->first_label; /* a document */
        if (m->num_lines) contexts[m->order] = hash_after(contexts[m->order], begins, ids[b]);
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
    for (long b = 0; b < rows; b++, contexts += m->width, logits += m->V) {
        float highest = -INFINITY;
        double sum = 0;
        memory_probabilities(m, contexts, room);
        for (long v = 0; v < m->V; v++) highest = logits[v] > highest ? logits[v] : highest;
        for (long v = 0; v < m->V; v++) logits[v] = expf((logits[v] - highest) / 2), sum += logits[v] * logits[v];
        double share = (1 - m->weight) / sqrt(sum);
        for (long v = 0; v < m->V; v++) logits[v] = 2 * logf(share * logits[v] + m->weight * sqrt(room[v]));
        if (m->num_lines) logits[0] += log_factor(m, contexts[m->order]);
    }
}
