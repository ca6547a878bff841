// Numbers as they lie in memory, sums over threads, and the draws of dropout.
//
// BF16      activations and products are bf16 (1 sign, 8 exponent, 7 mantissa bits); without it they are f32.
// WIDTH     features of a token between blocks, a multiple of 8.
// HEAD      features of a head, a multiple of 8.
// Sums, norms, losses, gradients of parameters and the residual are f32 in both.


#ifdef BF16
struct real { u16 bits; };
__device__ __forceinline__ float number(real x) { return __uint_as_float((u32)x.bits << 16); }
__device__ __forceinline__ real rounded(float x) { return real{to_bf16(x)}; }
__device__ __forceinline__ float4 load(const real* at) {
    const uint2 raw = *reinterpret_cast<const uint2*>(at);
    return make_float4(__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
                       __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u));
}
__device__ __forceinline__ void store(real* at, float4 x) {
    *reinterpret_cast<uint2*>(at) = make_uint2(pair(x.x, x.y), pair(x.z, x.w));
}
#else
typedef float real;
__device__ __forceinline__ float number(real x) { return x; }
__device__ __forceinline__ real rounded(float x) { return x; }
#endif
__device__ __forceinline__ float4 load(const float* at) { return *reinterpret_cast<const float4*>(at); }
__device__ __forceinline__ void store(float* at, float4 x) { *reinterpret_cast<float4*>(at) = x; }

__device__ __forceinline__ float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ __forceinline__ float4 operator*(float4 a, float4 b) {
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}
__device__ __forceinline__ float4 operator*(float4 a, float b) {
    return make_float4(a.x * b, a.y * b, a.z * b, a.w * b);
}
__device__ __forceinline__ float4 operator-(float4 a, float b) {
    return make_float4(a.x - b, a.y - b, a.z - b, a.w - b);
}
__device__ __forceinline__ float total(float4 a) { return (a.x + a.y) + (a.z + a.w); }

// Threads of one row of features, and the vectors of four that each of them holds.
#define THREADS 256
#define ROW_THREADS (WIDTH <= 1024 ? 32 : THREADS)
#define ROW_VECTORS ((WIDTH / 4 + ROW_THREADS - 1) / ROW_THREADS)

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// The sum over the threads of a block, the same in each, in a fixed order.
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float parts[THREADS / 32];
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int part = 0; part < THREADS / 32; part++) sum += parts[part];
    return sum;
}

__device__ __forceinline__ float row_sum(float x) { return ROW_THREADS == 32 ? warp_sum(x) : block_sum(x); }

// Dropout as the CPU draws it: number `n` of the SplitMix64 stream of `key`. Where `below` is 0 nothing falls.
struct Drop {
    u64 key;
    u64 below;
    float scale;
};

__device__ __forceinline__ float kept(Drop drop, size_t n, float x) {
    u64 z = drop.key + ((u64)n + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return (z >> 11) < drop.below ? 0.0f : x * drop.scale;
}

__device__ __forceinline__ float4 kept(Drop drop, size_t n, float4 x) {
    if (drop.below == 0) return x;
    return make_float4(kept(drop, n, x.x), kept(drop, n + 1, x.y), kept(drop, n + 2, x.z), kept(drop, n + 3, x.w));
}
