/* manifest_test.c - heads of GGUF files: what is read, and every way in which one is refused. */
#include "manifest_toy.h"

static void versions_two_and_three_are_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        make_small(version);
        weir_manifest *manifest = accepted();
        assert_int_equal(weir_manifest_version(manifest), version);
        assert_int_equal(weir_manifest_file_bytes(manifest, 0), image.length);
        assert_string_equal(weir_manifest_path(manifest), "(memory)");
        assert_int_equal(weir_manifest_key_count(manifest), 9);
        assert_int_equal(weir_manifest_tensor_count(manifest), 3);
        assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "llama");
        const struct weir_tensor *first = weir_manifest_tensor(manifest, "first");
        const struct weir_tensor *second = weir_manifest_tensor(manifest, "second");
        assert_null(weir_manifest_tensor(manifest, "third"));
        assert_true(first->known && first->type == WEIR_TYPE_F32 && first->bytes == 24);
        assert_true(first->dims[0] == 3 && first->dims[1] == 2 && first->dims[3] == 1);
        assert_true(second->known && second->type == WEIR_TYPE_Q8_0 && second->bytes == 34);
        assert_int_equal(second->offset, first->offset + 32);
        assert_int_equal(second->offset + 34, image.length);
        walk(manifest);
        weir_manifest_close(&manifest);
        assert_null(manifest);
        weir_manifest_close(&manifest);
    }
}

static void the_head_of_nothing_is_read(void **state)
{
    (void)state;
    begin(3, 0, 0);
    weir_manifest *manifest = accepted();
    assert_int_equal(weir_manifest_key_count(manifest), 0);
    assert_null(weir_manifest_tensor(manifest, "any"));
    walk(manifest);
    weir_manifest_close(&manifest);
}

struct number {
    const char *name;
    uint32_t type;
    uint64_t bits, as_u64;
    double as_f64;
    bool is_u64;
    const char *line;
};

static const struct number numbers[] = {
    {"u8", GGUF_U8, 0xff, 255, 255.0, true, "255"},
    {"i8", GGUF_I8, 0xff, 0, -1.0, false, "-1"},
    {"u16", GGUF_U16, 0xffff, 65535, 65535.0, true, "65535"},
    {"i16", GGUF_I16, 0x8000, 0, -32768.0, false, "-32768"},
    {"u32", GGUF_U32, UINT32_MAX, UINT32_MAX, 4294967295.0, true, "4294967295"},
    {"i32", GGUF_I32, 0x7fffffff, 0x7fffffff, 2147483647.0, true, "2147483647"},
    {"u64", GGUF_U64, UINT64_MAX, UINT64_MAX, 0x1p64, true, "18446744073709551615"},
    {"i64", GGUF_I64, UINT64_MAX, 0, -1.0, false, "-1"},
    {"f32", GGUF_F32, 0x40400000, 3, 3.0, true, "3"},
    {"f32 half", GGUF_F32, 0x3f000000, 0, 0.5, false, "0.5"},
    {"f64 2^64", GGUF_F64, 0x43f0000000000000, 0, 0x1p64, false, "1.84467441e+19"},
    {"f64 minus", GGUF_F64, 0xbff0000000000000, 0, -1.0, false, "-1"},
};

static void numbers_of_every_width_convert_without_loss(void **state)
{
    (void)state;
    begin(3, 0, WEIR_COUNT(numbers));
    for (size_t row = 0; row < WEIR_COUNT(numbers); row++) {
        put_key(numbers[row].name, numbers[row].type);
        put(numbers[row].bits, weir_gguf_type_bytes((enum gguf_type)numbers[row].type));
    }
    weir_manifest *manifest = accepted();
    for (uint32_t row = 0; row < WEIR_COUNT(numbers); row++) {
        char line[32];
        uint64_t integer = 77;
        double real = 0.0;
        bool flag = false;
        assert_int_equal(weir_manifest_u64(manifest, numbers[row].name, &integer),
                         numbers[row].is_u64);
        assert_int_equal(integer, numbers[row].is_u64 ? numbers[row].as_u64 : 77);
        assert_true(weir_manifest_f64(manifest, numbers[row].name, &real));
        assert_true(real == numbers[row].as_f64);
        assert_false(weir_manifest_bool(manifest, numbers[row].name, &flag));
        assert_null(weir_manifest_text(manifest, numbers[row].name));
        assert_string_equal(weir_manifest_key_at(manifest, row, line, sizeof(line)),
                            numbers[row].name);
        assert_string_equal(line, numbers[row].line);
    }
    weir_manifest_close(&manifest);
}

