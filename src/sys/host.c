/* host.c - memory, processors and kernel settings as /proc and /sys tell them. */
#include "sys/sys_internal.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { STATUS_MAX_BYTES = 8192, MARGIN_PART = 16 };

/* A `key: number kB` line in bytes; fallback when it is not there. */
static uint64_t find_kilobytes(const char *text, const char *key, uint64_t fallback_bytes)
{
    uint64_t kilobytes = 0;
    if (!weir_sys_text_number(text, key, &kilobytes) || kilobytes > UINT64_MAX / 1024)
        return fallback_bytes;
    return kilobytes * 1024;
}

/* /proc/meminfo, which a container may not have (procfs mounted with subset=pid). */
static bool read_meminfo(const char *root, struct weir_sys_memory *memory)
{
    char text[STATUS_MAX_BYTES];
    if (!weir_sys_text_read(root, "/proc/meminfo", text, sizeof(text)))
        return false;
    /* Kernels before 3.14 do not add up what they could take back. */
    const uint64_t sum_bytes = find_kilobytes(text, "MemFree", 0) +
                               find_kilobytes(text, "Active(file)", 0) +
                               find_kilobytes(text, "Inactive(file)", 0);
    memory->total_bytes = find_kilobytes(text, "MemTotal", 0);
    memory->available_bytes = find_kilobytes(text, "MemAvailable", sum_bytes);
    memory->source = "/proc/meminfo";
    return memory->total_bytes > 0;
}

/* A line of each memory node's meminfo, `Node 0 key: number kB`, added up. */
static uint64_t add_nodes(const char *root, const char *key)
{
    enum { NODE_MAX = 64 };
    uint64_t sum_bytes = 0;
    for (int node = 0; node < NODE_MAX; node++) {
        char path[64];
        char line[64];
        char text[STATUS_MAX_BYTES];
        snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
        snprintf(line, sizeof(line), "Node %d %s", node, key);
        if (weir_sys_text_read(root, path, text, sizeof(text)))
            sum_bytes += find_kilobytes(text, line, 0);
    }
    return sum_bytes;
}

/* sysinfo(2), which tells what is free now; files in the page cache can be had back too. */
static bool ask_kernel(const char *root, struct weir_sys_memory *memory)
{
    struct sysinfo facts;
    const uint64_t file_bytes = add_nodes(root, "Active(file)") + add_nodes(root, "Inactive(file)");
    const bool has_answer = sysinfo(&facts) == 0;
    if (has_answer) {
        const uint64_t free_bytes = ((uint64_t)facts.freeram + facts.bufferram) * facts.mem_unit;
        memory->total_bytes = (uint64_t)facts.totalram * facts.mem_unit;
        memory->available_bytes = weir_min(free_bytes + file_bytes, memory->total_bytes);
        memory->source = file_bytes > 0 ? "sysinfo(2) and /sys/devices/system/node"
                                        : "sysinfo(2), which does not count cached files as free";
    } else {
        memory->total_bytes = add_nodes(root, "MemTotal");
        memory->available_bytes = add_nodes(root, "MemFree") + file_bytes;
        memory->source = "/sys/devices/system/node";
    }
    return memory->total_bytes > 0;
}

uint64_t weir_sys_memory_get_at(const char *root, struct weir_sys_memory *memory)
{
    memset(memory, 0, sizeof(*memory));
    if (!read_meminfo(root, memory) && !ask_kernel(root, memory)) {
        memory->total_bytes = memory->available_bytes = 0;
        memory->source = NULL;
    }
    return weir_sys_group_memory(root, memory);
}

void weir_sys_memory_get(struct weir_sys_memory *memory)
{
    weir_sys_memory_get_at("", memory);
}

void weir_sys_free_get_at(const char *root, struct weir_sys_free *free_memory)
{
    struct weir_sys_memory memory;
    char left[32];
    char whole[32];
    const uint64_t room_bytes = weir_sys_memory_get_at(root, &memory);
    const uint64_t machine_bytes = memory.source == NULL ? UINT64_MAX : memory.available_bytes;
    const uint64_t bytes = weir_min(machine_bytes, room_bytes);
    const size_t capacity = sizeof(free_memory->why);
    free_memory->is_second = memory.source == NULL || strcmp(memory.source, "/proc/meminfo") != 0;
    if (bytes == UINT64_MAX) {
        snprintf(free_memory->why, capacity,
                 "nobody tells how much memory is free: neither /proc/meminfo nor sysinfo(2) nor "
                 "/sys/devices/system/node can be read, and no control group limits us");
        free_memory->bytes = 0;
        return;
    }
    weir_format_size(bytes, left, sizeof(left));
    if (room_bytes < machine_bytes)
        snprintf(free_memory->why, capacity, "control groups leave %s; the limit of %s is %s", left,
                 memory.cgroup_path,
                 weir_format_size(memory.cgroup_limit_bytes, whole, sizeof(whole)));
    else
        snprintf(free_memory->why, capacity, "%s of %s are free by %s%s", left,
                 weir_format_size(memory.total_bytes, whole, sizeof(whole)), memory.source,
                 free_memory->is_second ? " (/proc/meminfo cannot be read)" : "");
    free_memory->bytes = bytes - bytes / MARGIN_PART;
}

