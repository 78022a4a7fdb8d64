/* doctor.c - weir doctor: what this machine offers and lacks, each line with what to do. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { CHECK_MAX = 13 };

struct check {
    const char *what;
    bool ok;
    char found[400];
    const char *advice; /* what to do; NULL when nothing */
};

struct checks {
    struct check list[CHECK_MAX];
    size_t count;
};

static struct check *add_check(struct checks *checks, const char *what, bool ok, const char *advice)
{
    WEIR_ASSERT(checks->count < CHECK_MAX);
    struct check *check = &checks->list[checks->count++];
    *check = (struct check){.what = what, .ok = ok, .advice = ok ? NULL : advice};
    return check;
}

static void check_processor(struct checks *checks, const struct weir_machine *machine)
{
    struct check *check =
        add_check(checks, "processor", strcmp(machine->isa, "ref") != 0,
                  "an x86-64 processor with AVX2 or AVX-512 computes many times faster");
    snprintf(check->found, sizeof(check->found), "%s, %u CPUs for this process, instructions %s",
             machine->cpu_name[0] == '\0' ? "a processor without a name" : machine->cpu_name,
             machine->n_cpu, machine->isa);
    check = add_check(checks, "kernel", true, NULL);
    snprintf(check->found, sizeof(check->found), "%s",
             machine->kernel[0] == '\0' ? "unknown" : machine->kernel);
}

static void check_group(struct checks *checks, const struct weir_machine *machine)
{
    char used[32];
    char limit[32];
    struct check *check =
        add_check(checks, "control group", machine->cgroup_why[0] == '\0',
                  "a limit set from outside may not be seen: give --mem SIZE below it");
    const char *before = machine->cgroup_why[0] == '\0' ? "" : "; ours is a guess: ";
    if (machine->cgroup_version == 0)
        snprintf(check->found, sizeof(check->found), "none with a memory controller%s%s",
                 machine->cgroup_why[0] == '\0' ? "" : ": ", machine->cgroup_why);
    else if (machine->cgroup_limit_bytes == UINT64_MAX)
        snprintf(check->found, sizeof(check->found), "v%d, no memory limit%s%s",
                 machine->cgroup_version, before, machine->cgroup_why);
    else
        snprintf(check->found, sizeof(check->found), "v%d, %s used of %s at %.200s%s%s",
                 machine->cgroup_version,
                 weir_format_size(machine->cgroup_usage_bytes, used, sizeof(used)),
                 weir_format_size(machine->cgroup_limit_bytes, limit, sizeof(limit)),
                 machine->cgroup_path, before, machine->cgroup_why);
}

static void check_memory(struct checks *checks, const struct weir_machine *machine)
{
    char first[32];
    char second[32];
    const bool is_told = machine->memory_source[0] != '\0';
    struct check *check =
        add_check(checks, "memory", machine->available_bytes > (1ull << 30),
                  is_told ? "close other programs: little memory is free" : "give --mem SIZE");
    if (is_told)
        snprintf(check->found, sizeof(check->found), "%s free of %s by %s",
                 weir_format_size(machine->available_bytes, first, sizeof(first)),
                 weir_format_size(machine->total_bytes, second, sizeof(second)),
                 machine->memory_source);
    else
        snprintf(check->found, sizeof(check->found), "nobody tells how much is there");
    check_group(checks, machine);
    check = add_check(checks, "memory guard", machine->guard_misses[0] == '\0',
                      "what is not seen may end a run: leave more memory free");
    snprintf(check->found, sizeof(check->found), "%.250s%s%s",
             machine->guard_sees[0] == '\0' ? "nothing" : machine->guard_sees,
             machine->guard_misses[0] == '\0' ? "" : "; not there: ", machine->guard_misses);
    check = add_check(checks, "ceiling", machine->default_mem_bytes > 0, "give --mem SIZE");
    snprintf(check->found, sizeof(check->found), "%s when --mem is not given: %.300s",
             weir_format_size(machine->default_mem_bytes, first, sizeof(first)),
             machine->default_mem_why);
    check = add_check(checks, "huge pages",
                      strcmp(machine->huge_pages, "always") == 0 ||
                          strcmp(machine->huge_pages, "madvise") == 0,
                      "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    snprintf(check->found, sizeof(check->found), "%s",
             machine->huge_pages[0] == '\0' ? "not there" : machine->huge_pages);
    check = add_check(checks, "memory speed", machine->dram_bytes_per_s > 0.0,
                      "the short measurement could not run");
    snprintf(check->found, sizeof(check->found), "%.1f GB/s read with all threads",
             machine->dram_bytes_per_s * 1e-9);
}

