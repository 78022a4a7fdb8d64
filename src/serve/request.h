/* request.h - a request for texts: what was asked, and the texts as they come.
 *
 * A request has choices, each a job of the scheduler's. What a choice has to tell is collected and
 * written in the way of the API that was asked (struct weir_dialect): piece by piece in a stream,
 * or all at the end.
 *
 * Threads   The desk makes it; from then on it is the scheduler's.
 */
#ifndef WEIR_SERVE_REQUEST_H
#define WEIR_SERVE_REQUEST_H

#include "serve/exchange.h"
#include "serve/grammars.h"
#include "serve/members.h"
#include "serve/scheduler.h"
#include "serve/text_log.h"
#include "weir.h"

enum { WEIR_TOP_LOGPROBS_MAX = 20, WEIR_BIAS_MAX = 300 };

struct weir_choice_text {
    struct weir_request *request;
    uint32_t index;
    struct weir_job job;
    weir_reply *reply;     /* of a chat, or */
    weir_decoder *decoder; /* of a text that goes on */
    weir_stops *stops;
    struct weir_writer content, reasoning; /* bytes that are not written yet */
    struct weir_writer calls;              /* of tools, as write_call() has them; the same */
    struct weir_writer call_id, call_name; /* of the call that is being told */
    struct weir_writer arguments;          /* the same, where it is told whole */
    uint32_t call_index;
    struct weir_writer logprobs; /* the same, as JSON */
    size_t told_logprobs;        /* bytes of them, behind the last token of its content */
    uint32_t token_count;
    uint32_t reasoning_count;   /* of them, those of its reasoning */
    bool was_closed;            /* its reasoning, by us */
    atomic_bool ends_reasoning; /* somebody asks for that */
    uint64_t prompt_begin_ns;
    uint32_t cached_count; /* of its prompt, known before */
    uint64_t byte_count;   /* that all of it has taken so far */
    bool is_cut;           /* it takes no more bytes */
    bool has_begun;        /* something was sent */
    bool is_over;
    const char *why_over; /* finish_reason, once it is over */
    /* Where a stream has blocks: how many began, and the one that is open. */
    uint32_t block_count, block_index;
    const char *block_type; /* NULL: none is open */
    /* Where its end tells all of it again: the inside of the JSON string that is open, and the
     * items that are over. */
    struct weir_writer kept, kept_logprobs, items;
    char item_name[64];
    uint32_t event_count;
    struct weir_text_log *log; /* of what it writes; NULL: nobody asks */
};

struct weir_dialect {
    const char *name_kind; /* "chatcmpl" */
    bool is_chat;
    /* What the members that all read are called: messages, stop, response_format,
     * reasoning_effort, reasoning_budget_tokens. */
    const char *prompt_name, *stop_name, *format_name, *effort_name, *budget_name;
    /* What a token's logprob looks like. */
    void (*write_logprob)(struct weir_choice_text *choice, uint32_t id, const float *logits);
    /* The call that was told whole, behind those that the choice has. */
    void (*write_call)(struct weir_choice_text *choice);
    /* The same in a stream, where it is told as it comes: its name, its arguments, its end. One
     * that ends and is not whole was none, or was cut. */
    void (*begin_call)(struct weir_choice_text *choice);
    void (*put_arguments)(struct weir_choice_text *choice, const char *bytes, size_t length);
    void (*end_call)(struct weir_choice_text *choice, bool is_whole);
    /* How much of its prompt is computed: a member of JSON, with a comma before it. NULL: the API
     * cannot be asked for that. */
    void (*write_progress)(struct weir_choice_text *choice, const char *progress,
                           struct weir_writer *writer);
    /* In a stream, the exchange's problem; NULL: as all of the API's. */
    void (*write_failure)(struct weir_request *request, struct weir_writer *writer);
    /* Before all else in a stream, while it waits for its turn; NULL: its first event has it. */
    void (*write_begin)(struct weir_choice_text *choice, struct weir_writer *writer);
    /* An event with what the choice has now: in a stream only one of reasoning, content, calls. */
    void (*write_event)(struct weir_choice_text *choice, struct weir_writer *writer);
    /* Behind the last choice's end, in a stream; and the whole answer, out of one. */
    void (*write_last)(struct weir_request *request, struct weir_writer *writer);
    void (*write_whole)(struct weir_request *request, struct weir_writer *writer);
};

