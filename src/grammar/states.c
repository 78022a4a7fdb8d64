/* states.c - a nondeterministic automaton with stacks, made deterministic where a text goes. */
#include <string.h>

#include "base/heap.h"
#include "grammar/matcher.h"

enum {
    TABLE_BYTES = 2 << 20,
    STATE_MIN = 1 << 10,
    STATE_MAX = 1 << 14,
    WAYS_MAX = 1 << 16, /* of all states */
    STATE_SLOT_COUNT = 2 * STATE_MAX,
    STACK_SLOT_COUNT = 2 * WEIR_GRAMMAR_STACK_MAX,
    OPEN_MAX = 4 * WEIR_GRAMMAR_WAY_MAX, /* followed in one step */
    SEEN_SLOT_COUNT = 2 * OPEN_MAX,
};

static uint64_t way_of(uint32_t pc, uint32_t stack)
{
    return (uint64_t)pc << 32 | stack;
}

/* splitmix64's finish. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* ---- stacks -------------------------------------------------------------------------------- */

static void place_stack(struct weir_states *states, uint32_t stack)
{
    const struct weir_stack_node *node = &states->stacks[stack];
    uint32_t slot = (uint32_t)(mix(way_of(node->pc, node->below)) % STACK_SLOT_COUNT);
    while (states->stack_slots[slot] != 0)
        slot = (slot + 1) % STACK_SLOT_COUNT;
    states->stack_slots[slot] = stack;
}

/* keeps I3; FULL. */
static uint32_t push_stack(struct weir_states *states, uint32_t pc, uint32_t below)
{
    uint32_t slot = (uint32_t)(mix(way_of(pc, below)) % STACK_SLOT_COUNT);
    for (; states->stack_slots[slot] != 0; slot = (slot + 1) % STACK_SLOT_COUNT) {
        const struct weir_stack_node *node = &states->stacks[states->stack_slots[slot]];
        if (node->pc == pc && node->below == below)
            return states->stack_slots[slot];
    }
    if (states->stack_count == WEIR_GRAMMAR_STACK_MAX)
        return WEIR_STATE_FULL;
    states->stacks[states->stack_count] = (struct weir_stack_node){
        pc, below, weir_least_sum(states->program->least[pc], states->stacks[below].least)};
    states->stack_slots[slot] = states->stack_count;
    return states->stack_count++;
}

/* ---- one step ------------------------------------------------------------------------------ */

static bool refuse(struct weir_states *states, uint32_t pc)
{
    states->culprit = weir_program_rule_name(states->program, pc);
    return false;
}

static void begin_step(struct weir_states *states)
{
    if (++states->stamp == 0) {
        memset(states->stamps, 0, SEEN_SLOT_COUNT * sizeof(*states->stamps));
        states->stamp = 1;
    }
    states->open_count = states->next_count = states->seen_count = 0;
    states->next_may_end = false;
}

/* Once a step. False: there is no room. */
static bool open_way(struct weir_states *states, uint32_t pc, uint32_t stack)
{
    const uint64_t way = way_of(pc, stack);
    uint32_t slot = (uint32_t)(mix(way) % SEEN_SLOT_COUNT);
    for (; states->stamps[slot] == states->stamp; slot = (slot + 1) % SEEN_SLOT_COUNT)
        if (states->seen[slot] == way)
            return true;
    if (states->seen_count == OPEN_MAX || states->work >= WEIR_GRAMMAR_WORK_MAX)
        return refuse(states, pc);
    states->work++;
    states->seen[slot] = way;
    states->stamps[slot] = states->stamp;
    states->seen_count++;
    states->open[states->open_count++] = way;
    return true;
}

/* A call that nothing follows in its own rule leaves nothing to come back to: rules that end with
 * themselves need no stack. */
static bool follow_call(struct weir_states *states, uint32_t pc, uint32_t stack)
{
    const struct weir_instr *code = states->program->code;
    uint32_t behind = pc + 1;
    uint32_t jumps = 0;
    while (code[behind].op == WEIR_INSTR_JUMP && jumps++ < 64)
        behind = code[behind].to;
    if (code[behind].op != WEIR_INSTR_RETURN) {
        stack = push_stack(states, behind, stack);
        if (stack == WEIR_STATE_FULL)
            return refuse(states, pc);
    }
    return open_way(states, code[pc].to, stack);
}

static bool follow(struct weir_states *states, uint64_t way)
{
    const uint32_t pc = (uint32_t)(way >> 32);
    const uint32_t stack = (uint32_t)way;
    const struct weir_instr *instr = &states->program->code[pc];
    switch ((enum weir_instr_op)instr->op) {
    case WEIR_INSTR_BYTE:
        if (states->next_count == WEIR_GRAMMAR_WAY_MAX)
            return refuse(states, pc);
        states->next[states->next_count++] = way;
        return true;
    case WEIR_INSTR_SPLIT:
        return open_way(states, instr->to, stack) && open_way(states, instr->other, stack);
    case WEIR_INSTR_JUMP:
        return open_way(states, instr->to, stack);
    case WEIR_INSTR_CALL:
        return follow_call(states, pc, stack);
    case WEIR_INSTR_RETURN:
        if (stack == 0) {
            states->next_may_end = true;
            return true;
        }
        return open_way(states, states->stacks[stack].pc, states->stacks[stack].below);
    }
    return true;
}

