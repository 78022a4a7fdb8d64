/* question_read.c - a line of --mc: a prompt, its choices and the right one. */
#include <string.h>

#include "questions.h"

static enum weir_status read_choices(struct weir_cli_question *question, struct weir_err *err)
{
    const json_t *choices = json_object_get(question->object, "choices");
    const size_t count = json_array_size(choices);
    if (count < 2 || count > WEIR_CLI_CHOICE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "choices: wanted an array of 2 to %d, found %zu",
                         WEIR_CLI_CHOICE_MAX, count);
    for (size_t index = 0; index < count; index++) {
        const char *choice = json_string_value(json_array_get(choices, index));
        if (choice == NULL || choice[0] == '\0')
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "choices: wanted texts, found number %zu empty "
                             "or none",
                             index);
        question->choices[index] = choice;
    }
    question->choice_count = (uint32_t)count;
    return WEIR_OK;
}

/* A number from 0 on, or a letter from A on. */
static enum weir_status read_answer(struct weir_cli_question *question, struct weir_err *err)
{
    const json_t *answer = json_object_get(question->object, "answer");
    const char *letter = json_string_value(answer);
    json_int_t index = json_is_integer(answer) ? json_integer_value(answer) : -1;
    if (letter != NULL && letter[0] != '\0' && letter[1] == '\0')
        index = letter[0] >= 'a' ? letter[0] - 'a' : letter[0] - 'A';
    if (index < 0 || index >= question->choice_count)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "answer: wanted a number from 0 to %u or a letter "
                         "from A to %c, found another",
                         question->choice_count - 1, (char)('A' + question->choice_count - 1));
    question->answer = (uint32_t)index;
    return WEIR_OK;
}

static enum weir_status read_members(struct weir_cli_question *question, struct weir_err *err)
{
    static const char *const known[] = {"prompt", "question", "choices", "answer"};
    const char *key;
    json_t *value;
    const char *prompt = json_string_value(json_object_get(question->object, "prompt"));
    const char *asked = json_string_value(json_object_get(question->object, "question"));
    json_object_foreach(question->object, key, value)
    {
        size_t index = 0;
        while (index < WEIR_COUNT(known) && strcmp(known[index], key) != 0)
            index++;
        if (index == WEIR_COUNT(known) && strcmp(key, "id") != 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "wanted prompt (or question), choices, answer "
                             "and id, found %s",
                             key);
    }
    if ((prompt == NULL) == (asked == NULL))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "wanted a text as prompt or as question, found %s",
                         prompt == NULL ? "none" : "both");
    question->prompt = prompt == NULL ? asked : prompt;
    WEIR_TRY(read_choices(question, err));
    return read_answer(question, err);
}

enum weir_status weir_cli_question_read(struct weir_cli_question *question, const char *line,
                                        size_t length, struct weir_err *err)
{
    json_error_t error;
    *question = (struct weir_cli_question){
        .object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error)};
    if (question->object == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "no JSON: %s", error.text);
    enum weir_status status =
        json_is_object(question->object)
            ? read_members(question, err)
            : WEIR_FAIL(err, WEIR_ERR_FORMAT, "wanted a JSON object, found another value");
    if (status != WEIR_OK)
        weir_cli_question_free(question);
    return status;
}

void weir_cli_question_free(struct weir_cli_question *question)
{
    json_decref(question->object);
    *question = (struct weir_cli_question){0};
}

void weir_cli_share_interval(uint64_t right, uint64_t count, double *low, double *high)
{
    const double z = 1.959963984540054;
    const double n = (double)count;
    const double share = (double)right / n;
    const double middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    const double half =
        z / (1.0 + z * z / n) * sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));
    *low = middle - half;
    *high = middle + half;
}
