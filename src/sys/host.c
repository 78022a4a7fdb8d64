/* host.c - memory, processors and kernel settings as /proc and /sys tell them. */
#include "sys/sys_internal.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STATUS_MAX_BYTES = 8192, MARGIN_PART = 16 };

/* A `key: number kB` line in bytes; fallback when it is not there. */
static uint64_t find_kilobytes(const char *text, const char *key, uint64_t fallback_bytes)
{
    uint64_t kilobytes = 0;
    if (!weir_sys_text_number(text, key, &kilobytes) || kilobytes > UINT64_MAX / 1024)
        return fallback_bytes;
    return kilobytes * 1024;
}

uint64_t weir_sys_memory_get_at(const char *root, struct weir_sys_memory *memory)
{
    char text[STATUS_MAX_BYTES];
    memset(memory, 0, sizeof(*memory));
    if (weir_sys_text_read(root, "/proc/meminfo", text, sizeof(text))) {
        memory->total_bytes = find_kilobytes(text, "MemTotal", 0);
        memory->available_bytes = find_kilobytes(text, "MemAvailable", memory->total_bytes);
    }
    return weir_sys_group_memory(root, memory);
}

void weir_sys_memory_get(struct weir_sys_memory *memory)
{
    weir_sys_memory_get_at("", memory);
}

uint64_t weir_sys_free_bytes_at(const char *root)
{
    struct weir_sys_memory memory;
    const uint64_t room_bytes = weir_sys_memory_get_at(root, &memory);
    const uint64_t free_bytes = weir_min(memory.available_bytes, room_bytes);
    return free_bytes - free_bytes / MARGIN_PART;
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
    return weir_sys_status_bytes_at("", "VmHWM");
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
    if (sched_getaffinity(0, sizeof(mask), set) != 0)
        return 1;
    const int count = CPU_COUNT_S(sizeof(mask), set);
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

static void read_kernel(const char *root, char *out, size_t capacity)
{
    char type[64] = "";
    char release[64] = "";
    weir_sys_text_read(root, "/proc/sys/kernel/ostype", type, sizeof(type));
    weir_sys_text_read(root, "/proc/sys/kernel/osrelease", release, sizeof(release));
    type[strcspn(type, "\n")] = '\0';
    release[strcspn(release, "\n")] = '\0';
    snprintf(out, capacity, "%s%s%s", type, *type != '\0' && *release != '\0' ? " " : "", release);
}

void weir_sys_machine_get_at(const char *root, struct weir_sys_machine *machine)
{
    char text[256];
    struct rlimit memlock;
    memset(machine, 0, sizeof(*machine));
    read_cpu_name(root, machine->cpu_name, sizeof(machine->cpu_name));
    read_kernel(root, machine->kernel, sizeof(machine->kernel));
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
