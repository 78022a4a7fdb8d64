/* grammar.h - grammars of texts, and which tokens may come next in one.
 *
 * Job       GBNF and JSON Schema compiled to one automaton over bytes; its states as a text
 *           grows; the ids of a vocabulary that a state allows, by walking a trie of their bytes.
 * Not here  Choosing among what is allowed (engine/), reading files (cli).
 * Shapes    masks are bits, [(n_vocab + 31) / 32] words; id i is bit i % 32 of word i / 32.
 * Owns      A program owns its code and names; a trie its nodes; a matcher borrows both.
 * Threads   Programs and tries do not change once made: any thread. One thread at a time a matcher.
 * Errors    WEIR_ERR_FORMAT: a grammar's line and column, and its rule where one is meant.
 *           WEIR_ERR_UNSUPPORTED: a part of JSON Schema that is not built, with its place.
 *           WEIR_ERR_ARG: bytes that the grammar does not allow, or no token that it does.
 *           WEIR_ERR_NOMEM.
 * Limits    Below. Everything is allocated when it is created: a matcher that has no more room
 *           forgets what it can compute again, and says which rule is too much when that is not
 *           enough, or when a token takes too many steps.
 * Source    GBNF: llama.cpp, grammars/README.md. JSON Schema: draft 2020-12. Automata that are
 *           made deterministic while they run: Thompson, "Regular expression search algorithm"
 *           (1968); stacks that share what they have in common: Tomita, "Efficient parsing for
 *           natural language" (1986).
 */
#ifndef WEIR_GRAMMAR_ROOM_H
#define WEIR_GRAMMAR_ROOM_H

#include "formats/json.h"

enum {
    WEIR_GRAMMAR_TEXT_MAX = 1 << 20,   /* bytes of a grammar */
    WEIR_GRAMMAR_RULE_MAX = 1 << 14,   /* rules */
    WEIR_GRAMMAR_PART_MAX = 1 << 17,   /* texts, classes, calls, groups; and ranges of classes */
    WEIR_GRAMMAR_NEST_MAX = 128,       /* parentheses in each other */
    WEIR_GRAMMAR_CHAIN_MAX = 4096,     /* rules and parentheses that begin with each other */
    WEIR_GRAMMAR_REPEAT_MAX = 1 << 16, /* {m,n} */
    WEIR_GRAMMAR_CODE_MAX = 1 << 18,   /* instructions */
    WEIR_GRAMMAR_STACK_MAX = 1 << 16,  /* open rules of all ways to read a text */
    WEIR_GRAMMAR_WAY_MAX = 1 << 12,    /* ways to read a text so far */
    WEIR_GRAMMAR_TOKEN_MAX = 4096,     /* bytes of a token */
    WEIR_GRAMMAR_WORK_MAX = 1 << 20,   /* steps of the automaton for one token */
};

/* ---- programs ------------------------------------------------------------------------------ */

enum weir_instr_op {
    WEIR_INSTR_BYTE,   /* a byte from low to high, then the next instruction */
    WEIR_INSTR_SPLIT,  /* both `to` and `other` */
    WEIR_INSTR_JUMP,   /* `to` */
    WEIR_INSTR_CALL,   /* the rule whose code begins at `to`, then the next instruction */
    WEIR_INSTR_RETURN, /* to the instruction behind the call; of the first rule: the text may end */
};

struct weir_instr {
    uint8_t op, low, high;
    uint32_t to, other;
};

struct weir_program_rule {
    uint32_t entry;   /* in code; rules lie in the order of their entries */
    uint32_t name_at; /* in names */
};

enum { WEIR_LEAST_MAX = 1 << 30 /* so many bytes, or more */ };

static inline uint32_t weir_least_sum(uint32_t left, uint32_t right)
{
    return (uint32_t)weir_min(WEIR_LEAST_MAX, (uint64_t)left + right);
}

/* A nondeterministic automaton with calls. No rule can call itself before it has taken a byte, and
 * every rule can end. */
struct weir_program {
    struct weir_instr *code;
    uint32_t *least; /* [code_count] bytes that the rule needs from there on */
    uint32_t code_count;
    uint32_t entry;
    struct weir_program_rule *rules;
    uint32_t rule_count;
    char *names; /* each ended by NUL */
};

/* what names the text in messages ("FILE"). */
enum weir_status weir_gbnf_compile(struct weir_program **out, const char *text, size_t length,
                                   const char *what, struct weir_err *err);
/* JSON that is valid by a schema (schema.c). UNSUPPORTED: it says what is not built, where. */
enum weir_status weir_schema_compile(struct weir_program **out, const char *text, size_t length,
                                     const char *what, struct weir_err *err);
void weir_program_destroy(struct weir_program **program);
/* The name of the rule that an instruction is of. */
const char *weir_program_rule_name(const struct weir_program *program, uint32_t pc);