static bool follow_all(struct weir_states *states)
{
    while (states->open_count > 0)
        if (!follow(states, states->open[--states->open_count]))
            return false;
    return true;
}

/* ---- states -------------------------------------------------------------------------------- */

/* Shell 1959, with Ciura's gaps: ways are few, and nothing may be allocated. */
static void sort_ways(uint64_t *ways, uint32_t count)
{
    static const uint32_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (uint32_t row = 0; row < WEIR_COUNT(gaps); row++)
        for (uint32_t at = gaps[row]; at < count; at++) {
            const uint64_t moved = ways[at];
            uint32_t to = at;
            for (; to >= gaps[row] && ways[to - gaps[row]] > moved; to -= gaps[row])
                ways[to] = ways[to - gaps[row]];
            ways[to] = moved;
        }
}

/* The bytes that the nearest end of a state's ways needs. */
static uint32_t least_of_next(const struct weir_states *states)
{
    uint32_t least = states->next_may_end ? 0 : WEIR_LEAST_MAX;
    for (uint32_t at = 0; at < states->next_count; at++) {
        const uint32_t pc = (uint32_t)(states->next[at] >> 32);
        const uint32_t below = states->stacks[(uint32_t)states->next[at]].least;
        least = (uint32_t)weir_min(least, weir_least_sum(states->program->least[pc], below));
    }
    return least;
}

/* The state whose ways are in next, made when it is new; keeps I2. DEAD, FULL. */
static uint32_t find_state(struct weir_states *states)
{
    const uint32_t count = states->next_count;
    uint64_t hash = states->next_may_end;
    if (count == 0 && !states->next_may_end)
        return WEIR_STATE_DEAD;
    sort_ways(states->next, count);
    for (uint32_t at = 0; at < count; at++)
        hash = mix(hash ^ states->next[at]) + at;
    uint32_t slot = (uint32_t)(hash % STATE_SLOT_COUNT);
    for (; states->state_slots[slot] != 0; slot = (slot + 1) % STATE_SLOT_COUNT) {
        const struct weir_match_state *state = &states->states[states->state_slots[slot] - 1];
        if (state->way_count == count && state->may_end == states->next_may_end &&
            memcmp(states->ways + state->way_at, states->next, count * sizeof(uint64_t)) == 0)
            return states->state_slots[slot] - 1;
    }
    if (states->state_count == states->state_max || WAYS_MAX - states->way_count < count) {
        states->culprit =
            weir_program_rule_name(states->program, (uint32_t)(states->next[0] >> 32));
        return WEIR_STATE_FULL;
    }
    states->states[states->state_count] =
        (struct weir_match_state){.way_at = states->way_count,
                                  .way_count = count,
                                  .mask = UINT32_MAX,
                                  .least = least_of_next(states),
                                  .may_end = states->next_may_end};
    memcpy(states->ways + states->way_count, states->next, count * sizeof(uint64_t));
    states->way_count += count;
    uint32_t *row = states->table + (size_t)states->state_count * states->class_count;
    for (uint32_t class = 0; class < states->class_count; class ++)
        row[class] = WEIR_STATE_UNKNOWN;
    states->state_slots[slot] = states->state_count + 1;
    return states->state_count++;
}

uint32_t weir_states_first(struct weir_states *states)
{
    begin_step(states);
    if (!open_way(states, states->program->entry, 0) || !follow_all(states))
        return WEIR_STATE_FULL;
    return find_state(states);
}

static uint32_t make_next(struct weir_states *states, uint32_t from, uint8_t byte)
{
    const struct weir_match_state *state = &states->states[from];
    begin_step(states);
    for (uint32_t at = state->way_at; at < state->way_at + state->way_count; at++) {
        const uint32_t pc = (uint32_t)(states->ways[at] >> 32);
        const struct weir_instr *instr = &states->program->code[pc];
        if (byte >= instr->low && byte <= instr->high &&
            !open_way(states, pc + 1, (uint32_t)states->ways[at]))
            return WEIR_STATE_FULL;
    }
    return follow_all(states) ? find_state(states) : WEIR_STATE_FULL;
}

uint32_t weir_states_next(struct weir_states *states, uint32_t state, uint8_t byte)
{
    const uint32_t class = states->class_of[byte];
    uint32_t *cell = &states->table[(size_t)state * states->class_count + class];
    if (*cell == WEIR_STATE_UNKNOWN) {
        const uint32_t made = make_next(states, state, states->byte_of[class]);
        if (made == WEIR_STATE_FULL)
            return made;
        *cell = made;
    }
    return *cell;
}

