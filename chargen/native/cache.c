/* Mix predictions with those of n-grams that are counted while a text is read or written; see chargen/memory/cache.py. */
#include <math.h>
#include <string.h>

/* A node of a row's tree. Gram 0 is the root; as a child or in a context of one token or more, 0 means that there is none. */
typedef struct {
    int32_t child, next; /* its first child, and the next child of its parent */
    int32_t token, count, total, kinds; /* total, kinds: the sum of the counts of its children, and how many there are */
} Gram;

typedef struct {
    long V, order, shortest, first_label, window, capacity; /* capacity: ids of a row that there is room for */
    double weight, discount;
    const double *strengths;    /* of contexts, by their length */
    int32_t *used, *remembered; /* (rows): grams, ids */
    int32_t *contexts;          /* (rows, order): the grams that end here, by their length */
    int32_t *ids;               /* (rows, capacity) */
    Gram *grams;                /* (rows, capacity * order + 1) */
} Cache;

static Gram *grams_of(const Cache *c, long row) { return c->grams + row * (c->capacity * c->order + 1); }

static int32_t cached_child(Gram *grams, int32_t parent, int32_t token) {
    for (int32_t *link = &grams[parent].child; *link; link = &grams[*link].next)
        if (grams[*link].token == token) {
            int32_t found = *link; /* moved to the front, since frequent tokens come again */
            *link = grams[found].next;
            grams[found].next = grams[parent].child;
            return grams[parent].child = found;
        }
    return 0;
}

static void count_id(const Cache *c, long row, int32_t id) {
    Gram *grams = grams_of(c, row);
    int32_t *contexts = c->contexts + row * c->order;
    int begins = id == 0 || id >= c->first_label, new = 1; /* a document; no longer gram with this id was known */
    for (long length = c->order - 1; length >= 0; length--) {
        int32_t parent = contexts[length], child = 0;
        if (parent || !length) {
            int known = (child = cached_child(grams, parent, id)) != 0;
            if (!known) {
                child = c->used[row]++;
                grams[child] = (Gram){.next = grams[parent].child, .token = id};
                grams[parent].child = child;
                grams[parent].kinds++;
            }
            grams[child].count += new;
            grams[parent].total += new;
            new = !known;
        }
        if (length + 1 < c->order) contexts[length + 1] = begins && length ? 0 : child;
    }
}

static void forget_all(const Cache *c, long row) {
    *grams_of(c, row) = (Gram){0};
    c->used[row] = 1;
    memset(c->contexts + row * c->order, 0, c->order * sizeof(int32_t));
}

static void cache_id(const Cache *c, long row, int32_t id) {
    int32_t *ids = c->ids + row * c->capacity, half = c->window / 2;
    if (c->remembered[row] == c->window) { /* forget the older half */
        memmove(ids, ids + c->window - half, half * sizeof *ids);
        forget_all(c, row);
        for (long k = 0; k < half; k++) count_id(c, row, ids[k]);
        c->remembered[row] = half;
    }
    ids[c->remembered[row]++] = id;
    count_id(c, row, id);
}

/* Replace V logits by the logarithms of the mixture; `room` has V numbers. */
static void cache_mix_row(const Cache *c, long row, float *logits, double *room) {
    const Gram *grams = grams_of(c, row);
    const int32_t *contexts = c->contexts + row * c->order;
    float highest = -INFINITY;
    double sum = 0;
    for (long v = 0; v < c->V; v++) highest = logits[v] > highest ? logits[v] : highest;
    for (long v = 0; v < c->V; v++) sum += logits[v] = expf(logits[v] - highest);
    for (long v = 0; v < c->V; v++) room[v] = logits[v] / sum;
    for (long length = c->shortest; length < c->order; length++) {
        const Gram *context = grams + contexts[length];
        if (!contexts[length] || !context->total) continue;
        double strength = c->strengths[length], total = context->total + strength;
        double rest = (c->discount * context->kinds + strength) / total;
        for (long v = 0; v < c->V; v++) room[v] *= rest;
        for (int32_t k = context->child; k; k = grams[k].next) room[grams[k].token] += (grams[k].count - c->discount) / total;
    }
    for (long v = 0; v < c->V; v++) logits[v] = logf((1 - c->weight) / sum * logits[v] + c->weight * room[v]);
}

/* Read an id of each of some rows. */
EXPORT void cache_read(const Cache *c, long first, long rows, const int32_t *ids) {
    for (long b = 0; b < rows; b++) cache_id(c, first + b, ids[b]);
}

/* Mix the logits, (rows, V), of some rows. */
EXPORT void cache_mix(const Cache *c, long first, long rows, float *logits, double *room) {
    for (long b = 0; b < rows; b++, logits += c->V) cache_mix_row(c, first + b, logits, room);
}

/* Read ids with row 0, and mix the next logits, (N, V), after those that are `mixed`. */
EXPORT void cache_follow(const Cache *c, long count, const int32_t *ids, const uint8_t *mixed, float *logits, double *room) {
    for (long k = 0; k < count; k++) {
        cache_id(c, 0, ids[k]);
        if (!mixed[k]) continue;
        cache_mix_row(c, 0, logits, room);
        logits += c->V;
    }
}