static void what_is_no_number_is_not_taken_for_one(void **state)
{
    (void)state;
    make_small(3);
    weir_manifest *manifest = accepted();
    uint64_t value = 77;
    double real = 7.5;
    bool flag = false;
    assert_false(weir_manifest_u64(manifest, "none", &value));
    assert_false(weir_manifest_u64(manifest, "a.flag", &value));
    assert_false(weir_manifest_u64(manifest, "a.list", &value));
    assert_false(weir_manifest_u64(manifest, "general.architecture", &value));
    assert_false(weir_manifest_f64(manifest, "a.flag", &real));
    assert_false(weir_manifest_f64(manifest, "general.architecture", &real));
    assert_false(weir_manifest_array_count(manifest, "a.flag", &value));
    assert_false(weir_manifest_array_u64(manifest, "a.list", 3, &value));
    assert_false(weir_manifest_array_u64(manifest, "tokenizer.ggml.tokens", 0, &value));
    assert_true(value == 77 && real == 7.5);
    assert_true(weir_manifest_bool(manifest, "a.flag", &flag) && flag);
    assert_true(weir_manifest_array_u64(manifest, "a.list", 2, &value) && value == 3);
    assert_true(weir_manifest_array_count(manifest, "a.list", &value) && value == 3);
    weir_manifest_close(&manifest);
}

static void a_value_is_one_line_and_cut_where_the_buffer_ends(void **state)
{
    (void)state;
    char line[8];
    begin(3, 0, 2);
    put_text_key("template", "a\n\x1b[2J\tb");
    put_array_key("list", GGUF_STRING, 0);
    weir_manifest *manifest = accepted();
    assert_string_equal(weir_manifest_key_at(manifest, 0, line, sizeof(line)), "template");
    assert_string_equal(line, "a\\n\\x1b");
    weir_manifest_key_at(manifest, 1, line, sizeof(line));
    assert_string_equal(line, "array o");
    assert_string_equal(weir_manifest_text(manifest, "template"), "a\n\x1b[2J\tb");
    weir_manifest_close(&manifest);
}

static void what_is_no_gguf_of_ours_is_refused(void **state)
{
    (void)state;
    begin(3, 0, 0);
    image.bytes[3] = 'X';
    is_refused(WEIR_ERR_FORMAT, WORDS("(memory)", "not a GGUF file", "\"GGUF\"", "\"GGUX\""));
    static const uint32_t versions[] = {0, 1, 4, UINT32_MAX};
    static const char *const found[] = {"found 0", "found 1", "found 4", "found 4294967295"};
    for (size_t row = 0; row < WEIR_COUNT(versions); row++) {
        begin(versions[row], 0, 0);
        is_refused(WEIR_ERR_UNSUPPORTED, WORDS("version", "wanted 2 or 3", found[row]));
    }
    for (uint32_t version = 2; version <= 3; version++) {
        begin(version << 24, 0, 0);
        is_refused(WEIR_ERR_UNSUPPORTED, WORDS("big-endian"));
    }
}

static void counts_that_the_file_cannot_hold_are_refused(void **state)
{
    (void)state;
    begin(3, 0, 1);
    put_fill('a', 13); /* a key takes 14 bytes at least */
    is_refused(WEIR_ERR_FORMAT, WORDS("1 keys", "65536", "file can hold"));
    begin(3, 1, 0);
    put_fill('a', 32); /* a tensor takes 33 */
    is_refused(WEIR_ERR_FORMAT, WORDS("1 tensors", "1048576", "file can hold"));
    begin(3, UINT64_MAX, 0);
    is_refused_at(UINT64_MAX, WEIR_ERR_FORMAT, WORDS("18446744073709551615 tensors"));
    begin(3, 0, UINT64_MAX);
    is_refused_at(UINT64_MAX, WEIR_ERR_FORMAT, WORDS("18446744073709551615 keys"));
    /* At the limit the count is believed, and the next thing is missed. */
    begin(3, WEIR_TENSOR_MAX, 0);
    is_refused_at(UINT64_MAX, WEIR_ERR_FORMAT, WORDS("cut off in name of tensor"));
    begin(3, WEIR_TENSOR_MAX + 1, 0);
    is_refused_at(UINT64_MAX, WEIR_ERR_FORMAT, WORDS("1048577 tensors are more than 1048576"));
}

static void make_keys(uint32_t key_count)
{
    begin(3, 0, key_count);
    for (uint32_t key = 0; key < key_count; key++) {
        char name[16];
        snprintf(name, sizeof(name), "k%u", key);
        put_key(name, GGUF_U8);
        put(key, 1);
    }
}