/* ---- forgetting ---------------------------------------------------------------------------- */

/* Stacks that the ways of the kept state stand on stay, in their order. A stack lies above the ones
 * under it, so that one pass down marks them and one pass up moves them. */
static void compact_stacks(struct weir_states *states)
{
    uint32_t *moved_to = states->stack_slots; /* of the old numbers, until they are placed anew */
    memset(moved_to, 0, STACK_SLOT_COUNT * sizeof(*moved_to));
    for (uint32_t at = 0; at < states->next_count; at++)
        moved_to[(uint32_t)states->next[at]] = 1;
    for (uint32_t stack = states->stack_count; stack-- > 1;)
        if (moved_to[stack] != 0)
            moved_to[states->stacks[stack].below] = 1;
    uint32_t kept = 1;
    moved_to[0] = 0;
    for (uint32_t stack = 1; stack < states->stack_count; stack++) {
        if (moved_to[stack] == 0)
            continue;
        const struct weir_stack_node node = states->stacks[stack];
        moved_to[stack] = kept;
        states->stacks[kept++] =
            (struct weir_stack_node){node.pc, moved_to[node.below], node.least};
    }
    for (uint32_t at = 0; at < states->next_count; at++)
        states->next[at] =
            way_of((uint32_t)(states->next[at] >> 32), moved_to[(uint32_t)states->next[at]]);
    states->stack_count = kept;
    memset(states->stack_slots, 0, STACK_SLOT_COUNT * sizeof(*states->stack_slots));
    for (uint32_t stack = 1; stack < kept; stack++)
        place_stack(states, stack);
}

uint32_t weir_states_forget(struct weir_states *states, uint32_t kept)
{
    const struct weir_match_state state = states->states[kept];
    memcpy(states->next, states->ways + state.way_at, state.way_count * sizeof(uint64_t));
    states->next_count = state.way_count;
    states->next_may_end = state.may_end;
    compact_stacks(states);
    states->state_count = states->way_count = 0;
    memset(states->state_slots, 0, STATE_SLOT_COUNT * sizeof(*states->state_slots));
    return find_state(states);
}

/* ---- making -------------------------------------------------------------------------------- */

static void find_classes(struct weir_states *states)
{
    bool begins[257] = {true};
    for (uint32_t pc = 0; pc < states->program->code_count; pc++) {
        const struct weir_instr *instr = &states->program->code[pc];
        if (instr->op != WEIR_INSTR_BYTE)
            continue;
        begins[instr->low] = true;
        begins[instr->high + 1] = true;
    }
    for (int byte = 0; byte < 256; byte++) {
        states->class_count += begins[byte];
        states->class_of[byte] = (uint8_t)(states->class_count - 1);
        if (begins[byte])
            states->byte_of[states->class_count - 1] = (uint8_t)byte;
    }
}

enum weir_status weir_states_init(struct weir_states *states, const struct weir_program *program,
                                  struct weir_err *err)
{
    *states = (struct weir_states){.program = program, .stack_count = 1};
    find_classes(states);
    states->state_max = (uint32_t)weir_min(
        STATE_MAX, weir_max(STATE_MIN, TABLE_BYTES / (states->class_count * sizeof(uint32_t))));
    states->states = weir_heap_array(states->state_max, sizeof(*states->states));
    states->table =
        weir_heap_array((size_t)states->state_max * states->class_count, sizeof(uint32_t));
    states->ways = weir_heap_array(WAYS_MAX, sizeof(*states->ways));
    states->state_slots = weir_heap_array(STATE_SLOT_COUNT, sizeof(*states->state_slots));
    states->stacks = weir_heap_array(WEIR_GRAMMAR_STACK_MAX, sizeof(*states->stacks));
    states->stack_slots = weir_heap_array(STACK_SLOT_COUNT, sizeof(*states->stack_slots));
    states->open = weir_heap_array(OPEN_MAX, sizeof(*states->open));
    states->seen = weir_heap_array(SEEN_SLOT_COUNT, sizeof(*states->seen));
    states->stamps = weir_heap_array(SEEN_SLOT_COUNT, sizeof(*states->stamps));
    states->next = weir_heap_array(WEIR_GRAMMAR_WAY_MAX, sizeof(*states->next));
    if (states->states == NULL || states->table == NULL || states->ways == NULL ||
        states->state_slots == NULL || states->stacks == NULL || states->stack_slots == NULL ||
        states->open == NULL || states->seen == NULL || states->stamps == NULL ||
        states->next == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the states of a grammar");
    return WEIR_OK;
}

void weir_states_deinit(struct weir_states *states)
{
    weir_heap_free(states->states);
    weir_heap_free(states->table);
    weir_heap_free(states->ways);
    weir_heap_free(states->state_slots);
    weir_heap_free(states->stacks);
    weir_heap_free(states->stack_slots);
    weir_heap_free(states->open);
    weir_heap_free(states->seen);
    weir_heap_free(states->stamps);
    weir_heap_free(states->next);
}
