/* Share the rows of a layer among threads. Each reads the same weights, and has gradients of them of its own that are added up
 * in the order of the threads, so that the results depend on the number of threads alone. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

/* Threads that do the same steps, each a part of every step, and meet after it. On a busy machine one of them does not run for
 * much of the time, and keeps the others waiting: then all of them leave, at the same step. Some waiting is no reason, because
 * on any machine a thread is stopped now and then. */
typedef struct { long count, arrived, meetings, began, waited; int late, leaving; } Team; /* began, waited: in nanoseconds */
#define SPINS 2000 /* some 50 microseconds, which do not count as waiting */
#define MOST_WAITING 8 /* an eighth of the time may be waiting, and so many nanoseconds more: */
#define PATIENCE 5000000

static long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}
static long waiting_allowed(const Team *team, long now) { return (now - team->began) / MOST_WAITING; }
static void note_wait(Team *team, long began) {
    long now = nanoseconds(), waited = __atomic_add_fetch(&team->waited, now - began, __ATOMIC_RELAXED);
    if (waited > PATIENCE + waiting_allowed(team, now)) __atomic_store_n(&team->late, 1, __ATOMIC_RELAXED);
}
static void wait_for_next(Team *team, long number) {
    long began = 0;
    for (long spins = 0; __atomic_load_n(&team->meetings, __ATOMIC_ACQUIRE) == number; spins++) {
        if (spins == SPINS) began = nanoseconds();
        if (spins < SPINS) _mm_pause();
        else sched_yield();
    }
    if (began) note_wait(team, began);
}
/* Return when all members have called this; NULL is a team of one. */
static void meet(Team *team) {
    if (!team || team->count == 1) return;
    long number = __atomic_load_n(&team->meetings, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) < team->count) {
        wait_for_next(team, number);
        return;
    }
    team->arrived = 0, team->leaving = __atomic_load_n(&team->late, __ATOMIC_RELAXED);
    __atomic_store_n(&team->meetings, number + 1, __ATOMIC_RELEASE);
}
static void join(const Team *team) { /* once it is known how many members there are */
    while (team && !__atomic_load_n(&team->count, __ATOMIC_ACQUIRE)) sched_yield();
}
static long share_of(const Team *team, long member, long blocks) { /* the first block of a member's */
    return blocks * member / (team ? team->count : 1);
}

typedef int Task(void *part);
typedef struct { Task *task; void *part; pthread_t thread; int started, result; } Job;

static void *run_job(void *given) {
    Job *job = given;
    job->result = job->task(job->part);
    return NULL;
}
/* Do a task on some parts of `size` bytes each: the first on this thread, and any that gets no thread, too. A team has as many
 * members as there are threads. */
static int run_jobs(Task *task, void *parts, size_t size, long count, Team *team) {
    Job jobs[count];
    for (long k = 0; k < count; k++) {
        jobs[k] = (Job){.task = task, .part = (char *)parts + k * size};
        if (k > 0) jobs[k].started = !pthread_create(&jobs[k].thread, NULL, run_job, &jobs[k]);
        if (k > 0 && !jobs[k].started && team) count = k;
    }
    if (team) __atomic_store_n(&team->count, count, __ATOMIC_RELEASE);
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
    int result = run_jobs(run_part, parts, sizeof *parts, count, NULL);
    for (long k = 1; result == DONE && k < count; k++) add_gradients(&parts[0].layer, &parts[k].layer);
    free(space.start);
    return result;
}

/* ---------- units of a layer ---------- */

/* Compute a step of a member's units, and read those of the others. All members write the same array of a middle state. */
static void step_together(Run *run, long t, Team *team) {
    begin_step(run, t);
    if (run->cell->middle) meet(team);
    finish_step(run, t);
    meet(team);
    take_others(run, t);
}

typedef struct { Run run; Space space; Team *team; long member, steps; } Member;

static void choose_units(Run *run, const Team *team, long member) {
    run->first = share_of(team, member, run->units), run->end = share_of(team, member + 1, run->units);
}
static int run_member(void *given) {
    Member *m = given;
    join(m->team);
    choose_units(&m->run, m->team, m->member);
    for (; m->steps < m->run.l->T && !m->team->leaving; m->steps++) {
        step_together(&m->run, m->steps, m->team);
    }
    finish_forward(&m->run);
    return DONE;
}
/* Do the first steps of a layer, all unless the threads have to wait for each other. */
static int forward_together(const Layer *l, long *steps) {
    Team team = {.began = nanoseconds()};
    Member members[l->together];
    int result = DONE;
    for (long k = 0; k < l->together; k++) members[k] = (Member){.team = &team, .member = k};
    for (long k = 0; k < l->together && result == DONE; k++) result = start_forward(&members[k].run, &members[k].space, l);
    for (long k = 1; result == DONE && k < l->together; k++) members[k].run.work.middle = members[0].run.work.middle;
    if (result == DONE) result = run_jobs(run_member, members, sizeof *members, l->together, &team);
    *steps = members[0].steps;
    for (long k = 0; k < l->together; k++) free(members[k].space.start);
    return result;
}
static Layer steps_after(const Layer *l, long t) { /* of rows that are all of this call's */
    Layer layer = *l;
    layer.T -= t;
    MOVE(ids, t * l->B), MOVE(x, t * l->B * l->D), MOVE(h, t * l->B * l->H);
    layer.h0 = layer.h - l->B * l->H, layer.c0 = l->last_cell;
    return layer;
}

/* Write h, last_cell and, unless it is NULL, kept. */
EXPORT int layer_forward(const Layer *l) {
    long done = 0;
    if (l->together > 1 && !l->kept && forward_together(l, &done) != DONE) return NO_MEMORY;
    if (!done) return share(l, forward_rows);
    Layer rest = steps_after(l, done);
    return rest.T ? share(&rest, forward_rows) : DONE;
}
/* Write the gradients of all that the layer has: table, or x, kernel and bias; recurrent kernel and bias; states. */
EXPORT int layer_backward(const Layer *l) { return share(l, backward_rows); }
