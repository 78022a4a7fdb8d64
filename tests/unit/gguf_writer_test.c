/* gguf_writer_test.c - what a manifest says comes out of the writer again, whole or not at all. */
#include "manifest_toy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "formats/gguf_writer.h"
#include "golden.h"
#include "scratch.h"

static char folder[64], path[128], unfinished[160];

static void begin_folder(void)
{
    assert_true(scratch_folder(folder, sizeof(folder), "gguf-writer"));
    snprintf(path, sizeof(path), "%s/out.gguf", folder);
    snprintf(unfinished, sizeof(unfinished), "%s.unfinished", path);
}

static void end_folder(void)
{
    unlink(path);
    unlink(unfinished);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

static bool is_there(const char *name)
{
    return access(name, F_OK) == 0;
}

/* A tensor's bytes, from its own file. */
static void copy_tensor(weir_gguf_writer *writer, const weir_manifest *manifest,
                        const struct weir_tensor *tensor)
{
    uint8_t bytes[4096];
    FILE *file = fopen(weir_manifest_file_path(manifest, tensor->file), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)tensor->offset, SEEK_SET), 0);
    for (uint64_t left = tensor->bytes; left > 0;) {
        const size_t step = fread(bytes, 1, (size_t)weir_min(left, sizeof(bytes)), file);
        assert_true(step > 0);
        assert_int_equal(weir_gguf_put_data(writer, bytes, step, NULL), WEIR_OK);
        left -= step;
    }
    fclose(file);
}

static void copy_model(const weir_manifest *manifest)
{
    weir_gguf_writer *writer = NULL;
    uint32_t done = 99;
    const uint32_t count = weir_manifest_tensor_count(manifest);
    assert_int_equal(weir_gguf_writer_open(&writer, path, 0, NULL), WEIR_OK);
    weir_gguf_put_manifest_keys(writer, manifest, NULL, NULL);
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        weir_gguf_put_tensor(writer, tensor->name, tensor->n_dim, tensor->dims, tensor->type);
    }
    assert_int_equal(weir_gguf_writer_begin(writer, &done, NULL), WEIR_OK);
    assert_int_equal(done, 0);
    for (uint32_t index = 0; index < count; index++)
        copy_tensor(writer, manifest, weir_manifest_tensor_at(manifest, index));
    assert_false(is_there(path));
    assert_int_equal(weir_gguf_writer_finish(writer, NULL, NULL, NULL), WEIR_OK);
    weir_gguf_writer_close(&writer);
    assert_true(is_there(path) && !is_there(unfinished));
}

static void are_same(const weir_manifest *one, const weir_manifest *other)
{
    assert_int_equal(weir_manifest_key_count(one), weir_manifest_key_count(other));
    for (uint32_t index = 0; index < weir_manifest_key_count(one); index++) {
        struct weir_gguf_raw_key of_one, of_other;
        weir_gguf_raw_key(one, index, &of_one);
        weir_gguf_raw_key(other, index, &of_other);
        assert_string_equal(of_one.name, of_other.name);
        assert_true(weir_gguf_raw_same(&of_one, &of_other));
    }
    assert_int_equal(weir_manifest_tensor_count(one), weir_manifest_tensor_count(other));
    for (uint32_t index = 0; index < weir_manifest_tensor_count(one); index++) {
        const struct weir_tensor *left = weir_manifest_tensor_at(one, index);
        const struct weir_tensor *right = weir_manifest_tensor_at(other, index);
        assert_string_equal(left->name, right->name);
        assert_int_equal(left->type, right->type);
        assert_memory_equal(left->dims, right->dims, sizeof(left->dims));
    }
}

