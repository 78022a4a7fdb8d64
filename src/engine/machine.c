/* machine.c - what this machine offers: facts and short probes, for weir doctor. */
#include "engine/engine_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/probe.h"

enum {
    READ_BYTES = 4 << 20,
    IN_FLIGHT_BYTES = 32 << 20,
    FILE_BYTES_MIN = 16 << 20,
    PROBE_NS = 500000000,
    DRAM_NS = 10000000,
    DRAM_ROUNDS = 9, /* the best counts: whatever disturbs a round makes it slower */
};

static void probe_uring(struct weir_machine *machine)
{
    const struct weir_io_config config = {.kind = WEIR_IO_URING};
    struct weir_err err = {0};
    weir_io *io = NULL;
    machine->uring_ok = weir_io_create(&io, &config, &err) == WEIR_OK;
    if (machine->uring_ok)
        weir_io_destroy(&io);
    else
        snprintf(machine->uring_why, sizeof(machine->uring_why), "%.190s", err.text);
}

/* Bytes per second of a short probe of the file; 0 when it is too small to tell. */
static double probe_reads(const char *name, uint64_t file_bytes)
{
    struct weir_disk_probe probe;
    struct weir_probe_places places;
    double bytes_per_s = 0.0;
    if (file_bytes < FILE_BYTES_MIN ||
        weir_probe_places_cut(&places, file_bytes, READ_BYTES, NULL) != WEIR_OK ||
        weir_disk_probe_open(&probe, name, WEIR_IO_AUTO, &places, IN_FLIGHT_BYTES, NULL) != WEIR_OK)
        return 0.0;
    if (weir_disk_probe_read(&probe, IN_FLIGHT_BYTES, PROBE_NS, &bytes_per_s, NULL) != WEIR_OK)
        bytes_per_s = 0.0;
    weir_disk_probe_close(&probe);
    return bytes_per_s;
}

/* A file whose file system is the one in question: path itself, or a short-lived one in it. */
static bool choose_file(const char *path, char *name, size_t capacity, bool *made)
{
    *made = false;
    snprintf(name, capacity, "%s", path);
    FILE *file = fopen(path, "rbe");
    const bool readable = file != NULL && fgetc(file) != EOF;
    if (file != NULL)
        fclose(file);
    if (readable)
        return true;
    snprintf(name, capacity, "%s/.weir-doctor-XXXXXX", path);
    const int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return false;
    static const char page[2 * WEIR_IO_ALIGN];
    *made = true;
    const bool written = write(fd, page, sizeof(page)) == (ssize_t)sizeof(page);
    close(fd);
    return written;
}

static void probe_file(struct weir_machine *machine, const char *path)
{
    char name[4096];
    bool made = false;
    struct weir_err err = {0};
    weir_io *io = NULL;
    uint32_t file = 0;
    const struct weir_io_config config = {.kind = WEIR_IO_AUTO};
    if (!choose_file(path, name, sizeof(name), &made))
        snprintf(machine->direct_why, sizeof(machine->direct_why), "cannot read or write in %.150s",
                 path);
    else if (weir_io_create(&io, &config, &err) != WEIR_OK ||
             weir_io_open(io, name, &file, &err) != WEIR_OK)
        snprintf(machine->direct_why, sizeof(machine->direct_why), "%.190s", err.text);
    else {
        machine->direct_ok = weir_io_mode_get(io)->direct;
        if (!machine->direct_ok)
            snprintf(machine->direct_why, sizeof(machine->direct_why), "%.190s",
                     weir_io_mode_get(io)->why);
        machine->read_bytes_per_s = probe_reads(name, weir_io_file_bytes(io, file));
    }
    if (io != NULL)
        weir_io_destroy(&io);
    if (made)
        unlink(name);
}

