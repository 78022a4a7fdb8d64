/* device_repeat.c - steps that the device repeats: nothing of them is left to the CPU.
 *
 * Such a step is recorded once for each number of rows and each reach of attention, and then
 * launched: what differs from one to the next is in memory that it reads. */
#include "model/device_internal.h"

/* Rows of a step that is recorded, and the fewest positions that attention reaches in it; each
 * reach is twice the one before. */
enum { ROWS_MAX = WEIR_LOGIT_ROWS_MAX, REACH_MIN = 256, REACHES = 20 };

static bool is_plain(const struct weir_run *run)
{
    return run->phase == WEIR_DECODE && run->n_row == 1 && run->watch == NULL &&
           run->prescription == NULL;
}

bool weir_device_can_repeat(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const struct weir_step_view *step = &forward->step;
    if (device == NULL || !device->is_whole || step->n_row > ROWS_MAX)
        return false;
    for (uint32_t run = 0; run < step->n_run; run++)
        if (!is_plain(&step->runs[run]))
            return false;
    return true;
}

/* The reach of the step's last position, as its place among reaches. */
static uint32_t find_reach(const struct weir_forward *forward)
{
    uint32_t last = 0;
    uint32_t place = 0;
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        last = (uint32_t)weir_max(last, forward->step.rows[row].position);
    while (((uint64_t)REACH_MIN << place) <= last)
        place++;
    return place;
}

/* Bytes of the parcel that hold the tables of as many rows with as many positions. */
static uint64_t parcel_bytes(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const uint64_t pages = weir_min((uint64_t)device->reach / device->plan.page_length + 1,
                                    (uint64_t)device->plan.table_length);
    return device->parcel.pages + forward->step.n_row * pages * sizeof(uint32_t);
}

/* All of the step. Waits for nothing: so nothing fails but what is found out later. */
static enum weir_status call_all(struct weir_forward *forward, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    weir_device_send(forward, parcel_bytes(forward));
    device->has_residual = false;
    for (uint32_t layer = 0; layer < forward->shape->n_layer; layer++) {
        forward->step.layer_index = layer;
        forward->step.layer = &forward->config.model->layers[layer];
        WEIR_TRY(weir_device_run_layer(forward, err));
    }
    weir_gpu_copy(device->gpu, WEIR_GPU_COMPUTE, device->scratch.projected,
                  device->scratch.residual,
                  (uint64_t)forward->step.n_row * forward->shape->d_model * sizeof(float));
    weir_device_multiply_output(forward, forward->step.n_row);
    weir_device_bring(forward);
    return WEIR_OK;
}

enum weir_status weir_device_repeat(struct weir_forward *forward, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    const uint32_t place = find_reach(forward);
    const uint32_t number = (forward->step.n_row - 1) * REACHES + place;
    WEIR_ASSERT(place < REACHES && number < WEIR_GPU_GRAPH_MAX);
    device->reach = (REACH_MIN << place) - 1;
    (void)weir_device_pack(forward);
    if (!device->is_recorded[number] && weir_gpu_graph_begin(device->gpu, number)) {
        WEIR_TRY(call_all(forward, err));
        weir_gpu_graph_end(device->gpu, number);
        device->is_recorded[number] = true;
    }
    if (device->is_recorded[number])
        weir_gpu_graph_launch(device->gpu, number);
    else
        WEIR_TRY(call_all(forward, err));
    device->reach = 0;
    device->logit_count = forward->step.n_row;
    device->stats.uses += forward->step.n_row * weir_model_use_count(forward->config.model);
    device->stats.uses_there = device->stats.uses;
    return weir_device_await(forward, err);
}
