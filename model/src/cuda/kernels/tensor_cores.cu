// Attention on tensor cores, for bf16 and heads whose width is a multiple of 16: tiles of 64 queries against tiles of 64 keys, scores
// never stored (arXiv 2307.08691). The backward computes them again, once by queries and once by keys, so every sum has a fixed order.
//
// A block is four warps; a warp works on 16 rows of its tile. Fragments are those of mma.m16n8k16: with g = lane ÷ 4 and c = 2·(lane mod 4) a
// thread holds of a 16 × 8 result the numbers (g, c), (g, c + 1), (g + 8, c), (g + 8, c + 1).
//
// STAGES    tiles of the other side in shared memory: 2, so that one is fetched while the other is multiplied, or 1.

#define WARPS 4
// Rows of a tile lie 16 bytes further apart than they are long, so that eight of them fall into different banks.
#define ROW (HEAD + 8)
#define TILE_NUMBERS (TILE * ROW)
#define STEPS (HEAD / 16)

// Begins to fetch a tile; rows beyond `rows` become zeros.
__device__ __forceinline__ void fetch(real* to, const real* from, size_t stride, int rows) {
    for (int i = threadIdx.x; i < TILE * (HEAD / 8); i += WARPS * 32) {
        const int row = i / (HEAD / 8), column = i % (HEAD / 8) * 8;
        real* place = to + row * ROW + column;
        if (row < rows) copy_16(place, from + row * stride + column);
        else
            *reinterpret_cast<uint4*>(place) = make_uint4(0, 0, 0, 0);
    }
}
// 16 rows from `row` and 16 columns from `column` of a tile, as the left side of a product.
__device__ __forceinline__ void left(u32 (&to)[4], const real* tile, int row, int column) {
    const int lane = threadIdx.x % 32;
    matrices(to, tile + (row + lane % 16) * ROW + column + lane / 16 * 8);
}
// The transpose of such a part as the right side: its rows are the columns of the result.
__device__ __forceinline__ void right_of_rows(u32 (&to)[4], const real* tile, int row, int column) {
    const int lane = threadIdx.x % 32;
    matrices(to, tile + (row + lane % 8 + lane / 16 * 8) * ROW + column + lane / 8 % 2 * 8);
}
// Such a part as the right side.
__device__ __forceinline__ void right(u32 (&to)[4], const real* tile, int row, int column) {
    const int lane = threadIdx.x % 32;
    matrices_transposed(to, tile + (row + lane % 16) * ROW + column + lane / 16 * 8);
}

// Results of a warp: 16 rows × 8·N columns.
template <int N>
struct Results {
    float at[N][4];
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) at[n][e] = 0;
    }
    // The 16 columns from `16·step`, rounded, as the left side of a product.
    __device__ __forceinline__ void as_left(u32 (&to)[4], int step) const {
        to[0] = pair(at[2 * step][0], at[2 * step][1]);
        to[1] = pair(at[2 * step][2], at[2 * step][3]);
        to[2] = pair(at[2 * step + 1][0], at[2 * step + 1][1]);
        to[3] = pair(at[2 * step + 1][2], at[2 * step + 1][3]);
    }
};
typedef Results<TILE / 8> Scores;
typedef Results<HEAD / 8> Features;

// 16 rows of one tile times all rows of another, over features.
__device__ __forceinline__ void scores_of(Scores& to, const real* rows, int row, const real* columns) {
    to.clear();
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        u32 a[4], b[4];
        left(a, rows, row, step * 16);
#pragma unroll
        for (int n = 0; n < TILE / 16; n++) {
            right_of_rows(b, columns, n * 16, step * 16);
            multiply(to.at[2 * n], a, b[0], b[1]);
            multiply(to.at[2 * n + 1], a, b[2], b[3]);
        }
    }
}

// Adds weights times the rows of a tile.
__device__ __forceinline__ void add_weighted(Features& to, const Scores& weights, const real* tile) {
#pragma unroll
    for (int step = 0; step < TILE / 16; step++) {
        u32 a[4], b[4];
        weights.as_left(a, step);
#pragma unroll
        for (int n = 0; n < HEAD / 16; n++) {
            right(b, tile, step * 16, n * 16);
            multiply(to.at[2 * n], a, b[0], b[1]);
            multiply(to.at[2 * n + 1], a, b[2], b[3]);
        }
    }
}