void weir_sys_free_get(struct weir_sys_free *free_memory)
{
    weir_sys_free_get_at("", free_memory);
}

uint64_t weir_sys_free_bytes_at(const char *root)
{
    struct weir_sys_free free_memory;
    weir_sys_free_get_at(root, &free_memory);
    return free_memory.bytes;
}

uint64_t weir_sys_free_bytes(void)
{
    return weir_sys_free_bytes_at("");
}

uint64_t weir_sys_status_bytes_at(const char *root, const char *key)
{
    char text[STATUS_MAX_BYTES];
    if (!weir_sys_text_read(root, "/proc/self/status", text, sizeof(text)))
        return 0;
    return find_kilobytes(text, key, 0);
}

uint64_t weir_sys_peak_rss_bytes(void)
{
    struct rusage usage;
    const uint64_t peak_bytes = weir_sys_status_bytes_at("", "VmHWM");
    if (peak_bytes > 0 || getrusage(RUSAGE_SELF, &usage) != 0)
        return peak_bytes;
    return (uint64_t)usage.ru_maxrss * 1024;
}

uint64_t weir_sys_rss_bytes(void)
{
    return weir_sys_status_bytes_at("", "VmRSS");
}

/* The affinity mask may be longer than cpu_set_t on machines with more than 1024 CPUs. */
static uint32_t count_affinity(void)
{
    enum { MASK_CPUS = 16384 };
    struct {
        _Alignas(cpu_set_t) uint8_t bytes[CPU_ALLOC_SIZE(MASK_CPUS)];
    } mask;
    cpu_set_t *set = (cpu_set_t *)(void *)&mask;
    CPU_ZERO_S(sizeof(mask), set);
    const long count = sched_getaffinity(0, sizeof(mask), set) == 0 ? CPU_COUNT_S(sizeof(mask), set)
                                                                    : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}

uint32_t weir_sys_cpu_count(void)
{
    const uint32_t quota = weir_sys_group_cpu_quota("");
    uint32_t n_cpu = count_affinity();
    if (quota > 0 && quota < n_cpu)
        n_cpu = quota;
    return n_cpu < WEIR_THREAD_MAX ? n_cpu : WEIR_THREAD_MAX;
}

/* The value of the first `key : value` line of /proc/cpuinfo. */
static void read_cpu_name(const char *root, char *out, size_t capacity)
{
    char text[STATUS_MAX_BYTES];
    out[0] = '\0';
    if (!weir_sys_text_read(root, "/proc/cpuinfo", text, sizeof(text)))
        return;
    char *value = strstr(text, "model name");
    value = value == NULL ? NULL : strchr(value, ':');
    if (value == NULL)
        return;
    value += 1 + strspn(value + 1, " \t");
    value[strcspn(value, "\n")] = '\0';
    snprintf(out, capacity, "%s", value);
}

/* The bracketed word of "always [madvise] never". */
static void read_chosen_word(const char *root, const char *path, char *out, size_t capacity)
{
    char text[256];
    out[0] = '\0';
    if (!weir_sys_text_read(root, path, text, sizeof(text)))
        return;
    const char *start = strchr(text, '[');
    if (start != NULL)
        snprintf(out, capacity, "%.*s", (int)strcspn(start + 1, "]\n"), start + 1);
}

static void read_kernel(char *out, size_t capacity)
{
    struct utsname names;
    out[0] = '\0';
    if (uname(&names) == 0)
        snprintf(out, capacity, "%.60s %.60s", names.sysname, names.release);
}

void weir_sys_machine_get_at(const char *root, struct weir_sys_machine *machine)
{
    char text[256];
    struct rlimit memlock;
    memset(machine, 0, sizeof(*machine));
    read_cpu_name(root, machine->cpu_name, sizeof(machine->cpu_name));
    read_kernel(machine->kernel, sizeof(machine->kernel));
    read_chosen_word(root, "/sys/kernel/mm/transparent_hugepage/enabled", machine->huge_pages,
                     sizeof(machine->huge_pages));
    machine->n_cpu = weir_sys_cpu_count();
    machine->io_uring_disabled = -1;
    if (weir_sys_text_read(root, "/proc/sys/kernel/io_uring_disabled", text, sizeof(text)) &&
        isdigit((unsigned char)*text))
        machine->io_uring_disabled = (int)strtol(text, NULL, 10);
    machine->memlock_bytes = UINT64_MAX;
    if (getrlimit(RLIMIT_MEMLOCK, &memlock) == 0 && memlock.rlim_cur != RLIM_INFINITY)
        machine->memlock_bytes = memlock.rlim_cur;
    machine->psi_memory_avg10 = -1.0;
    if (weir_sys_text_read(root, "/proc/pressure/memory", text, sizeof(text)) &&
        strncmp(text, "some avg10=", 11) == 0)
        machine->psi_memory_avg10 = strtod(text + 11, NULL);
}

void weir_sys_machine_get(struct weir_sys_machine *machine)
{
    weir_sys_machine_get_at("", machine);
}
