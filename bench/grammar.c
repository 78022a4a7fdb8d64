/* grammar.c - what a grammar costs a token: the time of choosing with it and without it, in turns,
 * beside the time of computing the token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "weir.h"

enum { TEXTS = 12, TOKENS = 256, TEXT_MAX = 1 << 20 };

static const char help[] =
    "usage: grammar MODEL FILE [THREADS]\n"
    "\n"
    "FILE is a grammar in GBNF, or a JSON schema when its name ends with .json. 12 texts of at "
    "most\n"
    "256 tokens at temperature 1, all experts in memory. Each token is chosen with the grammar "
    "and\n"
    "without it; the text goes on with the first.\n"
    "\n"
    "example: build/release/bench/grammar models/demo/weir-demo.gguf person.json\n";

struct sums {
    uint64_t tokens, eval_ns, with_ns, without_ns, longest_ns;
};

static int say(const struct weir_err *err)
{
    fprintf(stderr, "grammar: %s\n", err->text);
    return 1;
}

static weir_grammar *read_grammar(weir_tokenizer *tokenizer, const char *path, struct weir_err *err)
{
    static char text[TEXT_MAX];
    weir_grammar *grammar = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        WEIR_FAIL(err, WEIR_ERR_IO, "cannot open %s", path);
        return NULL;
    }
    const size_t length = fread(text, 1, sizeof(text), file);
    const size_t name = strlen(path);
    fclose(file);
    if (name > 5 && strcmp(path + name - 5, ".json") == 0)
        weir_grammar_from_schema(&grammar, tokenizer, text, length, path, err);
    else
        weir_grammar_create(&grammar, tokenizer, text, length, path, err);
    return grammar;
}

static enum weir_status write_text(weir_engine *engine, weir_session *session,
                                   const weir_grammar *grammar, uint64_t seed, struct sums *sums,
                                   struct weir_err *err)
{
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    weir_tokenizer *tokenizer = weir_engine_tokenizer(engine);
    struct weir_sampler_config config = {.temperature = 1.0f, .top_k = 40, .seed = seed};
    weir_sampler *with = NULL, *without = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    enum weir_status status = WEIR_OK;
    WEIR_TRY_GOTO(weir_sampler_create(&without, &config, n_vocab, err));
    config.grammar = grammar;
    WEIR_TRY_GOTO(weir_sampler_create(&with, &config, n_vocab, err));
    WEIR_TRY_GOTO(weir_tokenizer_encode(tokenizer, "The old man wrote:", 18, WEIR_TEXT_ADD_SPECIAL,
                                        &ids, &count, err));
    weir_session_rewind(session, 0);
    WEIR_TRY_GOTO(weir_session_eval(session, ids, count, NULL, NULL, err));
    for (int token = 0; token < TOKENS; token++) {
        const uint64_t start_ns = weir_now_ns();
        weir_sampler_pick(without, weir_session_logits(session));
        const uint64_t middle_ns = weir_now_ns();
        const uint32_t id = weir_sampler_pick(with, weir_session_logits(session));
        const uint64_t chosen_ns = weir_now_ns();
        if (id == WEIR_ID_NONE || weir_tokenizer_is_end(tokenizer, id))
            break;
        WEIR_TRY_GOTO(weir_session_eval(session, &id, 1, NULL, NULL, err));
        sums->eval_ns += weir_now_ns() - chosen_ns;
        sums->without_ns += middle_ns - start_ns;
        sums->with_ns += chosen_ns - middle_ns;
        sums->longest_ns = weir_max(sums->longest_ns, chosen_ns - middle_ns);
        sums->tokens++;
    }
fail:
    weir_ids_free(&ids);
    weir_sampler_destroy(&with);
    weir_sampler_destroy(&without);
    return status;
}

int main(int count, char **words)
{
    if (count < 3) {
        fputs(help, stderr);
        return 2;
    }
    struct weir_config config = {.model_path = words[1], .expert_share = 1.0};
    struct weir_err err = {0};
    struct sums sums = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    config.n_thread = count > 3 ? (uint32_t)strtoul(words[3], NULL, 10) : 0;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK ||
        weir_session_create(&session, engine, &err) != WEIR_OK)
        return say(&err);
    const uint64_t start_ns = weir_now_ns();
    weir_grammar *grammar = read_grammar(weir_engine_tokenizer(engine), words[2], &err);
    if (grammar == NULL)
        return say(&err);
    const double made_s = (double)(weir_now_ns() - start_ns) * 1e-9;
    for (uint64_t seed = 1; seed <= TEXTS; seed++)
        if (write_text(engine, session, grammar, seed, &sums, &err) != WEIR_OK)
            return say(&err);
    const double tokens = (double)weir_max(1, sums.tokens) * 1e3;
    const double more_us = ((double)sums.with_ns - (double)sums.without_ns) / tokens;
    printf("made in %.1f ms; %llu tokens: %.0f us to compute, %.1f us to choose, %.1f us more with "
           "the grammar (%.2f %%), %.0f us at most\n",
           made_s * 1e3, (unsigned long long)sums.tokens, (double)sums.eval_ns / tokens,
           (double)sums.without_ns / tokens, more_us,
           100.0 * more_us * tokens / ((double)sums.eval_ns + (double)sums.without_ns),
           (double)sums.longest_ns * 1e-3);
    weir_grammar_destroy(&grammar);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    return 0;
}
