/* mem_internal.h - between the files of planned memory. */
#ifndef WEIR_MEM_INTERNAL_H
#define WEIR_MEM_INTERNAL_H

#include "base/mem.h"

/* Fault the pages in; 0 or an errno. What is in them stays. */
int weir_mem_touch_range(uint8_t *start, uint64_t bytes);
/* Begin to fault in all regions but WEIR_MEM_IO, with threads. */
enum weir_status weir_mem_touch_begin(struct weir_mem *mem, struct weir_err *err);
/* After weir_mem_open_end(): wait for the other pages, too. */
enum weir_status weir_mem_touch_all(struct weir_mem *mem, struct weir_err *err);
/* End early; what has no pages yet gets them when it is used. Nothing is reported. */
void weir_mem_touch_stop(struct weir_mem *mem);
enum weir_status weir_mem_refuse(const struct weir_mem *mem, enum weir_mem_use use, int os_errno,
                                 struct weir_err *err);

#endif
