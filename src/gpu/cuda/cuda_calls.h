/* cuda_calls.h - the CUDA driver's functions: CALL(name, symbol, arguments), to be included with a
 * meaning of CALL. */
/* clang-format off */
CALL(init, "cuInit", (unsigned flags))
CALL(driver_version, "cuDriverGetVersion", (int *version))
CALL(error_name, "cuGetErrorName", (int code, const char **text))
CALL(error_string, "cuGetErrorString", (int code, const char **text))
CALL(device_count, "cuDeviceGetCount", (int *count))
CALL(device_get, "cuDeviceGet", (weir_cu_device *device, int index))
CALL(device_name, "cuDeviceGetName", (char *name, int capacity, weir_cu_device device))
CALL(device_total, "cuDeviceTotalMem_v2", (size_t *bytes, weir_cu_device device))
CALL(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, weir_cu_device device))
CALL(context_retain, "cuDevicePrimaryCtxRetain", (weir_cu_context *context, weir_cu_device device))
CALL(context_release, "cuDevicePrimaryCtxRelease_v2", (weir_cu_device device))
CALL(context_set, "cuCtxSetCurrent", (weir_cu_context context))
CALL(memory_info, "cuMemGetInfo_v2", (size_t *free_bytes, size_t *total_bytes))
CALL(memory_alloc, "cuMemAlloc_v2", (weir_cu_pointer *at, size_t bytes))
CALL(memory_free, "cuMemFree_v2", (weir_cu_pointer at))
CALL(host_register, "cuMemHostRegister_v2", (void *start, size_t bytes, unsigned flags))
CALL(host_unregister, "cuMemHostUnregister", (void *start))
CALL(copy_in, "cuMemcpyHtoDAsync_v2",
     (weir_cu_pointer to, const void *from, size_t bytes, weir_cu_stream stream))
CALL(copy_out, "cuMemcpyDtoHAsync_v2",
     (void *to, weir_cu_pointer from, size_t bytes, weir_cu_stream stream))
CALL(copy, "cuMemcpyDtoDAsync_v2",
     (weir_cu_pointer to, weir_cu_pointer from, size_t bytes, weir_cu_stream stream))
CALL(set_bytes, "cuMemsetD8Async",
     (weir_cu_pointer at, unsigned char value, size_t count, weir_cu_stream stream))
CALL(stream_create, "cuStreamCreate", (weir_cu_stream *stream, unsigned flags))
CALL(stream_destroy, "cuStreamDestroy_v2", (weir_cu_stream stream))
CALL(stream_query, "cuStreamQuery", (weir_cu_stream stream))
CALL(stream_wait, "cuStreamWaitEvent", (weir_cu_stream stream, weir_cu_event event, unsigned flags))
CALL(event_create, "cuEventCreate", (weir_cu_event *event, unsigned flags))
CALL(event_destroy, "cuEventDestroy_v2", (weir_cu_event event))
CALL(event_record, "cuEventRecord", (weir_cu_event event, weir_cu_stream stream))
CALL(event_query, "cuEventQuery", (weir_cu_event event))
CALL(capture_begin, "cuStreamBeginCapture_v2", (weir_cu_stream stream, int mode))
CALL(capture_end, "cuStreamEndCapture", (weir_cu_stream stream, weir_cu_graph *graph))
CALL(graph_make, "cuGraphInstantiateWithFlags",
     (weir_cu_graph_exec *exec, weir_cu_graph graph, unsigned long long flags))
CALL(graph_launch, "cuGraphLaunch", (weir_cu_graph_exec exec, weir_cu_stream stream))
CALL(graph_exec_destroy, "cuGraphExecDestroy", (weir_cu_graph_exec exec))
CALL(graph_destroy, "cuGraphDestroy", (weir_cu_graph graph))
CALL(module_load, "cuModuleLoadData", (weir_cu_module *module, const void *image))
CALL(module_unload, "cuModuleUnload", (weir_cu_module module))
CALL(function_get, "cuModuleGetFunction",
     (weir_cu_function *function, weir_cu_module module, const char *name))
CALL(function_set, "cuFuncSetAttribute", (weir_cu_function function, int attribute, int value))
CALL(launch, "cuLaunchKernel",
     (weir_cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
      unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
      weir_cu_stream stream, void **args, void **extra))
