// A GPU that is none: the driver, NVRTC and cuBLAS as far as this crate asks them, on the CPU, so that kernels can be tested where there is no GPU.
//
//   mkdir /tmp/emulated && g++ -O2 -shared -fPIC -o /tmp/emulated/libcuda.so model/src/cuda/emulator.cpp -ldl
//   ln -s libcuda.so /tmp/emulated/libcublas.so; ln -s libcuda.so /tmp/emulated/libnvrtc.so
//   LD_LIBRARY_PATH=/tmp/emulated EMULATED=/tmp/emulated cargo test --workspace --lib cuda:: -- --test-threads=1
//
// Kernels are compiled by g++ as C++, with what stands in `machine.cu` written out below from the PTX manual. The threads of a block are fibers of one
// thread: one runs until it waits for others. What is compiled is kept in the folder EMULATED.
// It is slow, shows nothing of speed, and finds no race between threads that a wait would have ordered.

#include <cmath>
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

// What every kernel is compiled with.
static const char *PREFIX = R"CPP(
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
using std::size_t;
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(n) alignas(n)
struct dim { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct Machine {
    dim thread, block, grid, size;
    unsigned char *shared;
    void (*all)();
    void (*warp)();
    unsigned long long *slots;  // 16 for each thread of the warp
};
extern "C" { Machine machine; }
#define threadIdx machine.thread
#define blockIdx machine.block
#define gridDim machine.grid
#define blockDim machine.size
static inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
static inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
static inline unsigned bits_of(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
#define __expf(x) expf(x)
static inline void __syncthreads() { machine.all(); }
static inline unsigned lane_of() { return (threadIdx.x + threadIdx.y * blockDim.x) % 32; }
static inline float __shfl_xor_sync(unsigned, float x, int step) {
    const unsigned lane = lane_of();
    unsigned long long *slots = machine.slots;
    slots[lane * 16] = bits_of(x);
    machine.warp();
    const float other = __uint_as_float((unsigned)slots[(lane ^ step) * 16]);
    machine.warp();
    return other;
}
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define INFINITE __int_as_float(0x7f800000)
static inline u16 to_bf16(float x) {
    const unsigned bits = bits_of(x);
    if (x != x) return 0x7fff;
    return (u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static inline float of_bf16(u16 x) { return __uint_as_float((unsigned)x << 16); }
static inline u32 pair(float first, float second) { return to_bf16(first) | (u32)to_bf16(second) << 16; }
static inline void copy_16(void *to, const void *from) {
    if ((size_t)to % 16 || (size_t)from % 16) __builtin_trap();
    memcpy(to, from, 16);
}
static inline void copied() {}
template <int LEFT> static inline void wait() {}
static inline void load_matrices(u32 (&to)[4], const void *row, bool transposed) {
    const unsigned lane = lane_of();
    unsigned long long *slots = machine.slots;
    if ((size_t)row % 16) __builtin_trap();
    slots[lane * 16] = (u64)row;
    machine.warp();
    u32 found[4];
    for (unsigned m = 0; m < 4; m++) {
        u16 two[2];
        for (unsigned i = 0; i < 2; i++) {
            const unsigned at = transposed ? lane % 4 * 2 + i : lane / 4, column = transposed ? lane / 4 : lane % 4 * 2 + i;
            two[i] = ((const u16 *)slots[(m * 8 + at) * 16])[column];
        }
        found[m] = two[0] | (u32)two[1] << 16;
    }
    machine.warp();
    for (unsigned m = 0; m < 4; m++) to[m] = found[m];
}
static inline void matrices(u32 (&to)[4], const void *row) { load_matrices(to, row, false); }
static inline void matrices_transposed(u32 (&to)[4], const void *row) { load_matrices(to, row, true); }
static inline void multiply(float (&to)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    const unsigned lane = lane_of(), g = lane / 4, c = lane % 4;
    unsigned long long *slots = machine.slots;
    for (unsigned i = 0; i < 4; i++) slots[lane * 16 + i] = a[i];
    slots[lane * 16 + 4] = b0;
    slots[lane * 16 + 5] = b1;
    machine.warp();
    float sum[4];
    for (unsigned e = 0; e < 4; e++) {
        const unsigned row = g + e / 2 * 8, column = c * 2 + e % 2;
        float add = to[e];
        for (unsigned k = 0; k < 16; k++) {
            // A: register (k ≥ 8)·2 + (row ≥ 8) of lane (row mod 8)·4 + (k mod 8) ÷ 2;  B: register k ≥ 8 of lane column·4 + (k mod 8) ÷ 2.
            const u32 x = (u32)slots[((row % 8) * 4 + k % 8 / 2) * 16 + k / 8 * 2 + row / 8];
            const u32 y = (u32)slots[(column * 4 + k % 8 / 2) * 16 + 4 + k / 8];
            add += of_bf16((u16)(x >> (k % 2 * 16))) * of_bf16((u16)(y >> (k % 2 * 16)));
        }
        sum[e] = add;
    }
    machine.warp();
    for (unsigned e = 0; e < 4; e++) to[e] = sum[e];
}
template <class... A, size_t... I>
static void call(void (*f)(A...), void **p, std::index_sequence<I...>) { f(*(A *)p[I]...); }
template <class... A>
static void call(void (*f)(A...), void **p) { call(f, p, std::index_sequence_for<A...>{}); }
)CPP";

struct Dim { unsigned x, y, z; };
struct Machine {
    Dim thread, block, grid, size;
    unsigned char *shared;
    void (*all)();
    void (*warp)();
    unsigned long long *slots;
};

// ---- fibers ----

extern "C" void switch_fiber(void **save, void *load);
asm(R"(
.text
.globl switch_fiber
.type switch_fiber, @function
switch_fiber:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size switch_fiber, .-switch_fiber
)");

static const size_t STACK = 64 << 10;
struct Fiber {
    void *stack;
    unsigned char *memory;
    Dim thread;
    bool alive;
    unsigned waits_all, waits_warp;  // generation it waits for; 0 for none
};
struct Gate { unsigned generation = 1, arrived = 0, alive = 0; };

static std::vector<Fiber> fibers;
static std::vector<Gate> warps;
static Gate whole;
static unsigned now;
static void *home;
static Machine *machine;
static std::vector<unsigned long long> slots;
static void (*entry)(void **);
static void **arguments;

static void leave() { switch_fiber(&fibers[now].stack, home); }
static void settle(Gate &gate) {
    if (gate.alive > 0 && gate.arrived == gate.alive) { gate.generation++; gate.arrived = 0; }
}
static void wait_at(Gate &gate) {
    const unsigned mine = gate.generation;
    gate.arrived++;
    settle(gate);
    while (gate.generation == mine) leave();
}
static void all() { wait_at(whole); }
static void warp() { wait_at(warps[now / 32]); }

static void body() {
    entry(arguments);
    Fiber &fiber = fibers[now];
    fiber.alive = false;
    whole.alive--;
    settle(whole);
    warps[now / 32].alive--;
    settle(warps[now / 32]);
    leave();
    abort();
}

static void run_block(unsigned threads, Dim size) {
    while (fibers.size() < threads) fibers.push_back({nullptr, (unsigned char *)aligned_alloc(64, STACK), {}, false, 0, 0});
    warps.assign((threads + 31) / 32, Gate());
    whole = Gate();
    whole.alive = threads;
    slots.resize(warps.size() * 32 * 16);
    for (unsigned i = 0; i < threads; i++) {
        Fiber &fiber = fibers[i];
        void **top = (void **)(fiber.memory + STACK - 64);
        *--top = nullptr;
        *--top = (void *)body;
        for (int r = 0; r < 6; r++) *--top = nullptr;
        fiber.stack = top;
        fiber.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
        fiber.alive = true;
        warps[i / 32].alive++;
    }
    for (unsigned left = threads; left > 0;) {
        left = 0;
        for (unsigned i = 0; i < threads; i++) {
            if (!fibers[i].alive) continue;
            now = i;
            machine->thread = fibers[i].thread;
            machine->slots = &slots[i / 32 * 32 * 16];
            switch_fiber(&home, fibers[i].stack);
            left += fibers[i].alive;
        }
    }
}

// ---- NVRTC ----

struct Program { std::string source, options; };
typedef int Result;
extern "C" {
Result nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
    *program = new Program{source, ""};
    return 0;
}
Result nvrtcCompileProgram(void *program, int count, const char *const *options) {
    for (int i = 0; i < count; i++)
        if (!strncmp(options[i], "-D", 2)) ((Program *)program)->options += std::string(" ") + options[i];
    return 0;
}
static std::string image(void *program) {
    const Program *p = (Program *)program;
    return "emulated" + p->options + "\n" + p->source;
}
Result nvrtcGetCUBINSize(void *program, size_t *size) { *size = image(program).size() + 1; return 0; }
Result nvrtcGetCUBIN(void *program, char *to) { const std::string all = image(program); memcpy(to, all.c_str(), all.size() + 1); return 0; }
Result nvrtcGetProgramLogSize(void *, size_t *size) { *size = 1; return 0; }
Result nvrtcGetProgramLog(void *, char *to) { *to = 0; return 0; }
Result nvrtcDestroyProgram(void **program) { delete (Program *)*program; return 0; }

// ---- driver ----

struct Module { void *library; };
struct Function { void (*entry)(void **); Machine *machine; };

Result cuInit(unsigned) { return 0; }
Result cuDeviceGet(int *device, int) { *device = 0; return 0; }
Result cuDeviceGetCount(int *count) { *count = 1; return 0; }
Result cuDevicePrimaryCtxRetain(void **context, int) { *context = (void *)1; return 0; }
Result cuDevicePrimaryCtxRelease_v2(int) { return 0; }
Result cuCtxSetCurrent(void *) { return 0; }
Result cuCtxGetCurrent(void **context) { *context = (void *)1; return 0; }
Result cuCtxSynchronize() { return 0; }
Result cuDeviceGetAttribute(int *value, int which, int) {
    // 75 and 76: compute capability; 97: shared memory of a block; 16: multiprocessors; 115: memory pools.
    *value = which == 75 ? 9 : which == 76 ? 0 : which == 97 ? 232448 : which == 16 ? 3 : which == 115 ? 1 : 0;
    return 0;
}
Result cuDeviceGetName(char *name, int size, int) { snprintf(name, size, "emulated GPU"); return 0; }
Result cuMemGetInfo_v2(size_t *free, size_t *total) { *free = *total = (size_t)4 << 30; return 0; }
Result cuStreamCreate(void **stream, unsigned) { *stream = (void *)2; return 0; }
Result cuStreamDestroy_v2(void *) { return 0; }
Result cuStreamSynchronize(void *) { return 0; }
Result cuMemAllocAsync(unsigned long long *at, size_t bytes, void *) {
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xff, bytes);  // NaN until it is written
    *at = (unsigned long long)memory;
    return 0;
}
Result cuMemFreeAsync(unsigned long long at, void *) { free((void *)at); return 0; }
Result cuMemAlloc_v2(unsigned long long *at, size_t bytes) { return cuMemAllocAsync(at, bytes, nullptr); }
Result cuMemFree_v2(unsigned long long at) { free((void *)at); return 0; }
Result cuMemsetD8Async(unsigned long long at, unsigned char value, size_t count, void *) { memset((void *)at, value, count); return 0; }
Result cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *) { memcpy((void *)to, from, bytes); return 0; }
Result cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *) { memcpy(to, (void *)from, bytes); return 0; }
Result cuGetErrorName(Result, const char **text) { *text = "emulated error"; return 0; }
Result cuGetErrorString(Result, const char **text) { *text = "emulated error"; return 0; }