static void check_disk(struct checks *checks, const struct weir_machine *machine, const char *path)
{
    char size[32];
    struct check *check = add_check(
        checks, "io_uring", machine->uring_ok,
        "reads go through threads; as root: sysctl kernel.io_uring_disabled=0, or allow io_uring "
        "in the container's seccomp profile");
    snprintf(check->found, sizeof(check->found), "%s",
             machine->uring_ok ? "works" : machine->uring_why);
    check = add_check(checks, "direct reads", machine->direct_ok,
                      "reads go through the page cache; keep models on ext4, xfs or btrfs");
    snprintf(check->found, sizeof(check->found), "%s",
             machine->direct_ok ? "work" : machine->direct_why);
    check = add_check(checks, "file system", machine->filesystem[0] != '\0',
                      "cannot be examined: is the path right?");
    snprintf(check->found, sizeof(check->found), "%s at %s, %s free",
             machine->filesystem[0] == '\0' ? "unknown" : machine->filesystem, path,
             weir_format_size(machine->filesystem_free_bytes, size, sizeof(size)));
    if (machine->read_bytes_per_s <= 0.0)
        return;
    check = add_check(checks, "disk speed", machine->read_bytes_per_s > 5e8,
                      "slow for streaming: an NVMe disk reads 1 to 14 GB/s");
    snprintf(check->found, sizeof(check->found), "%.2f GB/s from this file",
             machine->read_bytes_per_s * 1e-9);
}

static void check_gpu(struct checks *checks, const struct weir_gpu_facts *gpu)
{
    char free_text[32];
    char total[32];
    struct check *check = add_check(checks, "GPU", gpu->is_there || !gpu->is_seen,
                                    "models run on the processor alone until this is settled");
    if (gpu->is_there)
        snprintf(check->found, sizeof(check->found),
                 "%s, compute capability %u.%u, driver %s, %s free of %s; code for it: %s",
                 gpu->name, gpu->major, gpu->minor, gpu->driver,
                 weir_format_size(gpu->free_bytes, free_text, sizeof(free_text)),
                 weir_format_size(gpu->total_bytes, total, sizeof(total)), gpu->code);
    else
        snprintf(check->found, sizeof(check->found), "none is used: %.380s", gpu->why);
}

static json_t *describe_gpu(const struct weir_gpu_facts *gpu)
{
    json_t *object = json_object();
    json_object_set_new(object, "usable", json_boolean(gpu->is_there));
    weir_cli_json_text(object, "why", gpu->why, strlen(gpu->why));
    if (!gpu->is_there)
        return object;
    weir_cli_json_text(object, "name", gpu->name, strlen(gpu->name));
    weir_cli_json_text(object, "driver", gpu->driver, strlen(gpu->driver));
    weir_cli_json_text(object, "code", gpu->code, strlen(gpu->code));
    weir_cli_json_count(object, "major", gpu->major);
    weir_cli_json_count(object, "minor", gpu->minor);
    weir_cli_json_count(object, "processors", gpu->processors);
    weir_cli_json_count(object, "total_bytes", gpu->total_bytes);
    weir_cli_json_count(object, "free_bytes", gpu->free_bytes);
    return object;
}

