/* All that a library of ours consists of. */
#define _GNU_SOURCE
#include "teams.c"
#include "vectors.c"
#include "kernels.c"
#include "threads.c"
#include "dense.c"
#include "loss.c"
#include "muon.c"
#include "adam.c"
#include "memory.c"
#include "cache.c"
#include "writing.c"
#include "xla.c"
