// What the host needs beyond the kernels' own headers: threads over replicas and parts of them.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#define LANES 16  // floats in the widest vector; a loop over a multiple of it leaves no odd sites over

// Stands before a loop over sites whose turns do not depend on one another. (OpenMP's simd pragma
// would say it portably, but GCC then keeps the inlined functions' locals in memory and gives up.)
#if defined(__clang__)
#define VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define VECTOR_LOOP _Pragma("GCC ivdep")
#endif

// Calls work(task) for task = 0 … count-1, which may be replicas or parts of them, on so many threads.
// Each is done by one thread alone, so the result does not depend on their number. Each thread has
// its own copy of `work`, which may hold memory to work in.
template <class Work>
static void for_each_task(int count, int threads, Work work) {
    std::atomic<int> next{0};
    auto loop = [&next, count, work]() mutable {
        for (int task; (task = next.fetch_add(1)) < count;) work(task);
    };
    std::vector<std::thread> crew;
    for (int t = 1; t < threads && t < count; ++t) crew.emplace_back(loop);
    loop();
    for (auto& member : crew) member.join();
}