// Writes the rows of a warp, each times a factor.
__device__ __forceinline__ void write(const Features& from, real* to, size_t stride, int rows, float upper, float lower) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++) {
        if (g < rows) *reinterpret_cast<u32*>(to + g * stride + n * 8 + c) = pair(from.at[n][0] * upper, from.at[n][1] * upper);
        if (g + 8 < rows)
            *reinterpret_cast<u32*>(to + (g + 8) * stride + n * 8 + c) = pair(from.at[n][2] * lower, from.at[n][3] * lower);
    }
}

// What decides which keys a query sees, for one of the two rows of queries of a thread.
struct Asker {
    int low, high;
    u32 limit, position;
    __device__ __forceinline__ void read(const Seen& seen, size_t row, int query, int length) {
        const bool is_there = query < length;
        low = is_there ? seen.low[row + query] : 0;
        high = is_there ? seen.high[row + query] : 0;
        limit = is_there && seen.ranks ? seen.limits[row + query] : 0;
        position = is_there && seen.slopes ? seen.positions[row + query] : 0;
    }
    __device__ __forceinline__ bool sees_all(int first) const { return low <= first && first + TILE <= high; }
};

// Turns products into scores as powers of 2, −∞ where a key is not seen.
__device__ __forceinline__ void score(Scores& s, const Heads& h, const Seen& seen, size_t row, int head, int first, const Asker (&askers)[2]) {
    const int c = threadIdx.x % 4 * 2;
    const bool whole = !seen.ranks && askers[0].sees_all(first) && askers[1].sees_all(first);
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s.at[n][e] *= h.scale;
            if (whole && !seen.slopes) continue;
            const int key = first + n * 8 + c + e % 2;
            const Asker& asker = askers[e / 2];
            const bool is_seen = asker.low <= key && key < asker.high && (!seen.ranks || seen.ranks[row + key] < asker.limit);
            if (!is_seen) s.at[n][e] = -INFINITE;
            else if (seen.slopes) s.at[n][e] -= seen.slopes[head] * fabsf((float)asker.position - (float)seen.positions[row + key]);
        }
}

// Walks over tiles with the next one under way: `FETCH(stage, tile)` begins to fetch, `WORK(stage, tile)` computes. What was fetched before comes with
// the first tile, and has come at the end where there is none.
#define WALK(first, end, FETCH, WORK)                       \
    if (first < end) {                                      \
        FETCH(0, first);                                    \
    }                                                       \
    copied();                                               \
    for (int tile = first, stage = 0; tile < end; tile++) { \
        if (STAGES == 2 && tile + 1 < end) {                \
            FETCH((stage + 1) % STAGES, tile + 1);          \
            copied();                                       \
            wait<STAGES - 1>();                             \
        } else                                              \
            wait<0>();                                      \
        __syncthreads();                                    \
        WORK(stage, tile);                                  \
        __syncthreads();                                    \
        if (STAGES == 1 && tile + 1 < end) {                \
            FETCH(0, tile + 1);                             \
            copied();                                       \
        }                                                   \
        stage = (stage + 1) % STAGES;                       \
    }                                                       \
    wait<0>();

// Keys and values, for a walk over them.
#define FETCH_KEYS(stage, tile)                                                                                                     \
    fetch(keys + (stage) * TILE_NUMBERS, base + (size_t)(tile) * TILE * h.row + of_key(h, group), h.row, h.length - (tile) * TILE);  \
    fetch(values + (stage) * TILE_NUMBERS, base + (size_t)(tile) * TILE * h.row + of_value(h, group), h.row, h.length - (tile) * TILE)

