/* filesystem.c - which file system holds a path, how much it can still take, a file's stamp. */
#include "sys/sys.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

struct known_type {
    uint32_t magic;
    const char *name;
};

/* Those that linux/magic.h lacks: fs/xfs/libxfs/xfs_format.h, fs/zfs, linux/fs.h of NTFS and CIFS,
 * fs/bcachefs/bcachefs_format.h. */
enum { XFS_MAGIC = 0x58465342, ZFS_MAGIC = 0x2fc12fc1, NTFS3_MAGIC = 0x7366746e };

static const struct known_type known_types[] = {
    {EXT4_SUPER_MAGIC, "ext4"},
    {XFS_MAGIC, "xfs"},
    {BTRFS_SUPER_MAGIC, "btrfs"},
    {ZFS_MAGIC, "zfs"},
    {F2FS_SUPER_MAGIC, "f2fs"},
    {TMPFS_MAGIC, "tmpfs"},
    {RAMFS_MAGIC, "ramfs"},
    {OVERLAYFS_SUPER_MAGIC, "overlay"},
    {NFS_SUPER_MAGIC, "nfs"},
    {FUSE_SUPER_MAGIC, "fuse"},
    {SQUASHFS_MAGIC, "squashfs"},
    {V9FS_MAGIC, "9p"},
    {ECRYPTFS_SUPER_MAGIC, "ecryptfs"},
    {MSDOS_SUPER_MAGIC, "vfat"},
    {EXFAT_SUPER_MAGIC, "exfat"},
    {NTFS3_MAGIC, "ntfs3"},
    {HUGETLBFS_MAGIC, "hugetlbfs"},
};

bool weir_sys_filesystem_get(const char *path, struct weir_sys_filesystem *filesystem)
{
    struct statfs facts;
    struct stat place;
    if (statfs(path, &facts) != 0 || stat(path, &place) != 0)
        return false;
    const uint32_t magic = (uint32_t)facts.f_type;
    snprintf(filesystem->type, sizeof(filesystem->type), "0x%x", magic);
    for (size_t index = 0; index < WEIR_COUNT(known_types); index++)
        if (known_types[index].magic == magic)
            snprintf(filesystem->type, sizeof(filesystem->type), "%s", known_types[index].name);
    filesystem->device_id = (uint64_t)place.st_dev;
    filesystem->free_bytes = (uint64_t)facts.f_bavail * (uint64_t)facts.f_bsize;
    return true;
}

bool weir_sys_file_stamp(const char *path, struct weir_sys_stamp *stamp)
{
    struct stat facts;
    if (stat(path, &facts) != 0)
        return false;
    *stamp = (struct weir_sys_stamp){
        .bytes = (uint64_t)facts.st_size,
        .written_ns = (uint64_t)facts.st_mtim.tv_sec * 1000000000 + (uint64_t)facts.st_mtim.tv_nsec,
        .number = (uint64_t)facts.st_ino,
    };
    return true;
}

void weir_sys_identity_get(const char *path, struct weir_sys_identity *identity)
{
    struct stat facts;
    *identity = (struct weir_sys_identity){0};
    if (stat(path, &facts) != 0)
        return;
    *identity = (struct weir_sys_identity){.is_there = true,
                                           .is_file = S_ISREG(facts.st_mode),
                                           .is_folder = S_ISDIR(facts.st_mode),
                                           .device_id = (uint64_t)facts.st_dev,
                                           .number = (uint64_t)facts.st_ino};
}

int weir_sys_room_check(const char *path, uint64_t had_bytes, uint64_t bytes)
{
    struct rlimit limit;
    struct weir_sys_filesystem filesystem;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
        return EFBIG;
    if (bytes > had_bytes && weir_sys_filesystem_get(path, &filesystem) &&
        filesystem.free_bytes < bytes - had_bytes)
        return ENOSPC;
    return 0;
}
