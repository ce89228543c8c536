/* Custom calls by XLA's typed FFI, for TensorFlow and JAX alike. Of xla/ffi/api/c_api.h only the heads of the structs are
 * declared, so that no header of either is needed: their layout is XLA's stable C interface, version 0.x. */
typedef struct { size_t size; void *extension; int32_t dtype; void *data; int64_t rank; int64_t *dims; } Buffer;
typedef struct { size_t size; void *extension; int64_t count; int32_t *types; Buffer **items; } Buffers;
typedef struct { size_t size; void *extension; int32_t major, minor; } Version;
typedef struct { size_t size; Version version; } Metadata;
typedef struct Extension { size_t size; int32_t type; struct Extension *next; Metadata *metadata; } Extension;
typedef struct { const char *text; size_t length; } Span;
typedef struct { size_t size; void *extension; const char *text; int32_t code; } NewError;
typedef struct { size_t size; void *extension, *error; const char *text; } ErrorText;
struct CallFrame;
typedef void *Handler(struct CallFrame *);
typedef struct {
    size_t size;
    void *extension;
    Span name, platform;
    Handler *instantiate, *prepare, *initialize, *execute;
    uint32_t traits;
} Registration;
typedef struct {
    size_t size;
    void *extension;
    Version version;
    void *internal;
    void *(*create_error)(NewError *);
    void (*error_text)(ErrorText *);
    void *destroy_error;
    void *(*register_handler)(Registration *);
} Api;
typedef struct CallFrame {
    size_t size;
    Extension *extension;
    const Api *api;
    void *context;
    int32_t stage;
    Buffers args, rets;
} CallFrame;

enum { METADATA = 1, INT32 = 4, RESOURCE_EXHAUSTED = 8 };

static int asks_for_version(const CallFrame *call) { /* XLA asks once which version of its interface a handler knows */
    if (!call->extension || call->extension->type != METADATA) return 0;
    call->extension->metadata->version.major = 0;
    call->extension->metadata->version.minor = 1;
    return 1;
}
static void *answer(const CallFrame *call, int result) {
    if (result == DONE) return NULL;
    NewError error = {sizeof error, NULL, "there is not enough memory for a step of training", RESOURCE_EXHAUSTED};
    return call->api->create_error(&error);
}
#define ARG(n) (call->args.items[n]->data)
#define RET(n) (call->rets.items[n]->data)
#define DIM(n, d) (call->args.items[n]->dims[d])

/* cell, threads and together (3), ids (T, B) or x (T, B, D), table or kernel, bias, recurrent kernel, recurrent bias, h0, c0,
 * mask -> h, last cell, kept (B, even, ...). What a layer lacks has no elements. */
EXPORT void *xla_forward(CallFrame *call) {
    if (asks_for_version(call)) return NULL;
    int tokens = call->args.items[1]->dtype == INT32;
    Layer layer = {.cell = *(int32_t *)ARG(0), .T = DIM(1, 0), .B = DIM(1, 1), .all_rows = DIM(1, 1), .H = DIM(4, 0)};
    layer.threads = ((int32_t *)ARG(0))[1], layer.together = ((int32_t *)ARG(0))[2];
    if (tokens) layer.ids = ARG(1), layer.table = ARG(2), layer.V = DIM(2, 0);
    else layer.x = ARG(1), layer.D = DIM(1, 2), layer.kernel = ARG(2), layer.bias = ARG(3);
    layer.recurrent_kernel = ARG(4), layer.recurrent_bias = DIM(5, 0) ? ARG(5) : NULL, layer.h0 = ARG(6), layer.c0 = ARG(7);
    layer.masks = DIM(8, 0), layer.mask = ARG(8);
    layer.h = RET(0), layer.last_cell = RET(1), layer.kept = RET(2);
    return answer(call, layer_forward(&layer));
}

/* cell, threads and together, ids or nothing, kernel or nothing, recurrent kernel, recurrent bias, kept, d_h (T, B, H),
 * d_last_cell, mask -> d_x, d_table or d_kernel, d_bias, d_recurrent_kernel, d_recurrent_bias, d_h0, d_c0 */
