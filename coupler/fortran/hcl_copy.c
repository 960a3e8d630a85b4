/* SPDX-License-Identifier: MIT
 * Blocks of rows between a model's array and a message or a worker's array, in either precision;
 * hcl_copy.f90 is the Fortran face.
 *
 * It is C for the streaming stores: an ordinary store reads its cache line before it overwrites it,
 * a third of the traffic of a large copy, and rows are too short for memcpy to stream them (10 MB in
 * rows of 200 doubles: 1.06 ms, streamed 0.65 ms).
 */
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#define STORE_88(to, from) _mm_stream_pd(to, _mm_loadu_pd(from))
#define STORE_44(to, from) _mm_stream_ps(to, _mm_loadu_ps(from))
#define STORE_84(to, from)                                                                         \
  _mm_stream_ps(to, _mm_movelh_ps(_mm_cvtpd_ps(_mm_loadu_pd(from)),                                \
                                  _mm_cvtpd_ps(_mm_loadu_pd((from) + 2))))
#define STORE_48(to, from)                                                                         \
  _mm_stream_pd(to, _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(from)))))
#define PER_STORE(TO) (16 / (int64_t)sizeof(TO))
#define END_STREAM() _mm_sfence()
#else /* an ordinary store of one value */
#define STORE_88(to, from) (*(to) = *(from))
#define STORE_44 STORE_88
#define STORE_84(to, from) (*(to) = (float)*(from))
#define STORE_48 STORE_88
#define PER_STORE(TO) 1
#define END_STREAM()
#endif

/* block_type of hcl_copy.f90. Steps are in values; from_step 1, 0 (one cell repeated) or -1. */
typedef struct {
  const void *from;
  void *to;
  int64_t from_step, from_row, from_level, to_row, to_level;
  int64_t columns, rows, levels;
  int32_t from_bytes, to_bytes, sign, stream;
} block_type;

/* A streaming store wants an aligned address. */
#define COPY(NAME, FROM, TO, STORE)                                                                \
  static void plain_##NAME(const FROM *restrict from, TO *restrict to, int64_t n)                  \
  {                                                                                                \
    for (int64_t i = 0; i < n; i++) to[i] = (TO)from[i];                                           \
  }                                                                                                \
  static void stream_##NAME(const FROM *restrict from, TO *restrict to, int64_t n)                 \
  {                                                                                                \
    int64_t i = 0;                                                                                 \
    for (; i < n && ((uintptr_t)(to + i) & 15); i++) to[i] = (TO)from[i];                          \
    for (; i + PER_STORE(TO) <= n; i += PER_STORE(TO)) STORE(to + i, from + i);                    \
    for (; i < n; i++) to[i] = (TO)from[i];                                                        \
  }                                                                                                \
  static void copy_##NAME(const block_type *b)                                                     \
  {                                                                                                \
    const FROM factor = (FROM)b->sign;                                                             \
    for (int64_t k = 0; k < b->levels; k++) {                                                      \
      for (int64_t j = 0; j < b->rows; j++) {                                                      \
        const FROM *from = (const FROM *)b->from + k * b->from_level + j * b->from_row;            \
        TO *to = (TO *)b->to + k * b->to_level + j * b->to_row;                                    \
        if (b->from_step != 1 || b->sign != 1)                                                     \
          for (int64_t i = 0; i < b->columns; i++) to[i] = (TO)(factor * from[i * b->from_step]);  \
        else if (b->stream)                                                                        \
          stream_##NAME(from, to, b->columns);                                                     \
        else                                                                                       \
          plain_##NAME(from, to, b->columns);                                                      \
      }                                                                                            \
    }                                                                                              \
  }

COPY(88, double, double, STORE_88)
COPY(84, double, float, STORE_84)
COPY(48, float, double, STORE_48)
COPY(44, float, float, STORE_44)

void hcl_copy_block(const block_type *b)
{
  if (b->from_bytes == 8)
    b->to_bytes == 8 ? copy_88(b) : copy_84(b);
  else
    b->to_bytes == 8 ? copy_48(b) : copy_44(b);
  if (b->stream) END_STREAM();
}
