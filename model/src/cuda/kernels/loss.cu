// The cross-entropy over rows of logits: each becomes its own gradient in place.

// Copies chosen rows of features, or puts them back among rows of zeros.
extern "C" __global__ void choose(int rows, const u32* chosen, const real* x, real* y) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t row = at / WIDTH, column = at % WIDTH;
    if (row < rows) store(y + at, load(x + (size_t)chosen[row] * WIDTH + column));
}

extern "C" __global__ void put_back(int rows, const u32* chosen, const real* x, real* y) {
    const size_t at = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t row = at / WIDTH, column = at % WIDTH;
    if (row < rows) store(y + (size_t)chosen[row] * WIDTH + column, load(x + at));
}

// s = log Σ exp(logits);  loss = s − (1 − ε)·logits[target] − ε·mean(logits) + ζ·s²
// gradient = weight·((1 + 2ζ·s)·softmax − (1 − ε)·onehot − ε ÷ vocab)
// `stride` is `vocab` rounded up to a multiple of 8; what lies between becomes 0.
extern "C" __global__ void __launch_bounds__(THREADS)
    cross_entropy(int vocab, int stride, real* logits, const float* bias, const u32* targets, const float* weights,
                  float scale, float smoothing, float z, float* losses, int differentiate) {
    real* row = logits + (size_t)blockIdx.x * stride;
    const u32 target = targets[blockIdx.x];
    __shared__ float wanted;
    float top = -INFINITE, sum = 0, all = 0;
    for (int column = threadIdx.x * 4; column < stride; column += THREADS * 4) {
        const float4 x = load(row + column);
        const float parts[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (column + i >= vocab) continue;
            const float logit = parts[i] + (bias ? bias[column + i] : 0);
            if (column + i == target) wanted = logit;
            if (logit > top) {
                sum *= __expf(top - logit);
                top = logit;
            }
            sum += __expf(logit - top);
            all += logit;
        }
    }
    __shared__ float tops[THREADS / 32];
    float most = top;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
    if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = most;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < THREADS / 32; i++) most = fmaxf(most, tops[i]);
    const float log_sum = logf(block_sum(top == -INFINITE ? 0 : sum * __expf(top - most))) + most;
    const float mean = smoothing > 0 ? block_sum(all) / vocab : 0;
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = log_sum - (1 - smoothing) * wanted - smoothing * mean + z * log_sum * log_sum;
    }
    if (!differentiate) return;
    const float weight = (weights ? weights[blockIdx.x] : 1) * scale;
    const float spread = 1 + 2 * z * log_sum, even = smoothing / vocab;
    for (int column = threadIdx.x * 4; column < stride; column += THREADS * 4) {
        const float4 x = load(row + column);
        const float parts[4] = {x.x, x.y, x.z, x.w};
        float d[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int at = column + i;
            const float logit = parts[i] + (bias && at < vocab ? bias[at] : 0);
            const float hot = at == target ? 1 - smoothing : 0;
            d[i] = at < vocab ? weight * (spread * __expf(logit - log_sum) - hot - even) : 0;
        }
        store(row + column, make_float4(d[0], d[1], d[2], d[3]));
    }
}

// Σ weight·loss, in a fixed order, added to a number.
extern "C" __global__ void __launch_bounds__(THREADS) sum_losses(int count, const float* losses, const float* weights, double* sum) {
    __shared__ double parts[THREADS];
    double own = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) own += (double)losses[i] * (weights ? weights[i] : 1);
    parts[threadIdx.x] = own;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) parts[threadIdx.x] += parts[threadIdx.x + step];
    }
    if (threadIdx.x == 0) *sum += parts[0];
}
