/* gpu_none.c - what stands for the CUDA device in a build without it. */
#include "gpu/gpu_internal.h"

static enum weir_status probe(uint32_t index, struct weir_gpu_info *info, struct weir_err *err)
{
    (void)info;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "GPU %u cannot be used: this weir was built without CUDA. Install NVIDIA's "
                     "CUDA compiler (nvcc) and build it again with `make CUDA=1`",
                     index);
}

static enum weir_status open_none(weir_gpu **out, const struct weir_gpu_config *config,
                                  struct weir_err *err)
{
    (void)out;
    return probe(config->index, NULL, err);
}

const struct weir_gpu_device weir_gpu_cuda = {.probe = probe, .open = open_none};
