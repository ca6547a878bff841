// Attention: what both ways of computing it share, and the plain one, which takes heads of any width.
//
// P = softmax(Q·Kᵀ ÷ √d) over the keys that the query sees, 0 where it sees none;   O = P·V
// dV = Pᵀ·dO;  dS = P∘(dO·Vᵀ − rowsum(dO∘O));  dQ = dS·K ÷ √d;  dK = dSᵀ·Q ÷ √d
// Scores are held as powers of 2: s·log₂e. A query's `log_sum` is log₂ Σ 2^s, +∞ where it sees no key.

struct Heads {
    int length;   // tokens of a row of the batch
    int queries;  // query heads
    int shared;   // query heads of a key head
    int row;      // numbers of a token's queries, keys and values
    int group;    // numbers from the queries of one key head to those of the next
    int key;      // where the first key head begins
    int value;    // where the first value head begins
    int step;     // numbers from one key head to the next
    float scale;  // log₂e ÷ √d
};

struct Seen {
    const u32* low;        // first key of its row that a query sees
    const u32* high;       // end of the keys that it sees
    const u32* ranks;      // of keys in an order of factorisation, or none
    const u32* limits;     // end of the ranks that a query sees
    const u32* positions;  // for ALiBi
    const float* slopes;   // log₂e times those of the heads, or none
    const int2* keys;      // for each tile of queries, from where to where its keys lie
    const int2* askers;    // for each tile of keys, from where to where the queries lie that see one
};

#define TILE 64

__device__ __forceinline__ size_t of_query(Heads h, int head) {
    return (size_t)(head / h.shared) * h.group + (size_t)(head % h.shared) * HEAD;
}
__device__ __forceinline__ size_t of_key(Heads h, int group) { return h.key + (size_t)group * h.step; }
__device__ __forceinline__ size_t of_value(Heads h, int group) { return h.value + (size_t)group * h.step; }

// Turns queries and keys by their positions, in place; `sign` is −1 for gradients. Adds biases first where there are any.
extern "C" __global__ void rotate(int tokens, Heads h, real* qkv, const float* bias, const u32* positions,
                                  const float* cosines, const float* sines, float sign) {
    const int half = HEAD / 2, keys = h.queries / h.shared;
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int vectors = half / 4, heads = h.queries + 2 * keys;
    const size_t token = i / (heads * vectors);
    if (token >= tokens) return;
    const int head = i / vectors % heads, at = i % vectors * 4;
    const bool turns = cosines && head < h.queries + keys;
    if (!turns && !bias) return;
    const size_t start = head < h.queries          ? of_query(h, head)
                         : head < h.queries + keys ? of_key(h, head - h.queries)
                                                   : of_value(h, head - h.queries - keys);
    real* first = qkv + token * h.row + start + at;
    float4 a = load(first), b = load(first + half);
    if (bias) {
        a = a + load(bias + start + at);
        b = b + load(bias + start + at + half);
    }
    if (turns) {
        const size_t row = (size_t)positions[token] * half + at;
        const float4 cosine = load(cosines + row), sine = load(sines + row) * sign, before = a;
        a = a * cosine + b * sine * -1;
        b = b * cosine + before * sine;
    }
    store(first, a);
    store(first + half, b);
}

// Σ dO∘O of each query: rows × heads × length.
extern "C" __global__ void __launch_bounds__(THREADS) sum_products(int tokens, Heads h, const real* out, const real* d_out, float* sums) {
    const size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) / 16;
    const size_t token = i / h.queries, head = i % h.queries;
    float sum = 0;
    if (token < tokens) {
        const size_t at = (token * h.queries + head) * HEAD;
        for (int column = threadIdx.x % 16 * 4; column < HEAD; column += 64) sum += total(load(out + at + column) * load(d_out + at + column));
    }
#pragma unroll
    for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (token < tokens && threadIdx.x % 16 == 0) sums[(token / h.length * h.queries + head) * h.length + token % h.length] = sum;
}

#define LANE_NUMBERS ((HEAD + 31) / 32)
#define EACH_NUMBER(u, column) \
    _Pragma("unroll") for (int u = 0, column = lane; u < LANE_NUMBERS; u++, column += 32) if (column < HEAD)

__device__ __forceinline__ void of_head(float (&x)[LANE_NUMBERS], const real* from, int lane) {
    EACH_NUMBER(u, column) x[u] = number(from[column]);
}

__device__ __forceinline__ float product(const float (&a)[LANE_NUMBERS], const float (&b)[LANE_NUMBERS], int lane) {
    float sum = 0;
    EACH_NUMBER(u, column) sum += a[u] * b[u];
    return warp_sum(sum);
}

__device__ __forceinline__ bool sees(Seen seen, size_t row, int query, int key) {
    return seen.low[row + query] <= key && key < seen.high[row + query] &&
           (!seen.ranks || seen.ranks[row + key] < seen.limits[row + query]);
}

__device__ __forceinline__ float lowered(Seen seen, int head, size_t query, size_t key) {
    return seen.slopes ? seen.slopes[head] * fabsf((float)seen.positions[query] - (float)seen.positions[key]) : 0;
}