Result cuModuleLoadData(void **module, const void *data) {
    std::string text = (const char *)data;
    const size_t line = text.find('\n');
    const std::string options = text.substr(strlen("emulated"), line - strlen("emulated"));
    std::string source = text.substr(line + 1);
    // The instructions stand in the prefix.
    source = source.substr(source.find("// Numbers as they lie in memory"));
    const std::string memory = "extern __shared__ __align__(16) unsigned char memory[];";
    for (size_t at; (at = source.find(memory)) != std::string::npos;) source.replace(at, memory.size(), "unsigned char* memory = machine.shared;");
    std::string all = std::string(PREFIX) + source + "\n";
    const std::regex kernel("extern \"C\" __global__ void(?:\\s+__launch_bounds__\\((?:[^()]|\\([^()]*\\))*\\))?\\s+(\\w+)\\s*\\(");
    for (std::sregex_iterator it(source.begin(), source.end(), kernel), end; it != end; ++it) {
        const std::string name = (*it)[1];
        all += "extern \"C\" void enter_" + name + "(void **p) { call(" + name + ", p); }\n";
    }
    const char *folder = getenv("EMULATED");
    const std::string base = std::string(folder ? folder : "/tmp") + "/kernels-" + std::to_string(std::hash<std::string>()(all + options));
    struct stat found;
    if (stat((base + ".so").c_str(), &found)) {
        FILE *file = fopen((base + ".cpp").c_str(), "w");
        fwrite(all.data(), 1, all.size(), file);
        fclose(file);
        const std::string made = base + "." + std::to_string(getpid());
        const std::string command = "g++ -std=c++17 -O1 -w -fno-strict-aliasing -shared -fPIC" + options + " -o " + made + " " + base + ".cpp && mv " + made + " " + base + ".so";
        if (system(command.c_str())) return 218;
    }
    void *library = dlopen((base + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) { fprintf(stderr, "%s\n", dlerror()); return 218; }
    *module = new Module{library};
    return 0;
}
Result cuModuleUnload(void *module) { delete (Module *)module; return 0; }
Result cuModuleGetFunction(void **function, void *module, const char *name) {
    void *library = ((Module *)module)->library;
    void *entry = dlsym(library, (std::string("enter_") + name).c_str());
    if (!entry) return 500;
    *function = new Function{(void (*)(void **))entry, (Machine *)dlsym(library, "machine")};
    return 0;
}
Result cuFuncSetAttribute(void *, int, int) { return 0; }
Result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *, void **parameters, void **) {
    const Function *f = (Function *)function;
    static std::vector<unsigned char> memory;
    memory.assign(shared + 256, 0xff);
    machine = f->machine;
    entry = f->entry;
    arguments = parameters;
    machine->grid = {gx, gy, gz};
    machine->size = {bx, by, bz};
    machine->all = all;
    machine->warp = warp;
    machine->shared = (unsigned char *)(((size_t)memory.data() + 255) / 256 * 256);
    for (unsigned z = 0; z < gz; z++)
        for (unsigned y = 0; y < gy; y++)
            for (unsigned x = 0; x < gx; x++) {
                machine->block = {x, y, z};
                run_block(bx * by * bz, machine->size);
            }
    return 0;
}

