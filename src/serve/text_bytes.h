/* text_bytes.h - how much texts may come to remember, for letting them in. */
#ifndef WEIR_SERVE_TEXT_BYTES_H
#define WEIR_SERVE_TEXT_BYTES_H

#include "base/base.h"
#include "weir.h"

/* Of all texts that run at the same time. */
uint64_t weir_text_bytes_max(const weir_engine *engine);

#endif
