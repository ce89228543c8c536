/* The cells of the kernels.
 *
 * The pointwise part of a cell, for n numbers: some rows of a block of units. `before` and `after` are the state that is kept
 * in float32 from step to step: an LSTM's cell state, or the hidden state of the others; they may be the same array. The sums
 * become the gates, in place.
 * Backward, `d_carried` holds the gradient of `after`, without what comes by `d_hidden`, and then that of `before`. */
#define FORWARD(name) void name(long n, float *gates, const float *before, float *after, float *hidden)
#define BACKWARD(name) \
    void name(long n, const float *gates, const float *before, const float *after, const float *d_hidden, float *d_carried, \
              float *d_sums)
/* Some cells have a middle state, which follows from the sums and `before`, and adds to sums by products of its own. */
#define MIDDLE(name) void name(long n, float *gates, const float *before, float *middle)
#define MIDDLE_BACKWARD(name) \
    void name(long n, const float *gates, const float *before, const float *d_middle, float *d_carried, float *d_sums)

typedef struct {
    long slots;     /* what a unit adds up */
    long gates;     /* of a kernel; the first so many slots are what the inputs add to */
    long first;     /* slot of those that the hidden state adds to */
    long recurrent; /* how many of them */
    long middle;    /* the first so many slots are what a middle state adds to; 0 without one */
    long gate[6];   /* which of a kernel's gates, in the order of the layer's weights, a slot belongs to */
    int has_cell;   /* a state beside the hidden one */
    FORWARD((*forward));
    BACKWARD((*backward)); /* with a middle state, of the slots that its own backward leaves out */
    MIDDLE((*to_middle));
    MIDDLE_BACKWARD((*middle_backward)); /* of the last slots, from `early` on */
    long early;
} Cell;

#define EACH(u, n) for (long u = 0; u < (n); u += WIDTH)

static FORWARD(tanh_forward) {
    EACH(u, n) store(after + u, hyperbolic_tangent(load(gates + u)));
}
static BACKWARD(tanh_backward) {
    EACH(u, n) {
        vec h = load(after + u);
        store(d_sums + u, load(d_hidden + u) * (1 - h * h));
        store(d_carried + u, all(0));
    }
}

static FORWARD(relu_forward) {
    EACH(u, n) store(after + u, positive(load(gates + u)));
}
static BACKWARD(relu_backward) {
    EACH(u, n) {
        store(d_sums + u, (vec)((ints)load(d_hidden + u) & (load(after + u) > 0)));
        store(d_carried + u, all(0));
    }
}

static FORWARD(lstm_forward) {
    EACH(u, n) {
        float *at = gates + u;
        vec i = sigmoid(load(at)), f = sigmoid(load(at + n)), o = sigmoid(load(at + 3 * n));
        vec g = hyperbolic_tangent(load(at + 2 * n));
        vec c = f * load(before + u) + i * g;
        store(at, i), store(at + n, f), store(at + 2 * n, g), store(at + 3 * n, o);
        store(after + u, c);
        store(hidden + u, o * hyperbolic_tangent(c));
    }
}
static BACKWARD(lstm_backward) {
    EACH(u, n) {
        const float *at = gates + u;
        float *to = d_sums + u;
        vec i = load(at), f = load(at + n), g = load(at + 2 * n), o = load(at + 3 * n);
        vec dh = load(d_hidden + u), tanh_c = hyperbolic_tangent(load(after + u));
        vec dc = load(d_carried + u) + dh * o * (1 - tanh_c * tanh_c);
        store(to, dc * g * (i - i * i));
        store(to + n, dc * load(before + u) * (f - f * f));
        store(to + 2 * n, dc * i * (1 - g * g));
        store(to + 3 * n, dh * tanh_c * (o - o * o));
        store(d_carried + u, dc * f);
    }
}

