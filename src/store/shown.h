/* shown.h - slots that are read between steps: by whoever copies records elsewhere.
 *
 * Units, owns, threads: as in store.h. Nothing here fails, and nothing is counted.
 */
#ifndef WEIR_STORE_SHOWN_H
#define WEIR_STORE_SHOWN_H

#include "store/store.h"

/* Between steps: where the record's bytes are, if all of it is in a slot; else false. They stay
 * there until weir_store_hide(), which is the next call. */
bool weir_store_show(weir_store *store, uint32_t layer, uint32_t record, struct weir_lease *lease);
void weir_store_hide(weir_store *store, struct weir_lease *lease);

/* The store has a slot for every record, and all are whole: a device reads them by itself from now
 * on, whoever leases them. Before a slot is given back stop is called, once: when it returns
 * nobody reads any more. */
typedef void weir_store_stop_fn(void *user);
void weir_store_expose(weir_store *store, weir_store_stop_fn *stop, void *user);
/* True until then. */
bool weir_store_is_exposed(const weir_store *store);

#endif
