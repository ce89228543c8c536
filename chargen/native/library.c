/* All that a library of ours consists of. */
#include "kernels.c"
#include "threads.c"
#include "dense.c"
#include "adam.c"
#include "memory.c"
#include "cache.c"
#include "writing.c"
#include "xla.c"