// Blocks: (tiles of queries, query heads, rows).
extern "C" __global__ void __launch_bounds__(WARPS * 32) attend(Heads h, Seen seen, const real* qkv, real* out, float* log_sums) {
    extern __shared__ __align__(16) unsigned char memory[];
    real* queries = reinterpret_cast<real*>(memory);
    real* keys = queries + TILE_NUMBERS;
    real* values = keys + STAGES * TILE_NUMBERS;
    const int asking = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / h.shared;
    const size_t row = (size_t)blockIdx.z * h.length;
    const real* base = qkv + row * h.row;
    const int lane = threadIdx.x % 32, mine = threadIdx.x / 32 * 16, begin = asking * TILE;
    const int2 bounds = seen.keys[blockIdx.z * gridDim.x + asking];
    const int first = bounds.x / TILE, end = bounds.y > bounds.x ? (bounds.y + TILE - 1) / TILE : first;
    fetch(queries, base + (size_t)begin * h.row + of_query(h, head), h.row, h.length - begin);
    Asker askers[2];
    askers[0].read(seen, row, begin + mine + lane / 4, h.length);
    askers[1].read(seen, row, begin + mine + lane / 4 + 8, h.length);
    Features o;
    o.clear();
    float top[2] = {-INFINITE, -INFINITE}, sum[2] = {0, 0};
    auto work = [&](int stage, int tile) {
        Scores s;
        scores_of(s, queries, mine, keys + stage * TILE_NUMBERS);
        score(s, h, seen, row, head, tile * TILE, askers);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = top[half];
#pragma unroll
            for (int n = 0; n < TILE / 8; n++) most = fmaxf(most, fmaxf(s.at[n][2 * half], s.at[n][2 * half + 1]));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
            const float from = most == -INFINITE ? 0 : most, shrink = exp2f(top[half] - from);
            top[half] = most;
            sum[half] *= shrink;
#pragma unroll
            for (int n = 0; n < TILE / 8; n++)
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    s.at[n][e] = exp2f(s.at[n][e] - from);
                    sum[half] += s.at[n][e];
                }
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                o.at[n][2 * half] *= shrink;
                o.at[n][2 * half + 1] *= shrink;
            }
        }
        add_weighted(o, s, values + stage * TILE_NUMBERS);
    };
    WALK(first, end, FETCH_KEYS, work)
    float factors[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        sum[half] += __shfl_xor_sync(0xffffffffu, sum[half], 1);
        sum[half] += __shfl_xor_sync(0xffffffffu, sum[half], 2);
        factors[half] = sum[half] > 0 ? 1 / sum[half] : 0;
        const int query = begin + mine + lane / 4 + 8 * half;
        if (lane % 4 == 0 && query < h.length)
            log_sums[((size_t)blockIdx.z * h.queries + head) * h.length + query] = sum[half] > 0 ? top[half] + log2f(sum[half]) : INFINITE;
    }
    const size_t stride = (size_t)h.queries * HEAD;
    write(o, out + (row + begin + mine) * stride + (size_t)head * HEAD, stride, h.length - begin - mine, factors[0], factors[1]);
}

// Blocks: (tiles of queries, query heads, rows).
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    attend_queries(Heads h, Seen seen, const real* qkv, const real* d_out, const float* log_sums, const float* sums, real* d_qkv) {
    extern __shared__ __align__(16) unsigned char memory[];
    real* queries = reinterpret_cast<real*>(memory);
    real* d_outs = queries + TILE_NUMBERS;
    real* keys = d_outs + TILE_NUMBERS;
    real* values = keys + STAGES * TILE_NUMBERS;
    const int asking = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / h.shared;
    const size_t row = (size_t)blockIdx.z * h.length, out_row = (size_t)h.queries * HEAD;
    const real* base = qkv + row * h.row;
    const int lane = threadIdx.x % 32, mine = threadIdx.x / 32 * 16, begin = asking * TILE;
    const int2 bounds = seen.keys[blockIdx.z * gridDim.x + asking];
    const int first = bounds.x / TILE, end = bounds.y > bounds.x ? (bounds.y + TILE - 1) / TILE : first;
    fetch(queries, base + (size_t)begin * h.row + of_query(h, head), h.row, h.length - begin);
    fetch(d_outs, d_out + (row + begin) * out_row + (size_t)head * HEAD, out_row, h.length - begin);
    Asker askers[2];
    float log_sum[2], along[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int query = begin + mine + lane / 4 + 8 * half;
        const size_t at = ((size_t)blockIdx.z * h.queries + head) * h.length + query;
        askers[half].read(seen, row, query, h.length);
        log_sum[half] = query < h.length ? log_sums[at] : INFINITE;
        along[half] = query < h.length ? sums[at] : 0;
    }
    Features dq;
    dq.clear();
    auto work = [&](int stage, int tile) {
        Scores s, dp;
        scores_of(s, queries, mine, keys + stage * TILE_NUMBERS);
        score(s, h, seen, row, head, tile * TILE, askers);
        scores_of(dp, d_outs, mine, values + stage * TILE_NUMBERS);
#pragma unroll
        for (int n = 0; n < TILE / 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) s.at[n][e] = exp2f(s.at[n][e] - log_sum[e / 2]) * (dp.at[n][e] - along[e / 2]);
        add_weighted(dq, s, keys + stage * TILE_NUMBERS);
    };
    WALK(first, end, FETCH_KEYS, work)
    const float factor = h.scale * 0.6931471805599453f;
    write(dq, d_qkv + (row + begin + mine) * h.row + of_query(h, head), h.row, h.length - begin - mine, factor, factor);
}