// A warp for each query of each head.
extern "C" __global__ void __launch_bounds__(THREADS) attend_plain(int rows, Heads h, Seen seen, const real* qkv, real* out, float* log_sums) {
    const size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32, query = i % h.length, head = i / h.length % h.queries;
    const size_t row = i / h.length / h.queries * h.length;
    if (row >= (size_t)rows * h.length) return;
    float q[LANE_NUMBERS], k[LANE_NUMBERS], o[LANE_NUMBERS] = {};
    of_head(q, qkv + (row + query) * h.row + of_query(h, head), lane);
    float top = -INFINITE, sum = 0;
    for (int key = seen.low[row + query]; key < (int)seen.high[row + query]; key++) {
        if (!sees(seen, row, query, key)) continue;
        const real* at = qkv + (row + key) * h.row;
        of_head(k, at + of_key(h, head / h.shared), lane);
        const float score = product(q, k, lane) * h.scale - lowered(seen, head, row + query, row + key);
        const float above = fmaxf(top, score), shrink = exp2f(top - above), weight = exp2f(score - above);
        of_head(k, at + of_value(h, head / h.shared), lane);
        EACH_NUMBER(u, column) o[u] = o[u] * shrink + weight * k[u];
        sum = sum * shrink + weight;
        top = above;
    }
    real* to = out + ((row + query) * h.queries + head) * HEAD;
    EACH_NUMBER(u, column) to[column] = rounded(sum > 0 ? o[u] / sum : 0);
    if (lane == 0) log_sums[i] = sum > 0 ? top + log2f(sum) : INFINITE;
}

// A warp for each query of each head.
extern "C" __global__ void __launch_bounds__(THREADS)
    attend_plain_queries(int rows, Heads h, Seen seen, const real* qkv, const real* d_out, const float* log_sums, const float* sums, real* d_qkv) {
    const size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32, query = i % h.length, head = i / h.length % h.queries;
    const size_t row = i / h.length / h.queries * h.length;
    if (row >= (size_t)rows * h.length) return;
    float q[LANE_NUMBERS], k[LANE_NUMBERS], v[LANE_NUMBERS], d[LANE_NUMBERS], dq[LANE_NUMBERS] = {};
    of_head(q, qkv + (row + query) * h.row + of_query(h, head), lane);
    of_head(d, d_out + ((row + query) * h.queries + head) * HEAD, lane);
    for (int key = seen.low[row + query]; key < (int)seen.high[row + query]; key++) {
        if (!sees(seen, row, query, key)) continue;
        const real* at = qkv + (row + key) * h.row;
        of_head(k, at + of_key(h, head / h.shared), lane);
        of_head(v, at + of_value(h, head / h.shared), lane);
        const float score = product(q, k, lane) * h.scale - lowered(seen, head, row + query, row + key);
        const float ds = exp2f(score - log_sums[i]) * (product(d, v, lane) - sums[i]);
        EACH_NUMBER(u, column) dq[u] += ds * k[u];
    }
    real* to = d_qkv + (row + query) * h.row + of_query(h, head);
    EACH_NUMBER(u, column) to[column] = rounded(dq[u] * h.scale * 0.6931471805599453f);
}

// A warp for each key of each key head, over all the queries that share it.
extern "C" __global__ void __launch_bounds__(THREADS)
    attend_plain_keys(int rows, Heads h, Seen seen, const real* qkv, const real* d_out, const float* log_sums, const float* sums, real* d_qkv) {
    const int groups = h.queries / h.shared;
    const size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32, key = i % h.length, group = i / h.length % groups;
    const size_t row = i / h.length / groups * h.length;
    if (row >= (size_t)rows * h.length) return;
    const int tiles = (h.length + TILE - 1) / TILE;
    const int2 askers = seen.askers[row / h.length * tiles + key / TILE];
    float q[LANE_NUMBERS], k[LANE_NUMBERS], v[LANE_NUMBERS], d[LANE_NUMBERS], dk[LANE_NUMBERS] = {}, dv[LANE_NUMBERS] = {};
    real* at = d_qkv + (row + key) * h.row;
    of_head(k, qkv + (row + key) * h.row + of_key(h, group), lane);
    of_head(v, qkv + (row + key) * h.row + of_value(h, group), lane);
    for (int head = group * h.shared; head < (group + 1) * h.shared; head++) {
        const size_t first = (row / h.length * h.queries + head) * h.length;
        for (int query = askers.x; query < askers.y; query++) {
            if (!sees(seen, row, query, key)) continue;
            of_head(q, qkv + (row + query) * h.row + of_query(h, head), lane);
            of_head(d, d_out + ((row + query) * h.queries + head) * HEAD, lane);
            const float score = product(q, k, lane) * h.scale - lowered(seen, head, row + query, row + key);
            const float p = exp2f(score - log_sums[first + query]);
            const float ds = p * (product(d, v, lane) - sums[first + query]);
            EACH_NUMBER(u, column) {
                dv[u] += p * d[u];
                dk[u] += ds * q[u];
            }
        }
    }
    EACH_NUMBER(u, column) {
        at[of_key(h, group) + column] = rounded(dk[u] * h.scale * 0.6931471805599453f);
        at[of_value(h, group) + column] = rounded(dv[u]);
    }
}