/* What was written by others in this layout is the same file, to the byte. */
static void golden_models_come_out_as_they_are(void **state)
{
    (void)state;
    static char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    assert_true(count > 0);
    begin_folder();
    for (size_t row = 0; row < count; row++) {
        char model[256];
        size_t bytes = 0, copied_bytes = 0;
        weir_manifest *manifest = NULL, *copy = NULL;
        snprintf(model, sizeof(model), "tests/golden/%s/model.gguf", names[row]);
        assert_int_equal(weir_manifest_open(&manifest, model, NULL), WEIR_OK);
        copy_model(manifest);
        assert_int_equal(weir_manifest_open(&copy, path, NULL), WEIR_OK);
        are_same(manifest, copy);
        char *original = golden_read(model, &bytes);
        char *copied = golden_read(path, &copied_bytes);
        assert_int_equal(bytes, copied_bytes);
        assert_memory_equal(original, copied, bytes);
        free(original);
        free(copied);
        weir_manifest_close(&manifest);
        weir_manifest_close(&copy);
        unlink(path);
    }
    end_folder();
}

enum { VALUE_COUNT = 96 };

/* A file with a key of each kind, begun; with tensors a, b and c of VALUE_COUNT floats each. */
static weir_gguf_writer *begin_file(uint64_t stamp, uint32_t alignment, uint32_t *done,
                                    struct weir_err *err)
{
    weir_gguf_writer *writer = NULL;
    const uint64_t dims[4] = {32, 3, 1, 1};
    const float reals[3] = {1.5f, -0.0f, 3e38f};
    assert_int_equal(weir_gguf_writer_open(&writer, path, stamp, err), WEIR_OK);
    weir_gguf_put_text(writer, "general.architecture", "toy");
    weir_gguf_put_u32(writer, "general.alignment", alignment);
    weir_gguf_put_u64(writer, "toy.u64", UINT64_MAX);
    weir_gguf_put_i32(writer, "toy.i32", -5);
    weir_gguf_put_f32(writer, "toy.f32", 0.25f);
    weir_gguf_put_bool(writer, "toy.bool", true);
    weir_gguf_put_text(writer, "toy.empty", "");
    weir_gguf_put_array(writer, "toy.words", GGUF_STRING, 2);
    weir_gguf_put_string(writer, "a\0b", 3);
    weir_gguf_put_string(writer, NULL, 0);
    weir_gguf_put_array(writer, "toy.reals", GGUF_F32, 3);
    weir_gguf_put_values(writer, reals, 2);
    weir_gguf_put_values(writer, reals + 2, 1);
    weir_gguf_put_tensor(writer, "a", 2, dims, WEIR_TYPE_F32);
    weir_gguf_put_tensor(writer, "b", 1, dims, WEIR_TYPE_Q4_0);
    weir_gguf_put_tensor(writer, "c", 2, dims, WEIR_TYPE_F32);
    *done = 99;
    weir_gguf_writer_begin(writer, done, err);
    return writer;
}

static void put_floats(weir_gguf_writer *writer, float value)
{
    float values[VALUE_COUNT];
    for (int at = 0; at < VALUE_COUNT; at++)
        values[at] = value;
    assert_int_equal(weir_gguf_put_data(writer, values, 128, NULL), WEIR_OK);
    assert_int_equal(weir_gguf_put_data(writer, values, sizeof(values) - 128, NULL), WEIR_OK);
}

