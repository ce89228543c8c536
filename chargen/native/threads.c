/* Share the rows of a layer among threads. Each reads the same weights, and has gradients of them of its own that are added up
 * in the order of the threads, so that the results depend on the number of threads alone. */
#include <pthread.h>

typedef int Task(void *part);
typedef struct { Task *task; void *part; pthread_t thread; int started, result; } Job;

static void *run_job(void *given) {
    Job *job = given;
    job->result = job->task(job->part);
    return NULL;
}
/* Do a task on some parts of `size` bytes each: the first on this thread, and any that gets no thread, too. */
static int run_jobs(Task *task, void *parts, size_t size, long count) {
    Job jobs[count];
    for (long k = 0; k < count; k++) {
        jobs[k] = (Job){.task = task, .part = (char *)parts + k * size};
        if (k > 0) jobs[k].started = !pthread_create(&jobs[k].thread, NULL, run_job, &jobs[k]);
    }
    int result = DONE;
    for (long k = 0; k < count; k++) {
        if (jobs[k].started) pthread_join(jobs[k].thread, NULL);
        else run_job(&jobs[k]);
        if (jobs[k].result != DONE) result = jobs[k].result;
    }
    return result;
}

/* ---------- rows of a layer ---------- */

/* Whole words of rows, so that what the parts keep together is as large as what one thread keeps. */
static long num_parts(const Layer *l) {
    long words = l->B / PER_WORD;
    return l->threads < words ? l->threads : words;
}
static long first_row(const Layer *l, long part, long parts) {
    return part == parts ? l->B : l->B / PER_WORD * part / parts * PER_WORD;
}

#define MOVE(field, by) layer.field = l->field ? l->field + (by) : NULL
static Layer rows_of(const Layer *l, long first, long count) { /* on one thread */
    long states = first * l->H, inputs = first * l->D;
    Layer layer = *l;
    layer.B = count, layer.threads = 1;
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

typedef int Pass(const Layer *);
typedef struct { Layer layer; Pass *pass; } Part;

static int run_part(void *given) {
    const Part *part = given;
    return part->pass(&part->layer);
}
static void lay_out_parts(Part *parts, long count, Space *space, const Layer *l, Pass *pass) {
    for (long k = 0; k < count; k++) {
        long first = first_row(l, k, count);
        parts[k] = (Part){rows_of(l, first, first_row(l, k + 1, count) - first), pass};
        if (k > 0) take_gradients(&parts[k].layer, space);
    }
}
static int share(const Layer *l, Pass *pass) {
    long count = num_parts(l);
    if (count <= 1) return pass(l);
    Part parts[count];
    Space space = {NULL, 0};
    IN_NEW_MEMORY(space, lay_out_parts(parts, count, &space, l, pass));
    int result = run_jobs(run_part, parts, sizeof *parts, count);
    for (long k = 1; result == DONE && k < count; k++) add_gradients(&parts[0].layer, &parts[k].layer);
    free(space.start);
    return result;
}

/* Write h, last_cell and, unless it is NULL, kept. */
EXPORT int layer_forward(const Layer *l) { return share(l, forward_rows); }
/* Write the gradients of all that the layer has: table, or x, kernel and bias; recurrent kernel and bias; states. */
EXPORT int layer_backward(const Layer *l) { return share(l, backward_rows); }
