// Steps of AdamW and the norm of the gradient, over chunks of tensors that lie one behind the other.

// First number (in fours), numbers, tensor.
struct Chunk {
    u32 start;
    u32 count;
    u32 tensor;
};

// What a tensor's step multiplies by: rate ÷ (1 − β₁ᵗ), what its values keep, how much L1 takes off, the unit of its gradient.
struct Strength {
    float rate;
    float keep;
    float shrink;
    float unit;
};

extern "C" __global__ void __launch_bounds__(THREADS)
    adamw(const Chunk* chunks, const Strength* strengths, float* values, const float* gradients, float* firsts,
          float* seconds, real* copies, float beta1, float beta2, float epsilon, float clip, float root) {
    const Chunk chunk = chunks[blockIdx.x];
    const Strength s = strengths[chunk.tensor];
    for (u32 i = threadIdx.x * 4; i < chunk.count; i += THREADS * 4) {
        const size_t at = (size_t)chunk.start * 4 + i;
        const float4 g = load(gradients + at) * clip;
        const float4 m = load(firsts + at) * beta1 + g * (1 - beta1);
        const float4 v = load(seconds + at) * beta2 + g * g * (1 - beta2);
        store(firsts + at, m);
        store(seconds + at, v);
        const float4 w = load(values + at);
        float to[4] = {
            s.keep * w.x - s.rate * m.x / (sqrtf(v.x) * root + epsilon),
            s.keep * w.y - s.rate * m.y / (sqrtf(v.y) * root + epsilon),
            s.keep * w.z - s.rate * m.z / (sqrtf(v.z) * root + epsilon),
            s.keep * w.w - s.rate * m.w / (sqrtf(v.w) * root + epsilon),
        };
        if (s.shrink > 0) {
#pragma unroll
            for (int k = 0; k < 4; k++) to[k] = copysignf(fmaxf(fabsf(to[k]) - s.shrink, 0), to[k]);
        }
        const float4 y = make_float4(to[0], to[1], to[2], to[3]);
        store(values + at, y);
        if (copies) store(copies + at, y);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    squares(const Chunk* chunks, const Strength* strengths, const float* gradients, double* sums) {
    const Chunk chunk = chunks[blockIdx.x];
    float sum = 0;
    for (u32 i = threadIdx.x * 4; i < chunk.count; i += THREADS * 4) {
        const float4 g = load(gradients + (size_t)chunk.start * 4 + i);
        sum += total(g * g);
    }
    const double unit = strengths[chunk.tensor].unit;
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum * unit * unit;
}

extern "C" __global__ void __launch_bounds__(THREADS) sum_doubles(int count, const double* x, double* sum) {
    __shared__ double parts[THREADS];
    double own = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) own += x[i];
    parts[threadIdx.x] = own;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) parts[threadIdx.x] += parts[threadIdx.x + step];
    }
    if (threadIdx.x == 0) *sum = parts[0];
}
