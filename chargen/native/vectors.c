/* Vectors of as many floats as the instruction set has: AVX-512, or AVX2. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define EXPORT __attribute__((visibility("default")))

/* Of a vector, *_part reads and writes the first `count` numbers, none to all; the others are read as zeros. */
#ifdef __AVX512F__
#define WIDTH 16
#else
#define WIDTH 8
#endif
typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t ints __attribute__((vector_size(4 * WIDTH)));
typedef float loose __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias)); /* anywhere in memory */

INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec values) { *(loose *)to = values; }
INLINE vec all(float value) { return value - (vec){}; }

#ifdef __AVX512F__
INLINE vec within(vec x, float limit) { /* NaN stays NaN */
    return (vec)_mm512_max_ps((__m512)all(-limit), _mm512_min_ps((__m512)all(limit), (__m512)x));
}
INLINE vec reciprocal(vec x) { /* relative error 2^-27 */
    vec r = (vec)_mm512_rcp14_ps((__m512)x);
    return r * (2 - x * r);
}
INLINE vec root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
INLINE vec rounded(vec x) { return (vec)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vec times_power_of_2(vec x, vec n) { return (vec)_mm512_scalef_ps((__m512)x, (__m512)n); }
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); } /* b if one is NaN */
INLINE float total(vec x) { return _mm512_reduce_add_ps((__m512)x); }
INLINE float highest(vec x) { return _mm512_reduce_max_ps((__m512)x); }
INLINE __mmask16 first(long count) { return count < 0 ? 0 : count < WIDTH ? (1 << count) - 1 : -1; }
INLINE vec load_part(const float *from, long count) { return (vec)_mm512_maskz_loadu_ps(first(count), from); }
INLINE void store_part(float *to, vec values, long count) { _mm512_mask_storeu_ps(to, first(count), (__m512)values); }
#else
INLINE vec within(vec x, float limit) {
    return (vec)_mm256_max_ps((__m256)all(-limit), _mm256_min_ps((__m256)all(limit), (__m256)x));
}
INLINE vec reciprocal(vec x) { return 1 / x; }
INLINE vec root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
INLINE vec rounded(vec x) { return (vec)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vec times_power_of_2(vec x, vec n) { return (vec)((ints)x + (__builtin_convertvector(n, ints) << 23)); }
INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE float total(vec x) {
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}
INLINE float highest(vec x) {
    float top = x[0];
    for (int lane = 1; lane < WIDTH; lane++) top = x[lane] > top ? x[lane] : top;
    return top;
}
INLINE __m256i first(long count) { return (__m256i)((ints){0, 1, 2, 3, 4, 5, 6, 7} < (int32_t)count - (ints){}); }
INLINE vec load_part(const float *from, long count) { return (vec)_mm256_maskload_ps(from, first(count)); }
INLINE void store_part(float *to, vec values, long count) { /* some processors take ten times as long for a masked store */
    if (count >= WIDTH) store(to, values);
    else _mm256_maskstore_ps(to, first(count), (__m256)values);
}
#endif
INLINE vec positive(vec x) { return larger(all(0), x); }

INLINE vec power_of_2(vec x) { /* |x| < 126; a minimax polynomial of 2^f for |f| <= 0.5, relative error 8e-8 */
    vec n = rounded(x), f = x - n;
    vec p = f * 1.32764515e-3f + 9.67554096e-3f;
    p = p * f + 5.55071346e-2f;
    p = p * f + 2.40221202e-1f;
    p = p * f + 6.93146944e-1f;
    p = p * f + 1.00000012f;
    return times_power_of_2(p, n);
}
#define LOG2_E 1.44269504f
INLINE vec sigmoid(vec x) { return reciprocal(1 + power_of_2(within(x * -LOG2_E, 60))); }
INLINE vec hyperbolic_tangent(vec x) { return 1 - 2 * reciprocal(1 + power_of_2(within(x * (2 * LOG2_E), 60))); }

/* to (8, 8), with rows `next_to` apart, = from (8, 8) transposed */
INLINE void transpose_tile(const float *from, long next, float *to, long next_to) {
    __m256 row[8], pair[8], four[8]; /* of a column: two numbers of each half, then four */
    UNROLL for (int k = 0; k < 8; k++) row[k] = _mm256_loadu_ps(from + k * next);
    UNROLL for (int k = 0; k < 8; k += 2) {
        pair[k] = _mm256_unpacklo_ps(row[k], row[k + 1]);
        pair[k + 1] = _mm256_unpackhi_ps(row[k], row[k + 1]);
    }
    UNROLL for (int k = 0; k < 8; k += 2) {
        int at = k / 4 * 4 + k % 4 / 2;
        four[k] = _mm256_shuffle_ps(pair[at], pair[at + 2], 0x44);
        four[k + 1] = _mm256_shuffle_ps(pair[at], pair[at + 2], 0xee);
    }
    UNROLL for (int k = 0; k < 4; k++) {
        _mm256_storeu_ps(to + k * next_to, _mm256_permute2f128_ps(four[k], four[k + 4], 0x20));
        _mm256_storeu_ps(to + (k + 4) * next_to, _mm256_permute2f128_ps(four[k], four[k + 4], 0x31));
    }
}
/* to (wide, high) = from (high, wide) transposed */
static void transpose(const float *from, long high, long wide, long next, float *to, long next_to) {
    for (long row = 0; row < high; row += 8)
        for (long column = 0; column < wide; column += 8) {
            const float *tile = from + row * next + column;
            float *tile_to = to + column * next_to + row;
            if (high - row >= 8 && wide - column >= 8) transpose_tile(tile, next, tile_to, next_to);
            else
                for (long r = 0; r < high - row && r < 8; r++)
                    for (long c = 0; c < wide - column && c < 8; c++) tile_to[c * next_to + r] = tile[r * next + c];
        }
}

/* The sum of `count` arrays, every `apart`-th of a list. */
typedef struct { const float *const *arrays; long count, apart; } Sum;
INLINE vec sum_part(const Sum *sum, long i, long left) { /* of the numbers from i on */
    vec part = load_part(sum->arrays[0] + i, left);
    for (long k = 1; k < sum->count; k++) part += load_part(sum->arrays[k * sum->apart] + i, left);
    return part;
}
enum { PIECE = 4096 }; /* numbers whose squares are added up in float32 */
static double sum_of_squares(const Sum *sum, long first, long end, float times) { /* of some of the sum, times a number */
    double sum_so_far = 0;
    for (long begin = first; begin < end; begin += PIECE) {
        long last = end - begin < PIECE ? end : begin + PIECE;
        vec squares = all(0);
        for (long i = begin; i < last; i += WIDTH) {
            vec part = sum_part(sum, i, last - i) * times;
            squares += part * part;
        }
        sum_so_far += total(squares);
    }
    return sum_so_far;
}
