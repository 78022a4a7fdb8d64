/* energy.c - reads the counters of intel-rapl, which AMD's processors have too. */
#include "energy.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static bool read_word(const char *path, char *out, size_t capacity)
{
    FILE *file = fopen(path, "re");
    const bool ok = file != NULL && fgets(out, (int)capacity, file) != NULL;
    if (file != NULL)
        fclose(file);
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok;
}

static bool read_count(const char *path, uint64_t *count)
{
    unsigned long long value = 0;
    FILE *file = fopen(path, "re");
    const bool ok = file != NULL && fscanf(file, "%20llu", &value) == 1;
    if (file != NULL)
        fclose(file);
    *count = value;
    return ok;
}

/* Packages, and memory, which no package counts. Cores and graphics are parts of a package; psys
 * is all of it again. */
static bool is_counted(const char *name)
{
    return strncmp(name, "package", 7) == 0 || strcmp(name, "dram") == 0;
}

/* Whether the domain is none that counts, or one that can be read. */
static bool add_domain(struct weir_cli_energy *energy, const char *root, const char *folder)
{
    char path[WEIR_CLI_ENERGY_PATH_MAX];
    char name[64];
    struct weir_cli_energy_domain domain;
    if (snprintf(path, sizeof(path), "%s/%s/name", root, folder) >= (int)sizeof(path) ||
        !read_word(path, name, sizeof(name)) || !is_counted(name))
        return true;
    snprintf(path, sizeof(path), "%s/%s/max_energy_range_uj", root, folder);
    if (snprintf(domain.path, sizeof(domain.path), "%s/%s/energy_uj", root, folder) >=
            (int)sizeof(domain.path) ||
        energy->count == WEIR_CLI_ENERGY_DOMAIN_MAX || !read_count(path, &domain.range_uj) ||
        !read_count(domain.path, &domain.last_uj))
        return false;
    energy->domains[energy->count++] = domain;
    return true;
}

void weir_cli_energy_begin(struct weir_cli_energy *energy, const char *root)
{
    static const char prefix[] = "intel-rapl:";
    const struct dirent *entry;
    bool ok = true;
    *energy = (struct weir_cli_energy){.read_ns = weir_now_ns()};
    DIR *folder = opendir(root);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0)
            ok = ok && add_domain(energy, root, entry->d_name);
    if (folder != NULL)
        closedir(folder);
    if (!ok) /* a part of it would be less than what was used */
        energy->count = 0;
}

static void read_all(struct weir_cli_energy *energy)
{
    for (uint32_t index = 0; index < energy->count; index++) {
        struct weir_cli_energy_domain *domain = &energy->domains[index];
        uint64_t now_uj = 0;
        if (!read_count(domain->path, &now_uj)) {
            energy->count = 0;
            return;
        }
        const uint64_t turn_uj = now_uj < domain->last_uj ? domain->range_uj : 0;
        energy->joules += (double)(now_uj + turn_uj - domain->last_uj) * 1e-6;
        domain->last_uj = now_uj;
    }
    energy->read_ns = weir_now_ns();
}

void weir_cli_energy_look(struct weir_cli_energy *energy)
{
    enum { EACH_S = 10 };
    if (energy->count > 0 && weir_now_ns() - energy->read_ns > EACH_S * 1000000000ull)
        read_all(energy);
}

void weir_cli_energy_take(struct weir_cli_energy *energy, double *joules)
{
    read_all(energy);
    if (joules != NULL)
        *joules += energy->count > 0 ? energy->joules : (double)NAN;
    energy->joules = 0.0;
}