static void keys_and_places_are_read_again(void **state)
{
    (void)state;
    const uint8_t block[18] = {1, 2, 3};
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 8) {
        uint32_t done = 0;
        uint64_t number = 0;
        double real = 0.0;
        bool flag = false;
        weir_manifest *manifest = NULL;
        begin_folder();
        weir_gguf_writer *writer = begin_file(0, alignment, &done, NULL);
        put_floats(writer, 1.0f);
        assert_int_equal(weir_gguf_put_data(writer, block, sizeof(block), NULL), WEIR_OK);
        put_floats(writer, 2.0f);
        assert_int_equal(weir_gguf_writer_finish(writer, NULL, NULL, NULL), WEIR_OK);
        assert_int_equal(weir_manifest_open(&manifest, path, NULL), WEIR_OK);
        assert_int_equal(weir_manifest_version(manifest), 3);
        assert_int_equal(weir_manifest_bytes(manifest), weir_gguf_writer_file_bytes(writer));
        weir_gguf_writer_close(&writer);
        assert_true(weir_manifest_u64(manifest, "toy.u64", &number) && number == UINT64_MAX);
        assert_true(weir_manifest_f64(manifest, "toy.i32", &real) && real == -5.0);
        assert_true(weir_manifest_f64(manifest, "toy.f32", &real) && real == 0.25);
        assert_true(weir_manifest_bool(manifest, "toy.bool", &flag) && flag);
        assert_string_equal(weir_manifest_text(manifest, "toy.empty"), "");
        assert_true(weir_manifest_array_count(manifest, "toy.words", &number) && number == 2);
        assert_true(weir_manifest_element(manifest, "toy.reals", 0, &real) && real == 1.5);
        const struct weir_tensor *last = weir_manifest_tensor(manifest, "c");
        float value = 0.0f;
        const int fd = open(path, O_RDONLY);
        assert_int_equal(last->offset % alignment, 0);
        assert_int_equal(pread(fd, &value, sizeof(value), (off_t)last->offset), sizeof(value));
        assert_true(value == 2.0f);
        close(fd);
        weir_manifest_close(&manifest);
        end_folder();
    }
}

static void what_is_not_finished_leaves_nothing(void **state)
{
    (void)state;
    uint32_t done = 0;
    weir_manifest *manifest = NULL;
    begin_folder();
    FILE *before = fopen(path, "w");
    fputs("what was there", before);
    fclose(before);
    weir_gguf_writer *writer = begin_file(0, 32, &done, NULL);
    put_floats(writer, 1.0f);
    assert_true(is_there(unfinished));
    assert_int_not_equal(weir_manifest_open(&manifest, unfinished, NULL), WEIR_OK);
    weir_gguf_writer_close(&writer);
    assert_false(is_there(unfinished));
    struct stat facts;
    assert_true(stat(path, &facts) == 0 && facts.st_size == 14);
    end_folder();
}

static enum weir_status refuse(void *user, const char *found, struct weir_err *err)
{
    assert_string_equal(found, unfinished);
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s", (const char *)user);
}

static void what_its_check_refuses_is_removed(void **state)
{
    (void)state;
    for (uint64_t stamp = 0; stamp < 2; stamp++) {
        const uint8_t block[18] = {0};
        uint32_t done = 0;
        struct weir_err err = {0};
        begin_folder();
        weir_gguf_writer *writer = begin_file(stamp, 32, &done, NULL);
        put_floats(writer, 1.0f);
        assert_int_equal(weir_gguf_put_data(writer, block, sizeof(block), NULL), WEIR_OK);
        put_floats(writer, 2.0f);
        char why[] = "not as it should be";
        assert_int_equal(weir_gguf_writer_finish(writer, refuse, why, &err), WEIR_ERR_FORMAT);
        assert_string_equal(err.text, why);
        weir_gguf_writer_close(&writer);
        assert_false(is_there(path) || is_there(unfinished));
        end_folder();
    }
}

