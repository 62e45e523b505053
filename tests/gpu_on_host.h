// CUDA's words for the host's compiler, and its blocks of threads, one thread after the other.
// Threads of a block with shared memory take turns: each runs to the next barrier or to its end.
#include <ucontext.h>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>
#define __CUDACC__
#define __device__
#define __global__ __attribute__((visibility("hidden")))  // the C library has an advance() as well
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __syncthreads() wait_at(__LINE__)
#define __expf expf
#define __logf logf
#define __sincosf sincosf
#define __fmaf_rn fmaf
#define rsqrtf inverse_of_root  // newer C libraries have one of that name
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct Index { unsigned x, y, z; };
static Index blockIdx, blockDim, threadIdx;
static float2 make_float2(float x, float y) { return {x, y}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
static unsigned __umulhi(unsigned a, unsigned b) { return ((unsigned long long)a * b) >> 32; }
static float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static float __fdividef(float a, float b) { return a / b; }

static const int ENDED = -1, STACK = 32768, MARGIN = 1 << 16;
struct Thread { ucontext_t context; std::unique_ptr<char[]> stack; int line; };
static std::vector<Thread> crew;
static ucontext_t between_turns;
static unsigned turn;
static std::function<void()> kernel;
static std::vector<float> memory;
static float* shared;
static const char* fault;

static void wait_at(int line) {
    if (crew.empty()) {
        fault = "a barrier without shared memory, for which threads do not take turns here";
        return;
    }
    crew[turn].line = line;
    swapcontext(&crew[turn].context, &between_turns);
}
static void live() {
    kernel();
    crew[turn].line = ENDED;
}

static void take_turns(unsigned bytes) {
    memory.assign(bytes / 4 + 2 * MARGIN, NAN);  // whoever reads what was not written gets a NaN
    shared = memory.data() + MARGIN;
    crew.resize(blockDim.x * blockDim.y);
    for (Thread& t : crew) {
        if (!t.stack) t.stack.reset(new char[STACK]);
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.get(), t.context.uc_stack.ss_size = STACK;
        t.context.uc_link = &between_turns;
        makecontext(&t.context, live, 0);
    }
    do {
        for (turn = 0; turn < crew.size(); ++turn) {
            threadIdx = {turn % blockDim.x, turn / blockDim.x, 0};
            swapcontext(&between_turns, &crew[turn].context);
        }
        for (Thread& t : crew)
            if (t.line != crew[0].line) {
                fault = "a barrier that only some threads reach";
                return;
            }
    } while (crew[0].line != ENDED);
    for (int i = 0; i < MARGIN; ++i)
        if (!std::isnan(memory[i]) || !std::isnan(shared[bytes / 4 + i]))
            fault = "written beyond the shared memory";
}

// Calls `kernel` for a grid of n[0] × n[1] × n[2] blocks of n[3] × n[4] threads; says what was wrong.
static const char* run(const unsigned* n, unsigned bytes) {
    fault = nullptr;
    crew.clear();
    blockDim = {n[3], n[4], 1};
    for (unsigned block = 0; block < n[0] * n[1] * n[2] && !fault; ++block) {
        blockIdx = {block % n[0], block / n[0] % n[1], block / n[0] / n[1]};
        if (bytes) {
            take_turns(bytes);
            continue;
        }
        for (unsigned thread = 0; thread < n[3] * n[4]; ++thread) {
            threadIdx = {thread % n[3], thread / n[3], 0};
            kernel();
        }
    }
    return fault;
}
