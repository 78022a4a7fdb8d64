/* probe.h - short measurements of what a run waits for: reads, memory, kernels.
 *
 * A probe owns its memory and its threads from open to close; close takes what is zeroed or half
 * open. One thread calls. Durations are what a measurement should take: reads in flight at its end
 * are waited for, and counted. */
#ifndef WEIR_ENGINE_PROBE_H
#define WEIR_ENGINE_PROBE_H

#include "base/mem.h"
#include "formats/formats.h"
#include "io/io.h"
#include "kernels/kernels.h"
#include "sys/sys.h"
#include "weir.h"

struct weir_model;

/* What one read asks for. */
struct weir_probe_place {
    uint64_t offset;    /* multiple of WEIR_IO_ALIGN */
    uint32_t file;      /* of the model; 0 */
    uint32_t bytes;     /* multiple of WEIR_IO_ALIGN */
    uint32_t min_bytes; /* the file has at least these of it */
};

struct weir_probe_places {
    const weir_manifest *manifest; /* borrowed: whose files they are in; NULL: in one file */
    struct weir_probe_place *list; /* heap */
    uint32_t count;
    uint32_t bytes_max;   /* the longest */
    uint64_t total_bytes; /* of all */
};

/* The file cut in pieces of read_bytes, a multiple of WEIR_IO_ALIGN; a rest is left out. */
enum weir_status weir_probe_places_cut(struct weir_probe_places *places, uint64_t file_bytes,
                                       uint32_t read_bytes, struct weir_err *err);
/* The slices of a model's experts, or every n-th where they are very many. */
enum weir_status weir_probe_places_slices(struct weir_probe_places *places,
                                          const struct weir_model *model, struct weir_err *err);
void weir_probe_places_free(struct weir_probe_places *places);

struct weir_disk_probe {
    weir_io *io;
    struct weir_mem mem;
    struct weir_probe_places places; /* in random order: none comes again before all others */
    uint32_t next_place;
    uint8_t *buffer;
    uint32_t *free_slots;  /* [slot_count]; a slot holds the longest place */
    uint32_t *slot_places; /* [slot_count]: which place each one reads */
    uint32_t slot_count, free_count;
    uint64_t in_flight_bytes, done_bytes;
};

/* Takes places, also on failure; path is their file where they have no manifest. Reads of at most
 * in_flight_max_bytes together, one at least. Errors: ARG (no places), NOMEM, and what io says. */
enum weir_status weir_disk_probe_open(struct weir_disk_probe *probe, const char *path,
                                      enum weir_io_kind kind, struct weir_probe_places *places,
                                      uint64_t in_flight_max_bytes, struct weir_err *err);
void weir_disk_probe_close(struct weir_disk_probe *probe);
/* Keep in_flight_bytes in flight. */
enum weir_status weir_disk_probe_read(struct weir_disk_probe *probe, uint64_t in_flight_bytes,
                                      uint64_t duration_ns, double *bytes_per_s,
                                      struct weir_err *err);
/* As decoding reads: read_count places as fast as in_flight_bytes allow, a millisecond of nothing,
 * and so on; bytes per second while reads are pending. */
enum weir_status weir_disk_probe_burst(struct weir_disk_probe *probe, uint64_t in_flight_bytes,
                                       uint32_t read_count, uint64_t duration_ns,
                                       double *bytes_per_s, struct weir_err *err);

struct weir_memory_probe {
    weir_pool *pool;
    struct weir_mem mem;
    uint8_t *start; /* memory that no cache holds */
    uint64_t bytes;
    uint64_t cursor; /* what is read next */
    uint8_t *x;      /* matmul's activations and results; NULL without a matmul */
    float *y;
};

/* A matrix of weights as the model has it. */
struct weir_probe_matrix {
    const struct weir_kernels *kernels;
    enum weir_type type;
    uint64_t rows, cols;
    uint32_t group_rows, group_cols; /* of codes that a scale is for; 0: there are none */
    enum weir_scale_type scale_type;
    uint32_t n_token_max;
};
/* The one that stands for all of the model's: weir_main_weight(). kernels are borrowed. */
struct weir_probe_matrix weir_probe_matrix_of(const struct weir_model *model,
                                              const struct weir_kernels *kernels,
                                              uint32_t n_token_max);

/* matrix may be NULL: no matmul will be measured. Errors: NOMEM, and what the pool says. */
enum weir_status weir_memory_probe_open(struct weir_memory_probe *probe, uint32_t n_thread,
                                        const struct weir_probe_matrix *matrix,
                                        struct weir_err *err);
void weir_memory_probe_close(struct weir_memory_probe *probe);
/* Bytes per second that all threads read together. */
double weir_memory_probe_read(struct weir_memory_probe *probe, uint64_t duration_ns);
/* Bytes of weights per second that the kernel multiplies with n_token tokens. */
double weir_memory_probe_matmul(struct weir_memory_probe *probe,
                                const struct weir_probe_matrix *matrix, uint32_t n_token,
                                uint64_t duration_ns);

struct weir_probe_both {
    double disk_bytes_per_s, memory_bytes_per_s;
};
/* Reads arrive in memory that the threads read at the same time. */
enum weir_status weir_probe_both(struct weir_disk_probe *disk, struct weir_memory_probe *memory,
                                 uint64_t in_flight_bytes, uint64_t duration_ns,
                                 struct weir_probe_both *both, struct weir_err *err);

/* What of a GPU is measured, and with how much. */
struct weir_gpu_probing {
    int kind;              /* enum weir_gpu_kind */
    uint64_t copy_bytes;   /* the largest copy: whole pages, at least 64 KiB */
    uint64_t weight_bytes; /* that products pass in turn: more than a cache holds */
    uint32_t width;        /* of square matrices: a multiple of 256 */
    uint32_t prompt_rows;
};
enum weir_status weir_gpu_probe_speeds(struct weir_gpu_speeds *speeds,
                                       const struct weir_gpu_probing *config,
                                       weir_calibrate_fn *progress, void *user,
                                       struct weir_err *err);
void weir_gpu_facts_get(struct weir_gpu_facts *facts);

#endif