/* A stamp lets the next one go on, behind the tensors that are whole; another stamp does not. */
static void a_stamp_goes_on(void **state)
{
    (void)state;
    const uint8_t block[18] = {7};
    uint32_t done = 0;
    weir_manifest *manifest = NULL;
    begin_folder();
    weir_gguf_writer *writer = begin_file(5, 32, &done, NULL);
    assert_int_equal(done, 0);
    put_floats(writer, 1.0f);
    assert_int_equal(weir_gguf_put_data(writer, block, sizeof(block), NULL), WEIR_OK);
    assert_int_equal(weir_gguf_put_data(writer, block, 4, NULL), WEIR_OK); /* of c */
    weir_gguf_writer_close(&writer);
    assert_true(is_there(unfinished));
    assert_int_not_equal(weir_manifest_open(&manifest, unfinished, NULL), WEIR_OK);
    writer = begin_file(5, 32, &done, NULL);
    assert_int_equal(done, 2);
    weir_gguf_writer_close(&writer);
    writer = begin_file(5, 32, &done, NULL); /* it was begun, and is not lost */
    assert_int_equal(done, 2);
    put_floats(writer, 2.0f);
    assert_int_equal(weir_gguf_writer_finish(writer, NULL, NULL, NULL), WEIR_OK);
    weir_gguf_writer_close(&writer);
    assert_int_equal(weir_manifest_open(&manifest, path, NULL), WEIR_OK);
    float found[2] = {0};
    const int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, found, 4, (off_t)weir_manifest_tensor(manifest, "a")->offset + 380),
                     4);
    assert_int_equal(pread(fd, found + 1, 4, (off_t)weir_manifest_tensor(manifest, "c")->offset),
                     4);
    assert_true(found[0] == 1.0f && found[1] == 2.0f);
    close(fd);
    weir_manifest_close(&manifest);
    unlink(path);
    writer = begin_file(5, 32, &done, NULL);
    put_floats(writer, 1.0f);
    weir_gguf_writer_close(&writer);
    writer = begin_file(6, 32, &done, NULL);
    assert_int_equal(done, 0);
    weir_gguf_writer_close(&writer);
    writer = begin_file(6, 64, &done, NULL); /* another head */
    assert_int_equal(done, 0);
    weir_gguf_writer_close(&writer);
    writer = begin_file(0, 32, &done, NULL);
    weir_gguf_writer_close(&writer);
    assert_false(is_there(unfinished));
    end_folder();
}

static void others_files_are_left_alone(void **state)
{
    (void)state;
    struct weir_err err = {0};
    uint32_t done = 0;
    weir_gguf_writer *writer = NULL, *second = NULL;
    begin_folder();
    FILE *other = fopen(unfinished, "w");
    fputs("something that somebody keeps under this name", other);
    fclose(other);
    assert_int_equal(weir_gguf_writer_open(&writer, path, 0, &err), WEIR_ERR_IO);
    assert_true(err.os_errno == EEXIST && strstr(err.text, "move it away") != NULL);
    assert_true(is_there(unfinished));
    unlink(unfinished);
    writer = begin_file(0, 32, &done, NULL);
    err = (struct weir_err){0};
    assert_int_equal(weir_gguf_writer_open(&second, path, 0, &err), WEIR_ERR_IO);
    assert_int_equal(err.os_errno, EAGAIN);
    assert_true(is_there(unfinished));
    weir_gguf_writer_close(&writer);
    err = (struct weir_err){0};
    assert_int_equal(weir_gguf_writer_open(&writer, folder, 0, &err), WEIR_ERR_IO);
    assert_int_equal(err.os_errno, EISDIR);
    err = (struct weir_err){0};
    assert_int_equal(weir_gguf_writer_open(&writer, "/dev/null", 0, &err), WEIR_ERR_IO);
    assert_int_equal(weir_gguf_writer_open(&writer, "/no/such/folder/x.gguf", 0, NULL),
                     WEIR_ERR_IO);
    end_folder();
}