static void probe_dram(struct weir_machine *machine)
{
    struct weir_memory_probe probe;
    if (weir_memory_probe_open(&probe, machine->n_cpu, NULL, NULL) != WEIR_OK)
        return;
    for (int round = 0; round < DRAM_ROUNDS; round++) {
        const double bytes_per_s = weir_memory_probe_read(&probe, DRAM_NS);
        if (bytes_per_s > machine->dram_bytes_per_s)
            machine->dram_bytes_per_s = bytes_per_s;
    }
    weir_memory_probe_close(&probe);
}

/* What the guard of a run would go by here. */
static void probe_guard(struct weir_machine *machine)
{
    weir_sys_watch *watch = NULL;
    if (weir_sys_watch_open(&watch, NULL) != WEIR_OK) {
        snprintf(machine->guard_misses, sizeof(machine->guard_misses), "memory to watch memory");
        return;
    }
    const struct weir_sys_sources *sources = weir_sys_watch_sources(watch);
    const struct {
        const char *name, *path;
    } all[] = {{"memory control group", sources->group},
               {"free memory", sources->available},
               {"memory pressure", sources->stall}};
    for (size_t index = 0; index < WEIR_COUNT(all); index++) {
        const bool is_there = all[index].path[0] != '\0';
        char *list = is_there ? machine->guard_sees : machine->guard_misses;
        const size_t capacity =
            is_there ? sizeof(machine->guard_sees) : sizeof(machine->guard_misses);
        const size_t used = strlen(list);
        snprintf(list + used, capacity - used, "%s%s%s%.140s", used > 0 ? ", " : "",
                 all[index].name, is_there ? " " : "", all[index].path);
    }
    weir_sys_watch_close(&watch);
}

void weir_machine_get(struct weir_machine *machine, const char *path)
{
    struct weir_sys_machine facts;
    struct weir_sys_memory memory;
    struct weir_sys_free free_memory;
    struct weir_sys_filesystem filesystem = {0};
    struct weir_kernels kernels;
    if (machine == NULL)
        return;
    memset(machine, 0, sizeof(*machine));
    weir_sys_machine_get(&facts);
    weir_sys_memory_get(&memory);
    weir_kernels_init(&kernels, weir_cpu_flags());
    snprintf(machine->cpu_name, sizeof(machine->cpu_name), "%s", facts.cpu_name);
    snprintf(machine->kernel, sizeof(machine->kernel), "%s", facts.kernel);
    snprintf(machine->isa, sizeof(machine->isa), "%s", kernels.isa);
    snprintf(machine->huge_pages, sizeof(machine->huge_pages), "%s", facts.huge_pages);
    snprintf(machine->cgroup_path, sizeof(machine->cgroup_path), "%s", memory.cgroup_path);
    machine->n_cpu = weir_sys_cpu_count();
    machine->total_bytes = memory.total_bytes;
    machine->available_bytes = memory.available_bytes;
    machine->cgroup_limit_bytes = memory.cgroup_limit_bytes;
    machine->cgroup_usage_bytes = memory.cgroup_usage_bytes;
    machine->cgroup_version = memory.cgroup_version;
    if (memory.source != NULL)
        snprintf(machine->memory_source, sizeof(machine->memory_source), "%s", memory.source);
    if (memory.cgroup_why != NULL)
        snprintf(machine->cgroup_why, sizeof(machine->cgroup_why), "%s", memory.cgroup_why);
    weir_sys_free_get(&free_memory);
    machine->default_mem_bytes = free_memory.bytes;
    snprintf(machine->default_mem_why, sizeof(machine->default_mem_why), "%s", free_memory.why);
    if (path == NULL)
        path = ".";
    if (weir_sys_filesystem_get(path, &filesystem)) {
        snprintf(machine->filesystem, sizeof(machine->filesystem), "%s", filesystem.type);
        machine->filesystem_free_bytes = filesystem.free_bytes;
    }
    probe_guard(machine);
    probe_uring(machine);
    probe_file(machine, path);
    probe_dram(machine);
    weir_gpu_facts_get(&machine->gpu);
}