// ---- cuBLAS ----

Result cublasCreate_v2(void **handle) { *handle = (void *)3; return 0; }
Result cublasDestroy_v2(void *) { return 0; }
Result cublasSetStream_v2(void *, void *) { return 0; }
Result cublasSetMathMode(void *, int) { return 0; }
Result cublasSetWorkspace_v2(void *, void *, size_t) { return 0; }
static float number_at(const void *at, int type, size_t i) {
    if (type == 0) return ((const float *)at)[i];
    const unsigned bits = (unsigned)((const unsigned short *)at)[i] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
Result cublasGemmEx(void *, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int a_type, int lda, const void *b, int b_type, int ldb,
                    const void *beta, void *c, int c_type, int ldc, int, int) {
    for (int column = 0; column < n; column++)
        for (int row = 0; row < m; row++) {
            double sum = 0;
            for (int i = 0; i < k; i++)
                sum += (double)number_at(a, a_type, ta ? (size_t)row * lda + i : (size_t)i * lda + row) *
                       number_at(b, b_type, tb ? (size_t)i * ldb + column : (size_t)column * ldb + i);
            const size_t at = (size_t)column * ldc + row;
            float result = *(const float *)alpha * (float)sum;
            if (*(const float *)beta != 0) result += *(const float *)beta * number_at(c, c_type, at);
            if (c_type == 0) {
                ((float *)c)[at] = result;
            } else {
                unsigned bits;
                memcpy(&bits, &result, 4);
                ((unsigned short *)c)[at] = (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
            }
        }
    return 0;
}
}