/* A GRU's slots: candidate, update, reset and, where the reset gate comes after the product, that product. */
static FORWARD(gru_forward) {
    EACH(u, n) {
        float *at = gates + u;
        vec z = sigmoid(load(at + n)), r = sigmoid(load(at + 2 * n));
        vec c = hyperbolic_tangent(load(at) + r * load(at + 3 * n));
        store(at, c), store(at + n, z), store(at + 2 * n, r);
        store(after + u, c + z * (load(before + u) - c));
    }
}
static BACKWARD(gru_backward) {
    EACH(u, n) {
        const float *at = gates + u;
        float *to = d_sums + u;
        vec c = load(at), z = load(at + n), r = load(at + 2 * n), dh = load(d_hidden + u);
        vec dc = dh * (1 - z) * (1 - c * c);
        store(to, dc);
        store(to + n, dh * (load(before + u) - c) * (z - z * z));
        store(to + 2 * n, dc * load(at + 3 * n) * (r - r * r));
        store(to + 3 * n, dc * r);
        store(d_carried + u, dh * z);
    }
}

static MIDDLE(gru_reset) {
    EACH(u, n) {
        vec r = sigmoid(load(gates + 2 * n + u));
        store(gates + n + u, sigmoid(load(gates + n + u)));
        store(gates + 2 * n + u, r);
        store(middle + u, r * load(before + u));
    }
}
static FORWARD(gru_after_reset) {
    EACH(u, n) {
        vec c = hyperbolic_tangent(load(gates + u)), z = load(gates + n + u);
        store(gates + u, c);
        store(after + u, c + z * (load(before + u) - c));
    }
}
static BACKWARD(gru_backward_to_reset) {
    EACH(u, n) {
        vec c = load(gates + u), z = load(gates + n + u), dh = load(d_hidden + u);
        store(d_sums + u, dh * (1 - z) * (1 - c * c));
        store(d_sums + n + u, dh * (load(before + u) - c) * (z - z * z));
        store(d_carried + u, dh * z);
    }
}
static MIDDLE_BACKWARD(gru_reset_backward) {
    EACH(u, n) {
        vec r = load(gates + 2 * n + u), d = load(d_middle + u);
        store(d_sums + 2 * n + u, d * load(before + u) * (r - r * r));
        store(d_carried + u, load(d_carried + u) + d * r);
    }
}

/* A multiplicative LSTM's slots: those of an LSTM, and the two factors of the middle state: of the inputs, of the state. */
static MIDDLE(mlstm_product) {
    EACH(u, n) store(middle + u, load(gates + 4 * n + u) * load(gates + 5 * n + u));
}
static MIDDLE_BACKWARD(mlstm_product_backward) {
    EACH(u, n) {
        vec d = load(d_middle + u);
        store(d_sums + 4 * n + u, d * load(gates + 5 * n + u));
        store(d_sums + 5 * n + u, d * load(gates + 4 * n + u));
    }
}

static const Cell CELLS[] = {
    {1, 1, 0, 1, 0, {0}, 0, tanh_forward, tanh_backward, NULL, NULL, 1},
    {1, 1, 0, 1, 0, {0}, 0, relu_forward, relu_backward, NULL, NULL, 1},
    {4, 4, 0, 4, 0, {0, 1, 2, 3}, 1, lstm_forward, lstm_backward, NULL, NULL, 4},
    {4, 3, 1, 3, 0, {2, 0, 1, 2}, 0, gru_forward, gru_backward, NULL, NULL, 4},
    {3, 3, 1, 2, 1, {2, 0, 1}, 0, gru_after_reset, gru_backward_to_reset, gru_reset, gru_reset_backward, 2},
    {6, 5, 5, 1, 4, {0, 1, 2, 3, 4, 4}, 1, lstm_forward, lstm_backward, mlstm_product, mlstm_product_backward, 4},
};

/* Whether the hidden state, or a middle state, adds to a slot. */
INLINE int joins(const Cell *cell, long slot) { return slot >= cell->first && slot < cell->first + cell->recurrent; }
INLINE int joins_middle(const Cell *cell, long slot) { return slot < cell->middle; }
