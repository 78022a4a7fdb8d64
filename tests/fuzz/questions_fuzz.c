/* questions_fuzz.c - libFuzzer: any bytes as a line of --mc, or as the sums of eval's chunks. */
#include <stdint.h>
#include <stdlib.h>

#include "../../cli/questions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void read_question(const char *text, size_t length)
{
    struct weir_cli_question question;
    struct weir_err err = {0};
    if (weir_cli_question_read(&question, text, length, &err) != WEIR_OK) {
        require(question.object == NULL && err.text[0] != '\0');
        return;
    }
    require(question.prompt != NULL && question.choice_count >= 2);
    require(question.choice_count <= WEIR_CLI_CHOICE_MAX);
    require(question.answer < question.choice_count);
    for (uint32_t index = 0; index < question.choice_count; index++)
        require(question.choices[index][0] != '\0');
    weir_cli_question_free(&question);
}

static void read_chunks(const char *text, size_t length)
{
    struct weir_cli_chunks chunks = {0}, again = {0};
    struct weir_err err = {0};
    json_t *object = json_loadb(text, length, 0, NULL);
    if (json_is_object(object) && weir_cli_chunks_read(&chunks, object, &err) == WEIR_OK) {
        const bool is_choice = json_object_get(object, "questions") != NULL;
        json_t *written = weir_cli_chunks_json(&chunks, is_choice);
        require(weir_cli_chunks_read(&again, written, &err) == WEIR_OK);
        require(again.count == chunks.count && again.each == chunks.each);
        json_decref(written);
    } else {
        require(!json_is_object(object) || err.text[0] != '\0');
    }
    weir_cli_chunks_free(&chunks);
    weir_cli_chunks_free(&again);
    json_decref(object);
}

/* The first byte says what follows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] == 'C')
        read_chunks((const char *)data + 1, size - 1);
    else
        read_question((const char *)data + 1, size - 1);
    return 0;
}
