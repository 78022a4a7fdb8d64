/* mem_internal.h - between the files of planned memory. */
#ifndef WEIR_MEM_INTERNAL_H
#define WEIR_MEM_INTERNAL_H

#include "base/mem.h"

/* Fault the pages in; 0 or an errno. What is in them stays. */
int weir_mem_touch_range(uint8_t *start, uint64_t bytes);
/* Threads that fault in all regions but WEIR_MEM_IO, until weir_mem_open_end(), whose error is the
 * first that was met. */
enum weir_status weir_mem_touch_begin(struct weir_mem *mem, struct weir_err *err);
/* End early; nothing is reported. */
void weir_mem_touch_stop(struct weir_mem *mem);
enum weir_status weir_mem_refuse(const struct weir_mem *mem, enum weir_mem_use use, int os_errno,
                                 struct weir_err *err);

#endif
