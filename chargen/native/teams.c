/* Threads that do parts of a task, and may meet after each step of it. */
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
static long share_of(const Team *team, long member, long count) { /* the first of so many things that is a member's */
    return count * member / (team ? team->count : 1);
}
typedef struct { long first, end; } Range;
static Range range_of(const Team *team, long member, long count) {
    return (Range){share_of(team, member, count), share_of(team, member + 1, count)};
}
static Range part_of(long part, long parts, long count) { /* the same without a team */
    return range_of(&(Team){.count = parts}, part, count);
}

typedef int Task(void *part);
typedef struct { Task *task; void *part; int started, state, result; const cpu_set_t *processors; } Job;
enum { OPEN, AWAITED, FINISHED }; /* awaited by a thread that sleeps */

/* A thread that has done its job lingers for a moment, because the next one often comes at once, and starting a thread takes as
 * long as half a step of a small layer. Where one lingers there is the address of its `next`, until someone takes it. */
enum { PLACES = 64, LINGERING = 100000 }; /* nanoseconds */
static Job **lingering[PLACES];
static void forget_lingering(void) { memset(lingering, 0, sizeof lingering); }
__attribute__((constructor)) static void forget_in_children(void) { /* which have none of their parents' threads */
    pthread_atfork(NULL, NULL, forget_lingering);
}

static void do_job(Job *job) {
    job->result = job->task(job->part);
    int before = __atomic_exchange_n(&job->state, FINISHED, __ATOMIC_ACQ_REL); /* after it the job may be gone */
    if (before == AWAITED) syscall(SYS_futex, &job->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
/* Wait until a job is done. On a busy machine its thread may need this processor: so sleep, if it takes long. */
static void wait_for(Job *job) {
    for (long spins = 0; spins < SPINS; spins++) {
        if (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) == FINISHED) return;
        _mm_pause();
    }
    __atomic_compare_exchange_n(&job->state, &(int){OPEN}, AWAITED, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) == AWAITED)
        syscall(SYS_futex, &job->state, FUTEX_WAIT_PRIVATE, AWAITED, NULL, NULL, 0);
}
static int leave_place(Job ***place, Job **own) {
    return __atomic_compare_exchange_n(place, &(Job **){own}, NULL, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static Job ***find_place(Job **own) {
    for (int k = 0; k < PLACES; k++)
        if (__atomic_compare_exchange_n(lingering + k, &(Job **){NULL}, own, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return lingering + k;
    return NULL;
}
/* Return the next job, or NULL if none came. */
static Job *linger(void) {
    Job *next = NULL, ***place = find_place(&next);
    if (!place) return NULL;
    long until = nanoseconds() + LINGERING;
    for (long spins = 1;; spins++) {
        Job *job = __atomic_load_n(&next, __ATOMIC_ACQUIRE);
        if (job) return job;
        _mm_pause();
        if (spins % 64 == 0 && nanoseconds() > until && leave_place(place, &next)) return NULL;
    }
}
static int hand_over(Job *job) { /* to a thread that lingers, if there is one */
    for (int k = 0; k < PLACES; k++) {
        Job **next = GET(lingering[k]) ? __atomic_exchange_n(lingering + k, NULL, __ATOMIC_ACQ_REL) : NULL;
        if (next) {
            __atomic_store_n(next, job, __ATOMIC_RELEASE);
            return 1;
        }
    }
    return 0;
}

static void *work(void *given) {
    Job *job = given;
    if (job->processors) pthread_setaffinity_np(pthread_self(), sizeof *job->processors, job->processors);
    for (; job; job = linger()) do_job(job);
    return NULL;
}
/* Start a thread on another processor than this one, which is busy; from then on the system may move it to any of those that
 * this thread may use. Left to itself the system starts it here if another thread is about to end on the other processors, and
 * moves it only after some milliseconds. */
static void start_elsewhere(Job *job, const cpu_set_t *processors) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
#ifdef __GLIBC__ /* other C libraries have no pthread_attr_setaffinity_np */
    cpu_set_t others = *processors;
    CPU_CLR(sched_getcpu(), &others);
    if (CPU_COUNT(&others) && !pthread_attr_setaffinity_np(&attributes, sizeof others, &others)) job->processors = processors;
#endif
    job->started = !pthread_create(&thread, &attributes, work, job);
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
        if (k > 0 && !(jobs[k].started = hand_over(&jobs[k]))) start_elsewhere(&jobs[k], &processors);
        if (k > 0 && !jobs[k].started && team) count = k;
    }
    if (team) __atomic_store_n(&team->count, count, __ATOMIC_RELEASE);
    int result = DONE;
    for (long k = 0; k < count; k++) {
        if (jobs[k].started) wait_for(&jobs[k]);
        else do_job(&jobs[k]);
        if (jobs[k].result != DONE) result = jobs[k].result;
    }
    return result;
}
