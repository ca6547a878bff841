// What works on each token alone: embeddings, sums of branches with the norm behind them, activations, rotations; and their gradients.

#define EACH_VECTOR(i, column)                                                             \
    _Pragma("unroll") for (int i = 0, column = lane * 4; i < ROW_VECTORS; i++, column += ROW_THREADS * 4) \
        if (column < WIDTH)

struct Branch {
    const real* values;  // rows × WIDTH, or none
    const float* bias;   // WIDTH, or none
    Drop drop;
};

struct Norm {
    const float* gain;  // WIDTH, or none: then there is no norm
    const float* bias;  // WIDTH, or none: then the mean stays (RMSNorm)
    float epsilon;
};

__device__ __forceinline__ float4 of_branch(Branch branch, size_t row, int column) {
    float4 x = load(branch.values + row * WIDTH + column);
    if (branch.bias) x = x + load(branch.bias + column);
    return kept(branch.drop, row * WIDTH + column, x);
}

// sum = x + branches;  y = norm(sum). Outputs that nobody reads are none.
extern "C" __global__ void __launch_bounds__(THREADS) join(int rows, const float* x, Branch first, Branch second,
                                                          float* sum, Norm norm, real* y, float* wide, float2* spread) {
    const int lane = threadIdx.x % ROW_THREADS;
    const size_t row = (size_t)blockIdx.x * (THREADS / ROW_THREADS) + threadIdx.x / ROW_THREADS;
    if (row >= rows) return;
    float4 held[ROW_VECTORS];
    float add = 0;
    EACH_VECTOR(i, column) {
        float4 s = x ? load(x + row * WIDTH + column) : make_float4(0, 0, 0, 0);
        if (first.values) s = s + of_branch(first, row, column);
        if (second.values) s = s + of_branch(second, row, column);
        if (sum) store(sum + row * WIDTH + column, s);
        held[i] = s;
        add += total(s);
    }
    float centre = 0, r = 1;
    if (norm.gain) {
        if (norm.bias) centre = row_sum(add) / WIDTH;
        float squares = 0;
        EACH_VECTOR(i, column) {
            held[i] = held[i] - centre;
            squares += total(held[i] * held[i]);
        }
        r = 1 / sqrtf(row_sum(squares) / WIDTH + norm.epsilon);
    }
    EACH_VECTOR(i, column) {
        float4 out = held[i];
        if (norm.gain) out = out * r * load(norm.gain + column);
        if (norm.bias) out = out + load(norm.bias + column);
        if (y) store(y + row * WIDTH + column, out);
        if (wide) store(wide + row * WIDTH + column, out);
    }
    if (spread && lane == 0) spread[row] = make_float2(centre, r);
}

// The gradient of x of y = norm(x), added to `base` where there is one. The gradient of y is the sum of `narrow` and `wide`.
// `branch` is the result as a product reads it, with what its dropout let fall. Sums for gain and bias: one row a group of threads.
extern "C" __global__ void __launch_bounds__(THREADS)
    join_back(int rows, const real* narrow, const float* wide, const float* x, const float2* spread, Norm norm,
              const float* base, float* dx, real* branch, Drop drop, float* gain_sums, float* bias_sums) {
    const int lane = threadIdx.x % ROW_THREADS;
    const int groups = gridDim.x * (THREADS / ROW_THREADS);
    const int group = blockIdx.x * (THREADS / ROW_THREADS) + threadIdx.x / ROW_THREADS;
    float4 d_gain[ROW_VECTORS], d_bias[ROW_VECTORS];
#pragma unroll
    for (int i = 0; i < ROW_VECTORS; i++) d_gain[i] = d_bias[i] = make_float4(0, 0, 0, 0);
    for (size_t row = group; row < rows; row += groups) {
        const float2 at = spread[row];
        float4 hat[ROW_VECTORS], scaled[ROW_VECTORS];
        float along = 0, mean = 0;
        EACH_VECTOR(i, column) {
            float4 dy = narrow ? load(narrow + row * WIDTH + column) : make_float4(0, 0, 0, 0);
            if (wide) dy = dy + load(wide + row * WIDTH + column);
            hat[i] = (load(x + row * WIDTH + column) - at.x) * at.y;
            d_gain[i] = d_gain[i] + dy * hat[i];
            d_bias[i] = d_bias[i] + dy;
            scaled[i] = dy * load(norm.gain + column);
            along += total(scaled[i] * hat[i]);
            mean += total(scaled[i]);
        }
        along = row_sum(along) / WIDTH;
        mean = norm.bias ? row_sum(mean) / WIDTH : 0;
        EACH_VECTOR(i, column) {
            float4 d = ((scaled[i] - mean) + hat[i] * -along) * at.y;
            if (base) d = d + load(base + row * WIDTH + column);
            store(dx + row * WIDTH + column, d);
            if (branch) store(branch + row * WIDTH + column, kept(drop, row * WIDTH + column, d));
        }
    }
    EACH_VECTOR(i, column) {
        store(gain_sums + (size_t)group * WIDTH + column, d_gain[i]);
        if (bias_sums) store(bias_sums + (size_t)group * WIDTH + column, d_bias[i]);
    }
}

// What falls falls, in place, or on the way to what a product reads.
extern "C" __global__ void let_fall(size_t count, float* x, real* narrow, Drop drop) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (at >= count) return;
    const float4 y = kept(drop, at, load(x + at));
    if (narrow) store(narrow + at, y);
    else store(x + at, y);
}

// Rows of tables, added up. A table without rows of its own gives its first row to every token.
struct Table {
    const float* values;
    const u32* rows;
};