static void there_are_at_most_so_many_keys(void **state)
{
    (void)state;
    uint64_t value = 0;
    make_keys(WEIR_KEY_MAX);
    weir_manifest *manifest = accepted();
    assert_true(weir_manifest_u64(manifest, "k65535", &value) && value == 255);
    weir_manifest_close(&manifest);
    make_keys(WEIR_KEY_MAX + 1);
    is_refused(WEIR_ERR_FORMAT, WORDS("65537 keys are more than 65536"));
}

static void make_name(size_t length, bool of_tensor)
{
    begin(3, of_tensor, !of_tensor);
    put(length, 8);
    put_fill('n', length);
    if (of_tensor) {
        put(1, 4);
        put(1, 8);
        put(TYPE_F32, 4);
        put(0, 8);
        put_data(32, 4);
    } else {
        put(GGUF_U32, 4);
        put(1, 4);
    }
}

static void names_have_a_length_and_no_control_characters(void **state)
{
    (void)state;
    for (int of_tensor = 0; of_tensor < 2; of_tensor++) {
        const char *what = of_tensor ? "name of tensor 0 at byte 24" : "name of key 0 at byte 24";
        make_name(1, of_tensor);
        is_accepted();
        make_name(WEIR_NAME_MAX, of_tensor);
        is_accepted();
        make_name(WEIR_NAME_MAX + 1, of_tensor);
        is_refused(WEIR_ERR_FORMAT, WORDS(what, "wanted 1 to 255 bytes", "found 256"));
        make_name(0, of_tensor);
        put_fill('n', 1); /* the shortest thing with a name has a byte of it */
        is_refused(WEIR_ERR_FORMAT, WORDS(what, "found 0"));
        static const uint8_t bad[] = {0x00, 0x0a, 0x1b, 0x1f, 0x7f};
        for (size_t row = 0; row < WEIR_COUNT(bad); row++) {
            char found[16];
            make_name(3, of_tensor);
            image.bytes[33] = bad[row];
            snprintf(found, sizeof(found), "found 0x%02x", bad[row]);
            is_refused(WEIR_ERR_FORMAT, WORDS(what, "control character", found));
        }
        make_name(3, of_tensor);
        memcpy(image.bytes + 32, "a\xc3\xa9", 3);
        is_accepted();
    }
}

static void strings_end_inside_the_file(void **state)
{
    (void)state;
    begin(3, 0, 1);
    put_key("long", GGUF_STRING);
    const size_t length_at = image.length;
    put(4, 8);
    put_fill('t', 4);
    is_accepted();
    image.bytes[length_at] = 5;
    is_refused(WEIR_ERR_FORMAT, WORDS("cut off in text of a key", "wanted 53", "the file has 52"));
    memset(image.bytes + length_at, 0xff, 8);
    is_refused(WEIR_ERR_FORMAT, WORDS("cut off in text of a key", "18446744073709551615"));
    is_refused_at(UINT64_MAX, WEIR_ERR_FORMAT, WORDS("text of a key"));
    begin(3, 0, 1);
    put_key("nul", GGUF_STRING);
    put(3, 8);
    put_bytes("a\0b", 3);
    is_refused(WEIR_ERR_FORMAT, WORDS("key nul", "NUL inside"));
    begin(3, 0, 1);
    put_text_key("empty", "");
    weir_manifest *manifest = accepted();
    assert_string_equal(weir_manifest_text(manifest, "empty"), "");
    weir_manifest_close(&manifest);
}

static void arrays_end_inside_the_file(void **state)
{
    (void)state;
    begin(3, 0, 1);
    put_array_key("list", GGUF_U64, 2);
    put_fill(0, 16);
    is_accepted();
    image.length--;
    is_refused(WEIR_ERR_FORMAT, WORDS("cut off in values of a key"));
    static const uint64_t counts[] = {3, UINT64_MAX / 8, UINT64_MAX / 8 + 1, UINT64_MAX};
    for (size_t row = 0; row < WEIR_COUNT(counts); row++) {
        begin(3, 0, 1);
        put_array_key("list", GGUF_U64, counts[row]);
        put_fill(0, 16);
        is_refused(WEIR_ERR_FORMAT, WORDS("cut off in values of a key"));
    }
    begin(3, 0, 1);
    put_array_key("list", GGUF_STRING, UINT64_MAX);
    put_text("only one");
    is_refused(WEIR_ERR_FORMAT, WORDS("cut off in text in an array"));
}