static json_t *describe_machine(const struct weir_machine *machine, const struct checks *checks)
{
    json_t *object = json_object();
    json_t *list = json_array();
    weir_cli_json_text(object, "version", WEIR_VERSION, strlen(WEIR_VERSION));
    weir_cli_json_text(object, "cpu", machine->cpu_name, strlen(machine->cpu_name));
    weir_cli_json_text(object, "kernel", machine->kernel, strlen(machine->kernel));
    weir_cli_json_text(object, "isa", machine->isa, strlen(machine->isa));
    weir_cli_json_count(object, "n_cpu", machine->n_cpu);
    weir_cli_json_count(object, "total_bytes", machine->total_bytes);
    weir_cli_json_count(object, "available_bytes", machine->available_bytes);
    weir_cli_json_text(object, "memory_source", machine->memory_source,
                       strlen(machine->memory_source));
    weir_cli_json_count(object, "default_mem_bytes", machine->default_mem_bytes);
    weir_cli_json_text(object, "default_mem_why", machine->default_mem_why,
                       strlen(machine->default_mem_why));
    weir_cli_json_text(object, "cgroup_why", machine->cgroup_why, strlen(machine->cgroup_why));
    weir_cli_json_count(object, "cgroup_version",
                        machine->cgroup_version == 0 ? UINT64_MAX
                                                     : (uint64_t)machine->cgroup_version);
    weir_cli_json_text(object, "guard_sees", machine->guard_sees, strlen(machine->guard_sees));
    weir_cli_json_text(object, "guard_misses", machine->guard_misses,
                       strlen(machine->guard_misses));
    weir_cli_json_count(object, "cgroup_limit_bytes", machine->cgroup_limit_bytes);
    weir_cli_json_count(object, "cgroup_usage_bytes",
                        machine->cgroup_version == 0 ? UINT64_MAX : machine->cgroup_usage_bytes);
    json_object_set_new(object, "uring", json_boolean(machine->uring_ok));
    json_object_set_new(object, "direct", json_boolean(machine->direct_ok));
    weir_cli_json_text(object, "filesystem", machine->filesystem, strlen(machine->filesystem));
    weir_cli_json_count(object, "filesystem_free_bytes", machine->filesystem_free_bytes);
    weir_cli_json_real(object, "dram_bytes_per_s",
                       machine->dram_bytes_per_s > 0.0 ? machine->dram_bytes_per_s : WEIR_CLI_NONE);
    weir_cli_json_real(object, "read_bytes_per_s",
                       machine->read_bytes_per_s > 0.0 ? machine->read_bytes_per_s : WEIR_CLI_NONE);
    json_object_set_new(object, "gpu", describe_gpu(&machine->gpu));
    for (size_t index = 0; index < checks->count; index++) {
        const struct check *check = &checks->list[index];
        json_t *entry = json_object();
        weir_cli_json_text(entry, "what", check->what, strlen(check->what));
        json_object_set_new(entry, "ok", json_boolean(check->ok));
        weir_cli_json_text(entry, "found", check->found, strlen(check->found));
        if (check->advice == NULL)
            json_object_set_new(entry, "advice", json_null());
        else
            weir_cli_json_text(entry, "advice", check->advice, strlen(check->advice));
        json_array_append_new(list, entry);
    }
    json_object_set_new(object, "checks", list);
    return object;
}

int weir_cli_doctor(const struct weir_cli_options *options)
{
    struct weir_machine machine = {0};
    struct checks checks = {0};
    const char *path = options->argument == NULL ? "." : options->argument;
    weir_machine_get(&machine, path);
    check_processor(&checks, &machine);
    check_memory(&checks, &machine);
    check_disk(&checks, &machine, path);
    check_gpu(&checks, &machine.gpu);
    /* What can be said of the machine is said all the same. */
    const bool is_there = access(path, F_OK) == 0;
    if (!is_there)
        weir_cli_say("%s: %s", path, strerror(errno));
    const int code = is_there ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
    if (options->json)
        return weir_cli_json_print(describe_machine(&machine, &checks), stdout, "standard output")
                   ? code
                   : WEIR_CLI_FAILURE;
    for (size_t index = 0; index < checks.count; index++) {
        const struct check *check = &checks.list[index];
        printf("%-4s  %-14s %s\n", check->ok ? "ok" : "warn", check->what,
               weir_cli_shown(check->found));
        if (check->advice != NULL)
            printf("      %-14s %s\n", "", check->advice);
    }
    return code;
}