EXPORT void *xla_backward(CallFrame *call) {
    if (asks_for_version(call)) return NULL;
    int tokens = DIM(1, 0) > 0;
    Layer layer = {.cell = *(int32_t *)ARG(0), .T = DIM(6, 0), .B = DIM(6, 1), .all_rows = DIM(6, 1), .H = DIM(6, 2)};
    layer.threads = ((int32_t *)ARG(0))[1], layer.together = ((int32_t *)ARG(0))[2];
    if (tokens) layer.ids = ARG(1), layer.V = call->rets.items[1]->dims[0], layer.d_table = RET(1);
    else layer.kernel = ARG(2), layer.D = DIM(2, 0), layer.d_x = RET(0), layer.d_kernel = RET(1), layer.d_bias = RET(2);
    layer.recurrent_kernel = ARG(3), layer.recurrent_bias = DIM(4, 0) ? ARG(4) : NULL;
    layer.kept = ARG(5), layer.d_h = ARG(6), layer.d_last_cell = ARG(7), layer.masks = DIM(8, 0), layer.mask = ARG(8);
    layer.d_recurrent_kernel = RET(3), layer.d_h0 = RET(5), layer.d_c0 = RET(6);
    layer.d_recurrent_bias = layer.recurrent_bias ? RET(4) : NULL; /* a result without elements has an address, too */
    return answer(call, layer_backward(&layer));
}

/* All but the last dimension count rows. */
static long num_rows(const Buffer *buffer) {
    long rows = 1;
    for (long d = 0; d + 1 < buffer->rank; d++) rows *= buffer->dims[d];
    return rows;
}

/* threads, x (..., D), kernel (D, V), bias (V), targets (...), weights (...) -> loss (1), d_x, d_kernel, d_bias; the gradients
 * are without elements if only the loss is asked for */
EXPORT void *xla_cross_entropy(CallFrame *call) {
    if (asks_for_version(call)) return NULL;
    Head head = {{DIM(2, 0), DIM(2, 1), ARG(2), ARG(3), NULL}, num_rows(call->args.items[1]), ARG(1), ARG(4), ARG(5)};
    if (call->rets.items[3]->dims[0]) head.d_inputs = RET(1), head.d_kernel = RET(2), head.d_bias = RET(3);
    return answer(call, cross_entropy(&head, *(int32_t *)ARG(0), RET(0)));
}

/* the fields of Adam; the number of threads, and of gates of each array of weights, or 0; then for all arrays: gradients of
 * each shard, weights, momentum, velocity -> the last three */
EXPORT void *xla_adam(CallFrame *call) {
    if (asks_for_version(call)) return NULL;
    long count = call->rets.count / 3, given = call->args.count - 2;
    const int32_t *numbers = ARG(1);
    const float *before[given];
    float *after[3 * count];
    Weight weights[count];
    for (long n = 0; n < given; n++) before[n] = ARG(n + 2);
    for (long n = 0; n < 3 * count; n++) after[n] = RET(n);
    for (long n = 0; n < count; n++) {
        const Buffer *one = call->rets.items[n];
        weights[n] = (Weight){num_rows(one) * (one->rank ? one->dims[one->rank - 1] : 1), num_rows(one), numbers[n + 1]};
    }
    Step step = {ARG(0), count, given / count - 3, weights, before, before + given - 3 * count, after};
    return answer(call, adam(&step, numbers[0]));
}

/* Register a handler with TensorFlow's XLA, whose XLA_FFI_GetApi() is given. Return NULL, or what XLA says. */
EXPORT const char *register_with_xla(const Api *api, const char *name, Handler *handler) {
    Registration one = {.name = {name, strlen(name)}, .platform = {"Host", 4}, .execute = handler};
    one.size = offsetof(Registration, traits) + sizeof one.traits;
    ErrorText text = {sizeof text, NULL, api->register_handler(&one), NULL};
    if (text.error) api->error_text(&text);
    return text.text;
}