// Blocks: (tiles of keys, key heads, rows). Rows of a warp are keys, columns are queries.
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    attend_keys(Heads h, Seen seen, const real* qkv, const real* d_out, const float* log_sums, const float* sums, real* d_qkv) {
    extern __shared__ __align__(16) unsigned char memory[];
    real* keys = reinterpret_cast<real*>(memory);
    real* values = keys + TILE_NUMBERS;
    real* queries = values + TILE_NUMBERS;
    real* d_outs = queries + STAGES * TILE_NUMBERS;
    const int asked = blockIdx.x, group = blockIdx.y;
    const size_t row = (size_t)blockIdx.z * h.length, out_row = (size_t)h.queries * HEAD;
    const real* base = qkv + row * h.row;
    const int lane = threadIdx.x % 32, mine = threadIdx.x / 32 * 16, begin = asked * TILE;
    const int2 bounds = seen.askers[blockIdx.z * gridDim.x + asked];
    const int low = bounds.x / TILE, high = bounds.y > bounds.x ? (bounds.y + TILE - 1) / TILE : low;
    // Tiles of queries of one head, then those of the next.
    const int count = high - low, all = count * h.shared;
    fetch(keys, base + (size_t)begin * h.row + of_key(h, group), h.row, h.length - begin);
    fetch(values, base + (size_t)begin * h.row + of_value(h, group), h.row, h.length - begin);
    Features dk, dv;
    dk.clear();
    dv.clear();
#define HEAD_OF(tile) (group * h.shared + (tile) / count)
#define QUERY_OF(tile) ((low + (tile) % count) * TILE)
#define FETCH(stage, tile)                                                                                                   \
    fetch(queries + (stage) * TILE_NUMBERS, base + (size_t)QUERY_OF(tile) * h.row + of_query(h, HEAD_OF(tile)), h.row,       \
          h.length - QUERY_OF(tile));                                                                                        \
    fetch(d_outs + (stage) * TILE_NUMBERS, d_out + (row + QUERY_OF(tile)) * out_row + (size_t)HEAD_OF(tile) * HEAD, out_row, \
          h.length - QUERY_OF(tile))
    auto work = [&](int stage, int tile) {
        const int head = HEAD_OF(tile), from = QUERY_OF(tile);
        const size_t at = ((size_t)blockIdx.z * h.queries + head) * h.length;
        Scores p, ds;
        scores_of(p, keys, mine, queries + stage * TILE_NUMBERS);
        scores_of(ds, values, mine, d_outs + stage * TILE_NUMBERS);
#pragma unroll
        for (int n = 0; n < TILE / 8; n++)
#pragma unroll
            for (int side = 0; side < 2; side++) {
                const int query = from + n * 8 + lane % 4 * 2 + side;
                const bool is_there = query < h.length;
                const int lowest = is_there ? seen.low[row + query] : 0, highest = is_there ? seen.high[row + query] : 0;
                const float log_sum = is_there ? log_sums[at + query] : INFINITE, along = is_there ? sums[at + query] : 0;
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int key = begin + mine + lane / 4 + 8 * half, e = 2 * half + side;
                    bool is_seen = lowest <= key && key < highest;
                    if (is_seen && seen.ranks) is_seen = seen.ranks[row + key] < seen.limits[row + query];
                    float s = p.at[n][e] * h.scale;
                    if (is_seen && seen.slopes) s -= lowered(seen, head, row + query, row + key);
                    p.at[n][e] = is_seen ? exp2f(s - log_sum) : 0;
                    ds.at[n][e] = p.at[n][e] * (ds.at[n][e] - along);
                }
            }
        add_weighted(dv, p, d_outs + stage * TILE_NUMBERS);
        add_weighted(dk, ds, queries + stage * TILE_NUMBERS);
    };
    WALK(0, all, FETCH, work)
#undef FETCH
    const float factor = h.scale * 0.6931471805599453f;
    real* to = d_qkv + (row + begin + mine) * h.row;
    write(dk, to + of_key(h, group), h.row, h.length - begin - mine, factor, factor);
    write(dv, to + of_value(h, group), h.row, h.length - begin - mine, 1, 1);
}
