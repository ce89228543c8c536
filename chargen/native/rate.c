/* How fast this processor multiplies and adds numbers that are at hand: some take longer for bfloat16 numbers than for
 * float32, others half as long. */

#define SUMS 12 /* independent ones, more than a processor works on at a time */
#define SUM_TURNS 4000
#define TRIALS 15

static long nanoseconds_of_turns(void) {
    word weights[SUMS * 16] __attribute__((aligned(64))) = {0}, one = 0;
    vec sums[SUMS] = {{0}};
    const long began = nanoseconds();
    for (long turn = 0; turn < SUM_TURNS; turn++) {
        __asm__ volatile("" : "+m"(weights), "+m"(one)); /* so that the compiler does not see that each turn is the same, */
        UNROLL for (int s = 0; s < SUMS; s++) sums[s] = multiply_add(one, weights + 16 * s, sums[s]);
    }
    const long taken = nanoseconds() - began;
    UNROLL for (int s = 0; s < SUMS; s++) {
        store((float *)weights, sums[s]);
        __asm__ volatile("" : "+m"(weights)); /* nor that nobody reads the sums */
    }
    return taken;
}

/* Returns the products a second of one core, at best: whatever else runs on the machine only makes some trials slower. */
EXPORT double products_a_second(void) {
    long best = nanoseconds_of_turns();
    for (long trial = 1; trial < TRIALS; trial++) {
        const long taken = nanoseconds_of_turns();
        if (taken < best) best = taken;
    }
    return 1e9 * SUM_TURNS * SUMS * WIDTH * PER_WORD / best;
}
