/* Share the rows of a layer among threads. Each reads the same weights, and has gradients of them of its own that are added up
 * in the order of the threads, so that the results depend on the number of threads alone. */
#include <pthread.h>

typedef int Pass(const Layer *);
typedef struct { Layer layer; Pass *pass; pthread_t thread; int started, result; } Part;

/* Whole words of rows, so that what the parts keep together is as large as what one thread keeps. */
static long num_parts(const Layer *l) {
    long words = l->B / PER_WORD;
    return l->threads < words ? l->threads : words;
}
static long first_row(const Layer *l, long part, long parts) {
    return part == parts ? l->B : l->B / PER_WORD * part / parts * PER_WORD;
}

#define MOVE(field, by) layer.field = l->field ? l->field + (by) : NULL
static Layer part_of(const Layer *l, long part, long parts) {
    long first = first_row(l, part, parts), states = first * l->H, inputs = first * l->D;
    Layer layer = *l;
    layer.B = first_row(l, part + 1, parts) - first;
    MOVE(ids, first), MOVE(x, inputs), MOVE(h0, states), MOVE(c0, states), MOVE(kept, first * kept_floats(l));
    MOVE(h, states), MOVE(last_cell, states), MOVE(d_h, states), MOVE(d_last_cell, states);
    MOVE(d_x, inputs), MOVE(d_h0, states), MOVE(d_c0, states);
    return layer;
}

/* The gradients of weights, which all parts have. */
enum { NUM_GRADIENTS = 5 };
typedef struct { float **values; long count; } Gradient;
static void list_gradients(Layer *l, Gradient *list) {
    long width = CELLS[l->cell].gates * l->H;
    Gradient all[NUM_GRADIENTS] = {{&l->d_table, l->V * width}, {&l->d_kernel, l->D * width}, {&l->d_bias, width},
                                   {&l->d_recurrent_kernel, l->H * width}, {&l->d_recurrent_bias, width}};
    memcpy(list, all, sizeof all);
}
static void take_gradients(Layer *l, Space *space) {
    Gradient list[NUM_GRADIENTS];
    list_gradients(l, list);
    for (int k = 0; k < NUM_GRADIENTS; k++)
        if (*list[k].values) *list[k].values = take(space, list[k].count);
}
static void add_gradients(Layer *to, Layer *from) {
    Gradient sums[NUM_GRADIENTS], terms[NUM_GRADIENTS];
    list_gradients(to, sums), list_gradients(from, terms);
    for (int k = 0; k < NUM_GRADIENTS; k++)
        if (*sums[k].values)
            for (long i = 0; i < sums[k].count; i++) (*sums[k].values)[i] += (*terms[k].values)[i];
}

static void *run_part(void *given) {
    Part *part = given;
    part->result = part->pass(&part->layer);
    return NULL;
}
/* Run a pass on all parts, the first on this thread, and any that gets no thread, too. */
static int run_parts(Part *parts, long count) {
    int result = DONE;
    for (long k = 1; k < count; k++) parts[k].started = !pthread_create(&parts[k].thread, NULL, run_part, &parts[k]);
    for (long k = 0; k < count; k++) {
        if (parts[k].started) pthread_join(parts[k].thread, NULL);
        else run_part(&parts[k]);
        if (parts[k].result != DONE) result = parts[k].result;
    }
    return result;
}

static void lay_out_parts(Part *parts, long count, Space *space, const Layer *l, Pass *pass) {
    for (long k = 0; k < count; k++) {
        parts[k] = (Part){.layer = part_of(l, k, count), .pass = pass};
        if (k > 0) take_gradients(&parts[k].layer, space);
    }
}
static int share(const Layer *l, Pass *pass) {
    long count = num_parts(l);
    if (count <= 1) return pass(l);
    Part parts[count];
    Space space = {NULL, 0};
    IN_NEW_MEMORY(space, lay_out_parts(parts, count, &space, l, pass));
    int result = run_parts(parts, count);
    for (long k = 1; result == DONE && k < count; k++) add_gradients(&parts[0].layer, &parts[k].layer);
    free(space.start);
    return result;
}

/* Write h, last_cell and, unless it is NULL, kept. */
EXPORT int layer_forward(const Layer *l) { return share(l, forward_rows); }
/* Write the gradients of all that the layer has: table, or x, kernel and bias; recurrent kernel and bias; states. */
EXPORT int layer_backward(const Layer *l) { return share(l, backward_rows); }