/* A link is followed; what it leads to is replaced. */
static void links_stay_links(void **state)
{
    (void)state;
    const uint8_t block[18] = {0};
    char link_path[160];
    struct stat facts;
    uint32_t done = 0;
    begin_folder();
    snprintf(link_path, sizeof(link_path), "%s/link.gguf", folder);
    FILE *before = fopen(path, "w");
    fclose(before);
    assert_int_equal(symlink("out.gguf", link_path), 0);
    char target[128];
    memcpy(target, path, sizeof(target));
    snprintf(path, sizeof(path), "%s/link.gguf", folder);
    weir_gguf_writer *writer = begin_file(0, 32, &done, NULL);
    put_floats(writer, 1.0f);
    weir_gguf_put_data(writer, block, sizeof(block), NULL);
    put_floats(writer, 2.0f);
    assert_int_equal(weir_gguf_writer_finish(writer, NULL, NULL, NULL), WEIR_OK);
    weir_gguf_writer_close(&writer);
    assert_true(lstat(link_path, &facts) == 0 && S_ISLNK(facts.st_mode));
    assert_true(stat(target, &facts) == 0 && facts.st_size > 0);
    unlink(link_path);
    memcpy(path, target, sizeof(target));
    end_folder();
}

/* Longer than files may be: said before the data, and by an error in place of a signal. */
static void no_room_is_an_error_at_once(void **state)
{
    (void)state;
    struct rlimit usual;
    struct weir_err err = {0};
    uint32_t done = 0;
    begin_folder();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    const struct rlimit little = {1000, usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    weir_gguf_writer *writer = begin_file(0, 32, &done, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
    assert_int_equal(err.status, WEIR_ERR_IO);
    assert_int_equal(err.os_errno, EFBIG);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(weir_gguf_put_data(writer, "xxxx", 4, NULL), WEIR_ERR_IO);
    assert_int_equal(weir_gguf_writer_finish(writer, NULL, NULL, NULL), WEIR_ERR_IO);
    weir_gguf_writer_close(&writer);
    assert_false(is_there(unfinished));
    end_folder();
}

static void what_readers_refuse_is_not_written(void **state)
{
    (void)state;
    static char long_name[WEIR_NAME_MAX + 2];
    memset(long_name, 'n', WEIR_NAME_MAX + 1);
    const uint64_t odd[4] = {33, 1, 1, 1};
    const uint64_t none[4] = {32, 0, 1, 1};
    for (int turn = 0; turn < 5; turn++) {
        struct weir_err err = {0};
        weir_gguf_writer *writer = NULL;
        uint32_t done = 0;
        begin_folder();
        assert_int_equal(weir_gguf_writer_open(&writer, path, 0, NULL), WEIR_OK);
        if (turn == 0)
            weir_gguf_put_u32(writer, long_name, 1);
        if (turn == 1)
            weir_gguf_put_u32(writer, "general.alignment", 24);
        if (turn == 2)
            weir_gguf_put_tensor(writer, "odd", 1, odd, WEIR_TYPE_Q8_0);
        if (turn == 3)
            weir_gguf_put_tensor(writer, "none", 2, none, WEIR_TYPE_Q8_0);
        if (turn == 4)
            weir_gguf_put_tensor(writer, "codes", 1, none, WEIR_TYPE_F8_E4M3);
        assert_int_equal(weir_gguf_writer_begin(writer, &done, &err), WEIR_ERR_ARG);
        assert_true(err.text[0] != '\0');
        weir_gguf_writer_close(&writer);
        end_folder();
    }
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const uint64_t heap_bytes = weir_heap_bytes();
    begin_folder();
    for (uint64_t call = 1; call < 3; call++) {
        weir_gguf_writer *writer = NULL;
        weir_heap_fail_at(call);
        assert_int_equal(weir_gguf_writer_open(&writer, path, 0, NULL), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        assert_false(is_there(unfinished));
    }
    assert_int_equal(weir_heap_bytes(), heap_bytes);
    end_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_models_come_out_as_they_are),
        cmocka_unit_test(keys_and_places_are_read_again),
        cmocka_unit_test(what_is_not_finished_leaves_nothing),
        cmocka_unit_test(what_its_check_refuses_is_removed),
        cmocka_unit_test(a_stamp_goes_on),
        cmocka_unit_test(others_files_are_left_alone),
        cmocka_unit_test(links_stay_links),
        cmocka_unit_test(no_room_is_an_error_at_once),
        cmocka_unit_test(what_readers_refuse_is_not_written),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