static void types_of_values_are_known(void **state)
{
    (void)state;
    begin(3, 0, 1);
    put_key("odd", GGUF_TYPE_COUNT);
    put(0, 8);
    is_refused(WEIR_ERR_FORMAT, WORDS("key odd", "type 13 is not known"));
    begin(3, 0, 1);
    put_array_key("odd", GGUF_TYPE_COUNT, 0);
    is_refused(WEIR_ERR_FORMAT, WORDS("key odd", "array of type 13 is not known"));
    begin(3, 0, 1);
    put_array_key("nested", GGUF_ARRAY, 0);
    is_refused(WEIR_ERR_FORMAT, WORDS("key nested", "arrays of arrays"));
    for (unsigned value = 0; value < 3; value++) {
        begin(3, 0, 1);
        put_array_key("flags", GGUF_BOOL, 2);
        put(0, 1);
        put(value, 1);
        if (value < 2)
            is_accepted();
        else
            is_refused(WEIR_ERR_FORMAT, WORDS("key flags", "0 or 1", "found 2"));
    }
}

static void nothing_is_there_twice(void **state)
{
    (void)state;
    begin(3, 0, 2);
    put_u32_key("same", 1);
    put_u32_key("same", 1);
    is_refused(WEIR_ERR_FORMAT, WORDS("key same is there twice"));
    begin(3, 2, 0);
    put_tensor("same", 8, 1, TYPE_F32, 0);
    put_tensor("same", 8, 1, TYPE_F32, 32);
    put_data(32, 64);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor same is there twice"));
}

static void make_shape(uint32_t n_dim, const uint64_t *dims, uint32_t type)
{
    begin(3, 1, 0);
    put_text("w");
    put(n_dim, 4);
    for (uint32_t dim = 0; dim < n_dim; dim++)
        put(dims[dim], 8);
    put(type, 4);
    put(0, 8);
    put_data(32, 1024);
}

static void tensors_have_shapes_that_can_be(void **state)
{
    (void)state;
    static const uint64_t ones[5] = {1, 1, 1, 1, 1};
    make_shape(0, ones, TYPE_F32);
    put_fill(0, 8);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "wanted 1 to 4 dimensions", "found 0"));
    for (uint32_t n_dim = 1; n_dim <= 4; n_dim++) {
        make_shape(n_dim, ones, TYPE_F32);
        is_accepted();
    }
    make_shape(5, ones, TYPE_F32);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "wanted 1 to 4 dimensions", "found 5"));
    for (uint32_t zero = 0; zero < 4; zero++) {
        uint64_t dims[4] = {2, 2, 2, 2};
        dims[zero] = 0;
        make_shape(4, dims, TYPE_F32);
        is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "not possible", "2 x"));
    }
    make_shape(2, (const uint64_t[]){UINT64_C(1) << 32, UINT64_C(1) << 32}, TYPE_F32);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "4294967296 x 4294967296", "not possible"));
    /* The values can be counted, their bytes cannot. */
    make_shape(2, (const uint64_t[]){UINT64_C(1) << 32, UINT64_C(1) << 31}, TYPE_F32);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "4294967296", "cannot be stored as F32"));
    make_shape(1, (const uint64_t[]){UINT64_C(1) << 62}, TYPE_F32);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "cannot be stored as F32"));
    make_shape(1, (const uint64_t[]){32}, TYPE_Q8_0);
    is_accepted();
    make_shape(1, (const uint64_t[]){33}, TYPE_Q8_0);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w", "rows of 33 values", "Q8_0"));
}

static void types_that_are_not_built_in_are_kept_as_unknown(void **state)
{
    (void)state;
    static const uint32_t types[] = {TYPE_UNKNOWN, 4, 5, 1000, UINT32_MAX};
    for (size_t row = 0; row < WEIR_COUNT(types); row++) {
        make_shape(1, (const uint64_t[]){256}, types[row]);
        weir_manifest *manifest = accepted();
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, 0);
        assert_false(tensor->known);
        assert_int_equal(tensor->ggml_type, types[row]);
        assert_int_equal(tensor->bytes, 0);
        weir_manifest_close(&manifest);
    }
}

static void make_pair(uint64_t first_at, uint64_t second_at, size_t data_bytes)
{
    begin(3, 2, 0);
    put_tensor("one", 8, 2, TYPE_F32, first_at); /* 64 bytes */
    put_tensor("two", 8, 1, TYPE_F32, second_at);
    put_data(32, data_bytes);
}