struct weir_request {
    struct weir_exchange *exchange; /* borrowed: it owns the request */
    struct weir_party party;        /* where no keys are asked for: each request has turns */
    const struct weir_dialect *dialect;
    char name[64];
    uint64_t created_s;
    struct weir_request *next, *before; /* of those that run */
    bool is_stream, wants_usage;
    bool wants_progress;
    bool wants_logprobs;
    uint32_t top_logprobs;
    uint32_t choice_count, over_count;
    struct weir_choice_text *choices; /* [choice_count] */
    struct weir_sampler_config sampling;
    struct weir_logit_bias *biases;      /* [sampling.bias_count] */
    struct weir_shared_grammar *grammar; /* NULL: any text */
    json_t *stops;                       /* holds the strings */
    const char *stop_strings[WEIR_STOP_MAX];
    size_t stop_count;
    char *tools;               /* JSON; NULL: none may be called */
    char *tool;                /* the one that must be called; NULL: any may */
    bool must_call;            /* an answer is calls and nothing else */
    bool is_one_call;          /* an answer has one call at most */
    char *schema;              /* JSON, of the answer; NULL: it is any text */
    uint32_t token_max;        /* 0: what the context leaves */
    uint32_t reasoning_max;    /* tokens of reasoning; UINT32_MAX: as many as come */
    uint32_t answer_count;     /* n */
    struct weir_writer piece;  /* the event that is being written */
    struct weir_writer echo;   /* what was asked, as members of JSON that its answer has again */
    bool has_failed;           /* the exchange's problem says why */
    struct weir_shelved *kept; /* where its response will be, until it is there; NULL */
    bool is_kept;              /* it will be, or is, or was */
};

/* NULL: no memory, which is the exchange's problem. */
struct weir_request *weir_request_create(struct weir_exchange *exchange,
                                         const struct weir_dialect *dialect);
void weir_request_destroy(struct weir_request **request);

/* ---- members that chat and completions share (sampling_fields.c) ---------------------------- */

void weir_sampling_read(struct weir_request *request, const struct weir_fields *fields);
/* How tokens are chosen for a request that says nothing. */
void weir_sampling_usual(const struct weir_serve *serve, struct weir_sampler_config *sampling);
/* The model that is asked for is the one that is served. */
void weir_request_check_model(const struct weir_serve *serve, const struct weir_fields *fields);
/* Check members: those of this API, and the shared ones. */
void weir_request_check(const struct weir_fields *fields, const struct weir_member *members);
/* The texts are as wished; field is where that stands. */
void weir_request_set_grammar(struct weir_request *request, const char *field,
                              const struct weir_grammar_wish *wish);

/* ---- from prompts to jobs (request.c) ------------------------------------------------------- */

/* Places and memory for the answers to so many prompts; then one prompt after the other, for each
 * of which answer_count choices are made. False: there is a problem. */
bool weir_request_reserve(struct weir_request *request, size_t prompt_count);
bool weir_request_add_prompt(struct weir_request *request, const uint32_t *ids, size_t count);
/* All choices are there: the scheduler gets them. */
void weir_request_start(struct weir_request *request);

uint32_t weir_request_n_vocab(const struct weir_request *request);
weir_tokenizer *weir_request_tokenizer(const struct weir_request *request);
const char *weir_request_model(const struct weir_request *request);
/* ,"usage":{...} */
void weir_request_write_usage(const struct weir_request *request, struct weir_writer *writer);

/* Dialects: what their routes read. */
void weir_openai_chat_read(struct weir_exchange *exchange, json_t *root);
void weir_openai_completions_read(struct weir_exchange *exchange, json_t *root);
void weir_responses_read(struct weir_exchange *exchange, json_t *root);
void weir_responses_count_read(struct weir_exchange *exchange, json_t *root);
void weir_anthropic_messages_read(struct weir_exchange *exchange, json_t *root);
void weir_anthropic_count_read(struct weir_exchange *exchange, json_t *root);
void weir_template_read(struct weir_exchange *exchange, json_t *root);
void weir_template_tell(struct weir_exchange *exchange, const uint32_t *ids, size_t count);
void weir_tokenize_read(struct weir_exchange *exchange, json_t *root);
void weir_detokenize_read(struct weir_exchange *exchange, json_t *root);

#endif
