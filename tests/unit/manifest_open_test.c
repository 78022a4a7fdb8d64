/* manifest_open_test.c - heads of GGUF files from disk, cut off, changed, and without memory. */
#include "manifest_toy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void files_cut_off_anywhere_are_refused(void **state)
{
    (void)state;
    make_small(3);
    const size_t whole = image.length;
    weir_manifest *manifest = accepted();
    const uint64_t head_bytes = manifest->head_bytes;
    weir_manifest_close(&manifest);
    for (image.length = 0; image.length < whole; image.length++) {
        is_refused(WEIR_ERR_FORMAT, WORDS("(memory)"));
        if (image.length < head_bytes)
            is_refused_at(whole, WEIR_ERR_FORMAT, WORDS("cut off", "wanted byte", "found"));
    }
    image.length = (size_t)head_bytes;
    assert_int_equal(weir_manifest_parse(&manifest, image.bytes, image.length, whole, NULL), 0);
    weir_manifest_close(&manifest);
}

static void any_changed_byte_is_read_or_refused(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0x01, 0x02, 0x08, 0x20, 0x80, 0xff};
    make_small(3);
    const uint64_t heap_bytes = weir_heap_bytes();
    for (size_t at = 0; at < image.length; at++)
        for (size_t row = 0; row < WEIR_COUNT(changes); row++) {
            weir_manifest *manifest = NULL;
            struct weir_err err;
            image.bytes[at] ^= changes[row];
            if (parse(&manifest, &err) == WEIR_OK)
                walk(manifest);
            else
                assert_true(err.text[0] != '\0');
            weir_manifest_close(&manifest);
            image.bytes[at] ^= changes[row];
        }
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

typedef enum weir_status open_fn(weir_manifest **manifest, struct weir_err *err);

static char path[64];

static void make_path(void)
{
    snprintf(path, sizeof(path), "/tmp/weir-manifest-%ld", (long)getpid());
}

static void write_image(void)
{
    make_path();
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image.bytes, 1, image.length, file), image.length);
    assert_int_equal(fclose(file), 0);
}

static enum weir_status open_path(weir_manifest **manifest, struct weir_err *err)
{
    memset(err, 0, sizeof(*err));
    return weir_manifest_open(manifest, path, err);
}