static void tensors_lie_in_the_file_and_apart(void **state)
{
    (void)state;
    make_pair(0, 64, 96);
    is_accepted();
    make_pair(32, 0, 96); /* the order is free */
    is_accepted();
    make_pair(0, 64, 95);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor two", "wanted 32 bytes at", "file ends at"));
    make_pair(0, 65, 1024);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor two", "65", "not a multiple", "32"));
    make_pair(0, UINT64_MAX - 31, 96);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor two", "wanted 32 bytes"));
    make_pair(0, UINT64_C(1) << 63, 96);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor two", "wanted 32 bytes"));
    make_pair(0, 32, 96);
    is_refused(WEIR_ERR_FORMAT, WORDS("one and two overlap", "wanted 64 bytes"));
    make_pair(32, 64, 96);
    is_refused(WEIR_ERR_FORMAT, WORDS("one and two overlap"));
    make_pair(0, 0, 96);
    is_refused(WEIR_ERR_FORMAT, WORDS("overlap"));
}

static void make_aligned(uint32_t alignment, uint64_t offset, size_t data_alignment)
{
    begin(3, 1, 1);
    put_u32_key("general.alignment", alignment);
    put_tensor("w", 8, 1, TYPE_F32, offset);
    put_data(data_alignment, (size_t)offset + 32);
}

static void the_alignment_is_a_power_of_two(void **state)
{
    (void)state;
    static const uint32_t good[] = {1, 8, 64, 4096, 1 << 20};
    for (size_t row = 0; row < WEIR_COUNT(good); row++) {
        make_aligned(good[row], good[row], good[row]);
        weir_manifest *manifest = accepted();
        assert_int_equal(weir_manifest_tensor_at(manifest, 0)->offset + 32, image.length);
        weir_manifest_close(&manifest);
    }
    static const uint32_t bad[] = {0, 3, 96, 1 << 21, UINT32_MAX};
    for (size_t row = 0; row < WEIR_COUNT(bad); row++) {
        char found[24];
        snprintf(found, sizeof(found), "found %u", bad[row]);
        make_aligned(bad[row], 0, 32);
        is_refused(WEIR_ERR_FORMAT,
                   WORDS("general.alignment", "power of two up to 1048576", found));
    }
    make_aligned(64, 32, 64);
    is_refused(WEIR_ERR_FORMAT, WORDS("tensor w lies at 32", "alignment 64"));
    begin(3, 0, 1);
    put_text_key("general.alignment", "32");
    is_refused(WEIR_ERR_FORMAT, WORDS("general.alignment", "wanted a whole number"));
}

static void parts_of_a_split_model_are_refused(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 3; count++) {
        begin(3, 0, 1);
        put_key("split.count", GGUF_U16);
        put(count, 2);
        if (count < 2)
            is_accepted();
        else
            is_refused(WEIR_ERR_UNSUPPORTED, WORDS("(memory)", "2 parts", "split model"));
    }
    begin(3, 0, 1);
    put_text_key("split.count", "2");
    is_refused(WEIR_ERR_FORMAT, WORDS("split.count", "wanted a whole number"));
}

static void heads_have_a_longest_length(void **state)
{
    (void)state;
    for (unsigned past = 0; past < 2; past++) {
        begin(3, 0, 1);
        put_array_key("long", GGUF_U8, 0);
        const uint64_t count = WEIR_METADATA_BYTES_MAX - image.length + past;
        image.length -= 8;
        put(count, 8);
        /* At the limit it is the bytes themselves that are missed. */
        is_refused_at(UINT64_C(1) << 40, WEIR_ERR_FORMAT,
                      past ? WORDS("head is longer than 536870912", "found 536870913")
                           : WORDS("cut off in values of a key", "wanted byte 536870912"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_two_and_three_are_read),
        cmocka_unit_test(the_head_of_nothing_is_read),
        cmocka_unit_test(numbers_of_every_width_convert_without_loss),
        cmocka_unit_test(what_is_no_number_is_not_taken_for_one),
        cmocka_unit_test(a_value_is_one_line_and_cut_where_the_buffer_ends),
        cmocka_unit_test(what_is_no_gguf_of_ours_is_refused),
        cmocka_unit_test(counts_that_the_file_cannot_hold_are_refused),
        cmocka_unit_test(there_are_at_most_so_many_keys),
        cmocka_unit_test(names_have_a_length_and_no_control_characters),
        cmocka_unit_test(strings_end_inside_the_file),
        cmocka_unit_test(arrays_end_inside_the_file),
        cmocka_unit_test(types_of_values_are_known),
        cmocka_unit_test(nothing_is_there_twice),
        cmocka_unit_test(tensors_have_shapes_that_can_be),
        cmocka_unit_test(types_that_are_not_built_in_are_kept_as_unknown),
        cmocka_unit_test(tensors_lie_in_the_file_and_apart),
        cmocka_unit_test(the_alignment_is_a_power_of_two),
        cmocka_unit_test(parts_of_a_split_model_are_refused),
        cmocka_unit_test(heads_have_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
