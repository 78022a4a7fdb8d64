/* least.c - how many bytes a rule still needs, from each of its instructions. */
#include "grammar/grammar_tree.h"

enum { WORK_MAX = 1 << 26 /* instructions looked at; half a second at most */ };

static uint32_t least_from(const struct weir_program *program, uint32_t pc)
{
    const struct weir_instr *instr = &program->code[pc];
    const uint32_t *least = program->least;
    switch ((enum weir_instr_op)instr->op) {
    case WEIR_INSTR_BYTE:
        return weir_least_sum(1, least[pc + 1]);
    case WEIR_INSTR_SPLIT:
        return (uint32_t)weir_min(least[instr->to], least[instr->other]);
    case WEIR_INSTR_JUMP:
        return least[instr->to];
    case WEIR_INSTR_CALL:
        return weir_least_sum(least[instr->to], least[pc + 1]);
    case WEIR_INSTR_RETURN:
        break;
    }
    return 0;
}

/* Shortest paths (Bellman 1958), a call being a step as long as its rule. What is written later is
 * mostly what is needed first, so each look goes from the end to the beginning. */
bool weir_program_find_least(struct weir_program *program)
{
    bool has_changed = true;
    for (uint32_t pc = 0; pc < program->code_count; pc++)
        program->least[pc] = WEIR_LEAST_MAX;
    for (uint64_t work = 0; has_changed; work += program->code_count) {
        if (work > WORK_MAX)
            return false;
        has_changed = false;
        for (uint32_t pc = program->code_count; pc-- > 0;) {
            const uint32_t least = least_from(program, pc);
            has_changed |= least != program->least[pc];
            program->least[pc] = least;
        }
    }
    return true;
}
