/* continue.c - go on with a text in so many GiB.
 *
 * cc continue.c -o continue $(pkg-config --cflags --libs weir) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir.h>

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: %s MODEL GIB TEXT\n", argv[0]), 2;
    const struct weir_config config = {.model_path = argv[1],
                                       .mem_bytes = (uint64_t)(atof(argv[2]) * (1 << 30))};
    const struct weir_sampler_config likeliest = {0};
    struct weir_err err = {0}; /* keeps the first failure */
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    weir_sampler *sampler = NULL;
    weir_decoder *decoder = NULL;
    uint32_t *ids = NULL, id;
    size_t count = 0;
    char text[WEIR_TOKEN_BYTES_MAX];
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        return fprintf(stderr, "%s\n", err.text), 1;
    weir_tokenizer *tokenizer = weir_engine_tokenizer(engine);
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    weir_session_create(&session, engine, &err);
    weir_sampler_create(&sampler, &likeliest, n_vocab, &err);
    weir_decoder_create(&decoder, tokenizer, true, &err);
    weir_tokenizer_encode(tokenizer, argv[3], strlen(argv[3]), WEIR_TEXT_ADD_SPECIAL, &ids, &count,
                          &err);
    if (err.status == WEIR_OK)
        weir_session_eval(session, ids, count, NULL, NULL, &err);
    for (int turn = 0; turn < 40 && err.status == WEIR_OK; turn++) {
        id = weir_sampler_pick(sampler, weir_session_logits(session));
        if (weir_tokenizer_is_end(tokenizer, id))
            break;
        fwrite(text, 1, weir_decoder_push(decoder, id, text), stdout);
        fflush(stdout);
        weir_session_eval(session, &id, 1, NULL, NULL, &err);
    }
    fprintf(stderr, "\n%s%.1f MB of memory at most\n", err.text, (double)weir_peak_bytes() / 1e6);
    weir_ids_free(&ids);
    weir_decoder_destroy(&decoder);
    weir_sampler_destroy(&sampler);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    return err.status != WEIR_OK;
}
