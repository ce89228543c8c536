/* Threads that do parts of a task, and may meet after each step of it. */
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { DONE, NO_MEMORY };

/* Threads that do the same steps, each a part of every step, and meet after it. On a busy machine one of them does not run for
 * much of the time, and keeps the others waiting: then all leave, at the same step, and no team is formed for a while. */
typedef struct { long count, arrived, meetings; int late, leaving; } Team;
#define SPINS 2000 /* some 50 microseconds, which do not count as waiting */

static long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* How long the members of this process's teams have waited since `began`, and until when no team is formed, in nanoseconds. It
 * decides who works, not what the results are. */
static struct { long began, waited, alone_until; } lately;
enum { LATELY = 200000000 };  /* nanoseconds that are looked at */
enum { HALF = 2 };            /* of the time each of the others may have waited: then one alone is as fast as two, */
enum { PATIENCE = 5000000 };  /* and some nanoseconds, because on any machine a thread is stopped now and then */
enum { TIMES_ALONE = 20 };    /* as long as was waited: so little time is lost by trying again */
#define GET(value) __atomic_load_n(&(value), __ATOMIC_RELAXED)
#define SET(value, to) __atomic_store_n(&(value), to, __ATOMIC_RELAXED)

static void begin_lately(long now) {
    SET(lately.began, now);
    SET(lately.waited, 0);
}
static int worth_meeting(void) { /* whether to form a team now */
    long now = nanoseconds();
    if (now - GET(lately.began) > LATELY) begin_lately(now);
    return now >= GET(lately.alone_until);
}
static void note_wait(Team *team, long began) {
    long now = nanoseconds(), waited = __atomic_add_fetch(&lately.waited, now - began, __ATOMIC_RELAXED);
    if (waited <= (team->count - 1) * (PATIENCE + (now - GET(lately.began)) / HALF)) return;
    SET(team->late, 1);
    SET(lately.alone_until, now + TIMES_ALONE * waited);
    begin_lately(now);
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
    long number = GET(team->meetings);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) < team->count) {
        wait_for_next(team, number);
        return;
    }
    team->arrived = 0, team->leaving = GET(team->late);
    __atomic_store_n(&team->meetings, number + 1, __ATOMIC_RELEASE);
}
static void join(const Team *team) { /* once it is known how many members there are */
    while (team && !__atomic_load_n(&team->count, __ATOMIC_ACQUIRE)) sched_yield();
}
static long share_of(const Team *team, long member, long blocks) { /* the first block of a member's */
    return blocks * member / (team ? team->count : 1);
}

typedef int Task(void *part);
typedef struct { Task *task; void *part; pthread_t thread; int started, result; const cpu_set_t *processors; } Job;

static void *run_job(void *given) {
    Job *job = given;
    if (job->processors) pthread_setaffinity_np(pthread_self(), sizeof *job->processors, job->processors);
    job->result = job->task(job->part);
    return NULL;
}
/* Start a thread on another processor than this one, which is busy; from then on the system may move it to any of those that
 * this thread may use. Left to itself the system starts it here if another thread is about to end on the other processors, and
 * moves it only after some milliseconds. */
static void start_elsewhere(Job *job, const cpu_set_t *processors) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
#ifdef __GLIBC__ /* other C libraries have no pthread_attr_setaffinity_np */
    cpu_set_t others = *processors;
    CPU_CLR(sched_getcpu(), &others);
    if (CPU_COUNT(&others) && !pthread_attr_setaffinity_np(&attributes, sizeof others, &others)) job->processors = processors;
#endif
    job->started = !pthread_create(&job->thread, &attributes, run_job, job);
    pthread_attr_destroy(&attributes);
}
/* Do a task on some parts of `size` bytes each: the first on this thread, and any that gets no thread, too. A team has as many
 * members as there are threads. */
static int run_jobs(Task *task, void *parts, size_t size, long count, Team *team) {
    Job jobs[count];
    cpu_set_t processors;
    if (sched_getaffinity(0, sizeof processors, &processors)) CPU_ZERO(&processors);
    for (long k = 0; k < count; k++) {
        jobs[k] = (Job){.task = task, .part = (char *)parts + k * size};
        if (k > 0) start_elsewhere(&jobs[k], &processors);
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
