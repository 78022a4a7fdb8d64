/* room.c - one ceiling for slots, pages and sessions: what one gives back the other may take.
 *
 * I1  planned_bytes, less what slots gave back, and what pages and sessions took beyond the plan,
 *     never pass the ceiling less what the guard gave to the machine, and what is lent: room is
 *     made before it is used. */
#include "engine/engine_internal.h"

/* Bytes of a session that are no state: the plan has those of one. */
static uint64_t session_bytes(const struct weir_engine *engine)
{
    return engine->blueprint.model->shape.n_vocab * sizeof(float) + sizeof(struct weir_session) +
           engine->choice.n_ctx * sizeof(uint32_t) + weir_sequence_bytes(engine->state);
}

uint64_t weir_engine_text_bytes(const weir_engine *engine, uint32_t n_position)
{
    if (engine == NULL)
        return 0;
    return weir_choice_text_bytes(&engine->blueprint, &engine->choice, n_position) +
           session_bytes(engine);
}

/* What pages and blocks have. Snapshots are taken when a step ends, without asking for room, so
 * they count from the start. */
static uint64_t state_bytes(const struct weir_engine *engine)
{
    return weir_state_populated_bytes(engine->state) +
           weir_state_snapshot_room_bytes(engine->state);
}

static void trim_state(struct weir_engine *engine)
{
    const uint64_t snapshot_bytes = weir_state_snapshot_room_bytes(engine->state);
    weir_state_trim(engine->state, engine->plan_state_bytes - snapshot_bytes);
}

/* What may still be taken; negative where the guard has taken back what pages have. */
static int64_t room_bytes(const struct weir_engine *engine)
{
    struct weir_store_stats store = {0};
    const uint64_t more_state_bytes =
        state_bytes(engine) - weir_min(state_bytes(engine), engine->plan_state_bytes);
    const uint64_t more_sessions = engine->session_count > 1 ? engine->session_count - 1 : 0;
    if (engine->store != NULL)
        weir_store_stats_get(engine->store, &store);
    return (int64_t)(engine->plan.budget_bytes - engine->plan.planned_bytes) -
           (int64_t)engine->guard.stats.shrunk_bytes - (int64_t)engine->lent_bytes +
           (int64_t)store.retired_bytes - (int64_t)more_state_bytes -
           (int64_t)(more_sessions * session_bytes(engine));
}

/* State that the plan has and nobody populated yet is nobody else's. */
static uint64_t state_room_bytes(const struct weir_engine *engine)
{
    const int64_t room = room_bytes(engine);
    const uint64_t planned_bytes =
        engine->plan_state_bytes - weir_min(state_bytes(engine), engine->plan_state_bytes);
    return planned_bytes + (room > 0 ? (uint64_t)room : 0);
}

static uint64_t shrink_slots(struct weir_engine *engine, uint64_t bytes)
{
    return engine->store == NULL ? 0 : weir_store_shrink(engine->store, bytes);
}

/* The ceiling that has so much more room, in whole MiB: what slots that are away leave behind is
 * little beside one. */
static unsigned long long ceiling_with(const struct weir_engine *engine, uint64_t lack_bytes)
{
    enum { STEP_BYTES = 1 << 20 };
    return weir_align_up(engine->plan.budget_bytes + lack_bytes + STEP_BYTES / 2, STEP_BYTES);
}

enum weir_status weir_engine_room_for_pages(struct weir_engine *engine, uint32_t page_count,
                                            struct weir_err *err)
{
    for (;;) {
        const uint64_t lack_bytes = weir_state_lack_bytes(engine->state, page_count);
        const uint64_t have_bytes = state_room_bytes(engine);
        if (lack_bytes == 0)
            return WEIR_OK;
        if (have_bytes >= lack_bytes)
            return weir_state_populate(engine->state, page_count, err);
        if (weir_state_forget_oldest(engine->state))
            continue;
        const uint64_t missing_bytes = lack_bytes - have_bytes;
        if (shrink_slots(engine, missing_bytes) < missing_bytes) {
            char size[32];
            if (weir_engine_wait_for_page(engine))
                continue; /* a text that left has given its pages back by now */
            return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                             "keys and values need %s more, and no expert slot can be given back: "
                             "the ceiling is too small for this text (--mem %llu would do), or the "
                             "kernel does not take memory back (is it locked?)",
                             weir_format_size(lack_bytes, size, sizeof(size)),
                             ceiling_with(engine, missing_bytes));
        }
    }
}

/* What a session more lacks of its own memory, and of that for its block. */
static uint64_t session_lack_bytes(const struct weir_engine *engine)
{
    const int64_t own_bytes = engine->session_count == 0 ? 0 : (int64_t)session_bytes(engine);
    const int64_t block_bytes = (int64_t)weir_state_block_lack_bytes(engine->state);
    const int64_t own_lack = own_bytes - room_bytes(engine);
    const int64_t block_lack = own_bytes + block_bytes - (int64_t)state_room_bytes(engine);
    const int64_t lack = block_bytes > 0 && block_lack > own_lack ? block_lack : own_lack;
    return lack > 0 ? (uint64_t)lack : 0;
}

enum weir_status weir_engine_room_for_session(struct weir_engine *engine, struct weir_err *err)
{
    for (;;) {
        const uint64_t lack_bytes = session_lack_bytes(engine);
        if (lack_bytes == 0)
            return WEIR_OK;
        if (weir_state_forget_oldest(engine->state)) {
            trim_state(engine);
            continue;
        }
        if (shrink_slots(engine, lack_bytes) >= lack_bytes || weir_engine_wait_for_page(engine))
            continue;
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "no room under the ceiling for a session more beside %u: it lacks "
                         "%llu bytes (--mem %llu would do)",
                         engine->session_count, (unsigned long long)lack_bytes,
                         ceiling_with(engine, lack_bytes));
    }
}

void weir_engine_slots_return(struct weir_engine *engine)
{
    struct weir_store_stats store = {0};
    if (engine->store == NULL)
        return;
    weir_store_stats_get(engine->store, &store);
    if (store.retired_slots == 0)
        return;
    trim_state(engine);
    const int64_t room = room_bytes(engine);
    if (room > 0)
        (void)weir_store_grow(engine->store, (uint64_t)room);
}

/* False: slots cannot give so much. */
static bool make_lent_room(struct weir_engine *engine)
{
    int64_t room = room_bytes(engine);
    while (room < 0 && shrink_slots(engine, (uint64_t)-room) > 0)
        room = room_bytes(engine);
    return room >= 0;
}

enum weir_status weir_engine_lend(weir_engine *engine, uint64_t bytes, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    char size[32];
    WEIR_NEED(engine, err);
    WEIR_TRY(weir_engine_enter(engine, err));
    const uint64_t before_bytes = engine->lent_bytes;
    engine->lent_bytes = bytes;
    if (bytes > before_bytes && !make_lent_room(engine)) {
        engine->lent_bytes = before_bytes;
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no room for %s beside the model that is here",
                           weir_format_size(bytes, size, sizeof(size)));
    }
    if (engine->lent_bytes < bytes || bytes < before_bytes)
        weir_engine_slots_return(engine);
    weir_engine_leave(engine);
    return status;
}
