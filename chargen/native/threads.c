/* Share a layer among threads: its rows, or the units of each step. With its rows, each thread reads all weights, and has
 * gradients of them of its own, which are added up in the order of the threads: the results depend on the number of threads
 * alone. With its units, each thread reads its part of the weights for all rows; the results are those of one thread. */

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
    MOVE(ids, first), MOVE(x, inputs), MOVE(h0, states), MOVE(c0, states), MOVE(mask, states);
    MOVE(kept, first * kept_floats(l));
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
typedef int Pass(const Layer *);
static int forward_rows(const Layer *l), backward_rows(const Layer *l);
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
/* A thread that adds up a part of the gradients of all parts, into those of the first. */
typedef struct { Part *parts; long count, number; } Adder;
static int add_gradients(void *given) {
    const Adder *a = given;
    Gradient to[NUM_GRADIENTS], from[NUM_GRADIENTS];
    list_gradients(&a->parts[0].layer, to);
    for (long k = 1; k < a->count; k++) {
        list_gradients(&a->parts[k].layer, from);
        for (int n = 0; n < NUM_GRADIENTS; n++) {
            Range part = part_of(a->number, a->count, to[n].count);
            for (long i = part.first; *to[n].values && i < part.end; i++) (*to[n].values)[i] += (*from[n].values)[i];
        }
    }
    return DONE;
}
static int share(const Layer *l, Pass *pass) {
    long count = num_parts(l);
    if (count <= 1) return pass(l);
    Part parts[count];
    Adder adders[count];
    for (long k = 0; k < count; k++) adders[k] = (Adder){parts, count, k};
    Space space = {NULL, 0};
    IN_NEW_MEMORY(space, lay_out_parts(parts, count, &space, l, pass));
    int result = run_jobs(run_part, parts, sizeof *parts, count, NULL);
    if (result == DONE && pass == backward_rows) run_jobs(add_gradients, adders, sizeof *adders, count, NULL);
    free(space.start);
    return result;
}

/* ---------- units of a layer ---------- */

static void choose_units(Run *run, const Team *team, long member) {
    Range units = range_of(team, member, run->units), inputs = range_of(team, member, run->inputs);
    run->first = units.first, run->end = units.end;
    run->first_input = inputs.first, run->end_input = inputs.end;
}
static void choose_all(Run *run) { choose_units(run, NULL, 0); }

/* Compute a step of a member's units, and read those of the others. */
static void step_together(Run *run, long t, Team *team) {
    begin_step(run, t);
    if (run->cell->middle) meet(team);
    finish_step(run, t);
    meet(team);
    take_others(run, t);
}
static void step_back_together(Run *run, const Back *back, long t, Team *team) {
    begin_step_back(run, back, t);
    if (run->cell->middle) meet(team);
    finish_step_back(run, back, t);
    meet(team);
    hand_inputs_back(run, back, t);
}
/* Whether a member goes on: all of them, or the first one alone for all units when the others have left. */
static int goes_on(Run *run, Team **team, long member) {
    if (!*team || !(*team)->leaving) return 1;
    *team = NULL;
    choose_all(run);
    return member == 0;
}

typedef struct { Run run; Back back; Space space; Team *team; long member; } Member;

static int forward_member(void *given) {
    Member *m = given;
    Team *team = m->team;
    join(team);
    choose_units(&m->run, team, m->member);
    begin_forward(&m->run);
    meet(team); /* all have read the states before the first step, which may be where it writes */
    long t = 0;
    for (; t < m->run.l->T && goes_on(&m->run, &team, m->member); t++) step_together(&m->run, t, team);
    if (t == m->run.l->T) finish_forward(&m->run);
    return DONE;
}
static int backward_member(void *given) {
    Member *m = given;
    Team *team = m->team;
    join(team);
    choose_units(&m->run, team, m->member);
    begin_backward(&m->run, &m->back);
    long t = m->run.l->T - 1;
    for (; t >= 0 && goes_on(&m->run, &team, m->member); t--) step_back_together(&m->run, &m->back, t, team);
    if (t < 0) finish_backward(&m->run, &m->back);
    return DONE;
}

static void form_team(Team *team, Member *members, long count) { /* without a team if there is one member */
    *team = (Team){};
    for (long k = 0; k < count; k++) members[k] = (Member){.team = count > 1 ? team : NULL, .member = k};
}
static int forward_units(const Layer *l, long count) {
    Team team;
    Member members[count];
    form_team(&team, members, count);
    int result = DONE;
    for (long k = 0; k < count && result == DONE; k++)
        result = start_forward(&members[k].run, &members[k].space, l, k > 0 ? &members[0].run : NULL);
    if (result == DONE) result = run_jobs(forward_member, members, sizeof *members, count, members[0].team);
    for (long k = 0; k < count; k++) free(members[k].space.start);
    return result;
}
static void lay_out_members(Member *members, long count, Space *space) {
    lay_out_rows(&members[0].run.rows, space, members[0].run.l);
    lay_out_back(&members[0].back, space, &members[0].run);
    for (long k = 0; k < count; k++) {
        members[k].run.rows = members[0].run.rows;
        members[k].back = members[0].back;
        lay_out_own_back(&members[k].back, space, &members[0].run);
    }
}
static int backward_units(const Layer *l, long count) {
    Team team;
    Member members[count];
    form_team(&team, members, count);
    Space space = {NULL, 0};
    for (long k = 0; k < count; k++) start_backward(&members[k].run, l);
    IN_NEW_MEMORY(space, lay_out_members(members, count, &space));
    order_rows(&members[0].run.rows, l);
    clear_gradients(&members[0].run, &members[0].back);
    int result = run_jobs(backward_member, members, sizeof *members, count, members[0].team);
    free(space.start);
    return result;
}

static int forward_rows(const Layer *l) { return forward_units(l, 1); }
static int backward_rows(const Layer *l) { return backward_units(l, 1); }
static long num_members(const Layer *l) {
    if (!worth_meeting()) return 1;
    return l->together < BLOCKS(l->H) ? l->together : BLOCKS(l->H);
}

/* Write h, last_cell and, unless it is NULL, kept. */
EXPORT int layer_forward(const Layer *l) {
    return l->together > 1 ? forward_units(l, num_members(l)) : share(l, forward_rows);
}
/* Write the gradients of all that the layer has: table, or x, kernel and bias; recurrent kernel and bias; states. */
EXPORT int layer_backward(const Layer *l) {
    return l->together > 1 ? backward_units(l, num_members(l)) : share(l, backward_rows);
}