/* ---- grammars that are put together: rules.c ------------------------------------------------ */

/* GBNF in the making: the caller's rules, and those of JSON schemas. What fails first is kept, and
 * told by compile. Rules `object` and `any` are there. Each begins at the beginning of a line. */
typedef struct weir_rules weir_rules;
/* Where schemas come from, for messages. */
struct weir_rules_text {
    const char *what, *bytes;
    size_t length;
};
enum weir_status weir_rules_create(weir_rules **out, struct weir_err *err);
void weir_rules_destroy(weir_rules **rules);
/* At most 511 bytes. */
void weir_rules_write(weir_rules *rules, const char *format, ...) WEIR_PRINTF(2, 3);
void weir_rules_write_literal(weir_rules *rules, const char *bytes, size_t length);
void weir_rules_refuse(weir_rules *rules, enum weir_status status, const char *format, ...)
    WEIR_PRINTF(3, 4);
/* A schema within `root`, where its references begin, as rule rN; returns N. Both lie in text,
 * which must live as long as the rules. Not within a line. */
uint32_t weir_rules_add_schema(weir_rules *rules, const struct weir_rules_text *text,
                               struct weir_json root, struct weir_json value);
/* Errors: also those of schemas, and what was refused. */
enum weir_status weir_rules_compile(struct weir_program **out, const weir_rules *rules,
                                    struct weir_err *err);

/* A token as a grammar's <[id]> has it: bytes that no character begins with. */
enum { WEIR_GRAMMAR_MARK_BYTES = 4, WEIR_GRAMMAR_ID_MAX = (1 << 24) - 1 };
static inline void weir_grammar_mark(uint32_t id, char mark[WEIR_GRAMMAR_MARK_BYTES])
{
    mark[0] = (char)0xff;
    for (uint32_t at = 1; at < WEIR_GRAMMAR_MARK_BYTES; at++)
        mark[at] = (char)(uint8_t)(id >> 8 * (WEIR_GRAMMAR_MARK_BYTES - 1 - at));
}

/* ---- tries --------------------------------------------------------------------------------- */

struct weir_trie_node {
    uint32_t skip;     /* the node behind all that begin with this one */
    uint32_t first_id; /* in ids; those of this node end where those of the next one begin */
    uint16_t depth;    /* bytes before this one's */
    uint8_t byte;
};

/* The bytes of a vocabulary's tokens; nodes in the order of their bytes, each before what follows
 * it. */
struct weir_trie {
    struct weir_trie_node *nodes; /* [node_count + 1]: the last one only ends the ids */
    uint32_t *ids;
    uint32_t node_count, id_count;
    uint32_t *end_ids; /* tokens that end a text */
    uint32_t end_count;
    uint32_t n_vocab;
};

struct weir_trie_token {
    const char *bytes; /* borrowed during the call; length 0: the token is never allowed */
    uint16_t length;
    bool is_end; /* allowed where the text may end, and only there */
};

/* tokens [n_vocab] */
enum weir_status weir_trie_create(struct weir_trie **out, const struct weir_trie_token *tokens,
                                  uint32_t n_vocab, struct weir_err *err);
void weir_trie_destroy(struct weir_trie **trie);

/* ---- matchers ------------------------------------------------------------------------------ */

/* A text so far. */
typedef struct weir_matcher weir_matcher;

/* trie NULL: only bytes are matched. Both must live longer. ARG: a limit keeps any text from
 * beginning. */
enum weir_status weir_matcher_create(weir_matcher **out, const struct weir_program *program,
                                     const struct weir_trie *trie, struct weir_err *err);
void weir_matcher_destroy(weir_matcher **matcher);
/* An empty text. */
void weir_matcher_reset(weir_matcher *matcher);
/* The text goes on with these bytes. ARG: it may not; NOMEM: a limit. It is unchanged then. */
enum weir_status weir_matcher_push(weir_matcher *matcher, const char *bytes, size_t length,
                                   struct weir_err *err);
bool weir_matcher_may_end(const weir_matcher *matcher);
/* Bytes that the text needs at least to be whole; 0: it may end. */
uint32_t weir_matcher_least(const weir_matcher *matcher);
/* Whether a byte may follow at all. */
bool weir_matcher_may_go_on(const weir_matcher *matcher);
/* Borrowed until the next call. Errors: as push; none may be set where the text must end and the
 * vocabulary has no token for that. */
enum weir_status weir_matcher_mask(weir_matcher *matcher, const uint32_t **mask,
                                   struct weir_err *err);
/* The same, of those only behind which the text needs at most so many bytes more; where there are
 * none, those behind which it needs the fewest. Where it may end, it needs none. */
enum weir_status weir_matcher_mask_within(weir_matcher *matcher, uint32_t bytes,
                                          const uint32_t **mask, struct weir_err *err);

#endif
