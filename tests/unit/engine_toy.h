/* engine_toy.h - an engine and a session, or the test's end with the reason. */
#ifndef WEIR_TESTS_ENGINE_TOY_H
#define WEIR_TESTS_ENGINE_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "weir.h"

static inline weir_engine *open_engine(const struct weir_config *config)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    if (weir_engine_open(&engine, config, &err) != WEIR_OK)
        fail_msg("%s, kv %s: %s", config->model_path, config->kv == NULL ? "f16" : config->kv,
                 err.text);
    return engine;
}

static inline weir_session *begin(weir_engine *engine)
{
    struct weir_err err = {0};
    weir_session *session = NULL;
    if (weir_session_create(&session, engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return session;
}

#endif