extern "C" __global__ void embed(int tokens, Table ids, Table positions, Table segments, Table languages, Drop drop,
                                 float* out) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t token = at / WIDTH, column = at % WIDTH;
    if (token >= tokens) return;
    const Table tables[4] = {ids, positions, languages, segments};
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (!tables[i].values) continue;
        const size_t row = tables[i].rows ? tables[i].rows[token] : 0;
        sum = sum + load(tables[i].values + row * WIDTH + column);
    }
    store(out + at, kept(drop, at, sum));
}

// Tokens of one row of a table, as places in a list: begin, end, the row, and where their sum goes if the row has more of them.
extern "C" __global__ void scatter(const int4* pieces, const u32* tokens, const float* dx, float* gradient, float* parts) {
    const int4 piece = pieces[blockIdx.x];
    for (int column = threadIdx.x * 4; column < WIDTH; column += blockDim.x * 4) {
        float4 sum = make_float4(0, 0, 0, 0);
        for (int i = piece.x; i < piece.y; i++) sum = sum + load(dx + (size_t)tokens[i] * WIDTH + column);
        float* to = piece.w < 0 ? gradient + (size_t)piece.z * WIDTH + column : parts + (size_t)piece.w * WIDTH + column;
        store(to, piece.w < 0 ? load(to) + sum : sum);
    }
}

extern "C" __global__ void scatter_parts(const int4* rows, const float* parts, float* gradient) {
    const int4 row = rows[blockIdx.x];
    for (int column = threadIdx.x * 4; column < WIDTH; column += blockDim.x * 4) {
        float4 sum = make_float4(0, 0, 0, 0);
        for (int i = row.x; i < row.y; i++) sum = sum + load(parts + (size_t)i * WIDTH + column);
        float* to = gradient + (size_t)row.z * WIDTH + column;
        store(to, load(to) + sum);
    }
}

// Sums of the columns of a matrix, part by part; `reduce` adds the parts.
extern "C" __global__ void __launch_bounds__(THREADS) sum_columns(int rows, int columns, size_t stride, const real* x, float* sums) {
    __shared__ float4 parts[8][32];
    const int column = (blockIdx.x * 32 + threadIdx.x) * 4;
    float4 sum = make_float4(0, 0, 0, 0);
    if (column < columns) {
        for (size_t row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) sum = sum + load(x + row * stride + column);
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= columns) return;
    for (int i = 1; i < 8; i++) sum = sum + parts[i][threadIdx.x];
    store(sums + (size_t)blockIdx.y * columns + column, sum);
}

// Adds rows of sums to a vector; the sums for a second one lie behind those for the first.
extern "C" __global__ void __launch_bounds__(THREADS)
    reduce(int rows, int columns, int stride, const float* sums, float* first, float* second) {
    __shared__ float parts[8][32];
    float* to = blockIdx.y ? second : first;
    sums += (size_t)blockIdx.y * rows * stride;
    const int column = blockIdx.x * 32 + threadIdx.x;
    float sum = 0;
    if (column < columns)
        for (int row = threadIdx.y; row < rows; row += 8) sum += sums[(size_t)row * stride + column];
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= columns) return;
    for (int i = 1; i < 8; i++) sum += parts[i][threadIdx.x];
    to[column] += sum;
}

// Value and slope of an activation.
__device__ __forceinline__ float2 activated(int kind, float x) {
    const float sigmoid = 1 / (1 + expf(-x));
    if (kind == 0) {  // GELU by the logistic function
        const float gate = 1 / (1 + expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
        const float inner = 1.5957691216057308f * (1 + 0.134145f * x * x);
        return make_float2(x * gate, gate + x * gate * (1 - gate) * inner);
    }
    if (kind == 1) {  // GELU by the normal distribution
        const float part = 0.5f * (1 + erff(x * 0.7071067811865476f));
        return make_float2(x * part, part + x * 0.3989422804014327f * expf(-0.5f * x * x));
    }
    const float positive = x > 0 ? x : 0;
    if (kind == 2) return make_float2(positive, x > 0 ? 1 : 0);
    if (kind == 3) return make_float2(positive * positive, 2 * positive);
    return make_float2(x * sigmoid, sigmoid * (1 + x * (1 - sigmoid)));
}

__device__ __forceinline__ float4 with_bias(const real* x, const float* bias, size_t at, int column) {
    const float4 y = load(x + at);
    return bias ? y + load(bias + column) : y;
}

// up: rows × (gate, values) or rows × width, before its bias → inner: rows × width.
extern "C" __global__ void activate(int rows, int width, int kind, int gated, const real* up, const float* bias, real* inner) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t row = at / width;
    const int column = at % width;
    if (row >= rows) return;
    const size_t from = row * (gated ? 2 * width : width) + column;
    const float4 x = with_bias(up, bias, from, column);
    float4 y = make_float4(activated(kind, x.x).x, activated(kind, x.y).x, activated(kind, x.z).x, activated(kind, x.w).x);
    if (gated) y = y * with_bias(up, bias, from + width, column + width);
    store(inner + at, y);
}

extern "C" __global__ void activate_back(int rows, int width, int kind, int gated, const real* up, const float* bias,
                                         const real* d_inner, real* d_up) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t row = at / width;
    const int column = at % width;
    if (row >= rows) return;
    const size_t from = row * (gated ? 2 * width : width) + column;
    const float4 x = with_bias(up, bias, from, column);
    const float2 a = activated(kind, x.x), b = activated(kind, x.y), c = activated(kind, x.z), d = activated(kind, x.w);
    const float4 dy = load(d_inner + at), slope = make_float4(a.y, b.y, c.y, d.y);
    if (!gated) {
        store(d_up + from, dy * slope);
        return;
    }
    store(d_up + from, dy * with_bias(up, bias, from + width, column + width) * slope);
    store(d_up + from + width, dy * make_float4(a.x, b.x, c.x, d.x));
}