/* The next free descriptor: the same before and after when none was left open. */
static int next_fd(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void fails_at_every_allocation(open_fn *deed, uint64_t least_calls)
{
    const uint64_t heap_bytes = weir_heap_bytes();
    const int fd = next_fd();
    uint64_t call = 1;
    for (bool reached = true; reached; call++) {
        weir_manifest *manifest = NULL;
        struct weir_err err;
        const uint64_t calls_before = weir_heap_calls();
        weir_heap_fail_at(call);
        const enum weir_status status = deed(&manifest, &err);
        reached = weir_heap_calls() - calls_before >= call;
        weir_heap_fail_at(0);
        if (status == WEIR_OK) {
            walk(manifest); /* giving back the buffer's end may fail without harm */
            weir_manifest_close(&manifest);
        } else {
            assert_true(reached);
            says(&err, WEIR_ERR_NOMEM, WORDS("no memory"));
            assert_null(manifest);
        }
        assert_int_equal(weir_heap_bytes(), heap_bytes);
        assert_int_equal(next_fd(), fd);
    }
    assert_in_range(call, least_calls, least_calls + 8);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    make_small(3);
    fails_at_every_allocation(parse, 8);
    write_image();
    fails_at_every_allocation(open_path, 8);
    assert_int_equal(remove(path), 0);
}

static void a_file_is_read_as_memory_is(void **state)
{
    (void)state;
    make_small(2);
    write_image();
    weir_manifest *manifest = NULL;
    struct weir_err err;
    const int fd = next_fd();
    assert_int_equal(open_path(&manifest, &err), WEIR_OK);
    assert_int_equal(next_fd(), fd);
    assert_string_equal(weir_manifest_path(manifest), path);
    assert_int_equal(weir_manifest_file_bytes(manifest, 0), image.length);
    assert_int_equal(weir_manifest_version(manifest), 2);
    walk(manifest);
    weir_manifest_close(&manifest);
    assert_int_equal(truncate(path, (off_t)image.length - 1), 0);
    assert_int_equal(open_path(&manifest, &err), WEIR_ERR_FORMAT);
    says(&err, WEIR_ERR_FORMAT, WORDS(path, "tensor second", "wanted 34 bytes", "file ends at"));
    assert_int_equal(next_fd(), fd);
    assert_int_equal(remove(path), 0);
}

static void a_long_head_is_read_in_steps_and_no_data_is_kept(void **state)
{
    (void)state;
    begin(3, 1, 3);
    put_u32_key("first", 1);
    put_key("long", GGUF_STRING);
    put(3 << 20, 8);
    put_fill('x', 3 << 20);
    put_u32_key("last", 3);
    put_tensor("w", 1 << 17, 1, TYPE_F32, 0);
    put_data(32, 1 << 19);
    write_image();
    weir_manifest *manifest = NULL;
    struct weir_err err;
    uint64_t value = 0;
    const uint64_t heap_bytes = weir_heap_bytes();
    assert_int_equal(open_path(&manifest, &err), WEIR_OK);
    assert_in_range(weir_heap_bytes() - heap_bytes, 3 << 20,
                    (3 << 20) + 8192 + sizeof(struct weir_warnings));
    assert_true(weir_manifest_u64(manifest, "first", &value) && value == 1);
    assert_true(weir_manifest_u64(manifest, "last", &value) && value == 3);
    const char *text = weir_manifest_text(manifest, "long");
    assert_int_equal(strlen(text), 3 << 20);
    assert_int_equal(strspn(text, "x"), 3 << 20);
    weir_manifest_close(&manifest);
    assert_int_equal(remove(path), 0);
}

static void is_not_opened(const char *name, enum weir_status status, int os_errno,
                          const char *const *words)
{
    weir_manifest *manifest = NULL;
    struct weir_err err = {0};
    const int fd = next_fd();
    assert_int_equal(weir_manifest_open(&manifest, name, &err), status);
    says(&err, status, words);
    assert_int_equal(err.os_errno, os_errno);
    assert_null(manifest);
    assert_int_equal(next_fd(), fd);
}

static void what_is_no_file_is_named(void **state)
{
    (void)state;
    make_path();
    is_not_opened(path, WEIR_ERR_IO, ENOENT, WORDS("open", path, "No such file"));
    assert_int_equal(mkdir(path, 0700), 0);
    is_not_opened(path, WEIR_ERR_FORMAT, 0, WORDS(path, "a directory without config.json"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    is_not_opened(path, WEIR_ERR_IO, ESPIPE, WORDS(path, "Illegal seek"));
    assert_int_equal(remove(path), 0);
    image.length = 0;
    write_image();
    is_not_opened(path, WEIR_ERR_FORMAT, 0, WORDS(path, "is empty"));
    is_not_opened("/dev/zero", WEIR_ERR_FORMAT, 0, WORDS("/dev/zero", "found a device"));
    assert_int_equal(remove(path), 0);
}

static void a_file_that_shrinks_or_cannot_be_read_is_named(void **state)
{
    (void)state;
    make_small(3);
    write_image();
    struct gguf_source source = {.fd = open(path, O_RDONLY | O_CLOEXEC), .name = path};
    source.file_bytes = image.length + 1; /* as it was when its size was asked */
    struct weir_err err = {0};
    assert_int_equal(weir_gguf_source_need(&source, 24, "a head", &err), WEIR_ERR_FORMAT);
    says(&err, WEIR_ERR_FORMAT, WORDS(path, "shrank", "wanted byte", "ends at"));
    weir_heap_free(source.bytes);
    close(source.fd);
    source = (struct gguf_source){.fd = open(path, O_WRONLY | O_CLOEXEC), .name = path};
    source.file_bytes = image.length;
    memset(&err, 0, sizeof(err));
    assert_int_equal(weir_gguf_source_need(&source, 24, "a head", &err), WEIR_ERR_IO);
    says(&err, WEIR_ERR_IO, WORDS("read", path, "at byte 0"));
    assert_int_equal(err.os_errno, EBADF);
    weir_heap_free(source.bytes);
    close(source.fd);
    assert_int_equal(remove(path), 0);
}

/* What is there is told from what is missing, whatever stands behind it; enough is asked for, and
 * in the end no more than the head. */
static void a_head_that_comes_in_pieces_is_known_when_it_is_whole(void **state)
{
    (void)state;
    make_small(3);
    weir_manifest *manifest = accepted();
    const uint64_t head_bytes = manifest->head_bytes;
    weir_manifest_close(&manifest);
    const uint64_t heap_bytes = weir_heap_bytes();
    for (uint64_t there = 1; there <= image.length; there++) {
        uint64_t wanted = 0;
        write_image();
        const int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0 && ftruncate(fd, (off_t)there) == 0);
        assert_true(ftruncate(fd, (off_t)image.length) == 0 && close(fd) == 0);
        assert_int_equal(weir_manifest_head_check(path, there, &wanted, NULL), WEIR_OK);
        assert_true(there < head_bytes ? wanted > there && wanted <= head_bytes : wanted == 0);
    }
    struct weir_err err = {0};
    uint64_t wanted = 7;
    image.bytes[0] = 'X';
    write_image();
    assert_int_equal(weir_manifest_head_check(path, 8, &wanted, &err), WEIR_ERR_FORMAT);
    says(&err, WEIR_ERR_FORMAT, WORDS(path, "is not a GGUF file"));
    assert_int_equal(remove(path), 0);
    memset(&err, 0, sizeof(err));
    assert_int_equal(weir_manifest_head_check(path, 8, &wanted, &err), WEIR_ERR_IO);
    says(&err, WEIR_ERR_IO, WORDS("open", path));
    assert_int_equal(wanted, 7);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_cut_off_anywhere_are_refused),
        cmocka_unit_test(any_changed_byte_is_read_or_refused),
        cmocka_unit_test(failed_allocations_leave_nothing),
        cmocka_unit_test(a_file_is_read_as_memory_is),
        cmocka_unit_test(a_long_head_is_read_in_steps_and_no_data_is_kept),
        cmocka_unit_test(what_is_no_file_is_named),
        cmocka_unit_test(a_head_that_comes_in_pieces_is_known_when_it_is_whole),
        cmocka_unit_test(a_file_that_shrinks_or_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
