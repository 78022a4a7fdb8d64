/* grid.cuh - a grid that is begun before the one in front of it has ended.
 *
 * From sm_90 on a kernel that is launched by weir_cuda_launch_early() may begin while its stream's
 * last kernel still runs. Before it has called await_grid() it touches nothing that a kernel
 * writes: weights of the trunk are the one thing that it may read. */
#ifndef WEIR_CUDA_GRID_CUH
#define WEIR_CUDA_GRID_CUH

/* The stream's next kernel may begin, once all blocks of this one have. */
static __device__ __forceinline__ void let_next_begin()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* The kernels before this one have ended, and what they wrote is there. */
static __device__ __forceinline__ void await_grid()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* For a kernel that has nothing to do before. */
static __device__ __forceinline__ void begin_grid()
{
    let_next_begin();
    await_grid();
}

#endif
