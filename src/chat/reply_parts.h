/* reply_parts.h - what the parts of a reply's reader share. */
#ifndef WEIR_REPLY_PARTS_H
#define WEIR_REPLY_PARTS_H

#include "chat/call_parts.h"

/* ---- one call: call.c, call_object.c -------------------------------------------------------- */

enum { WEIR_CALL_NAME_MAX = 256, WEIR_CALL_ID_MAX = 288 };

enum weir_call_state {
    WEIR_CALL_IN_NAME,
    WEIR_CALL_AT_NAME_END,
    WEIR_CALL_IN_ID,
    WEIR_CALL_AT_ARGUMENTS, /* of one piece */
    WEIR_CALL_IN_ARGUMENTS,
    WEIR_CALL_AT_ARGUMENT, /* the next one of several, or the end */
    WEIR_CALL_IN_KEY,
    WEIR_CALL_IN_TYPE,
    WEIR_CALL_IN_TEXT,
    WEIR_CALL_AT_CLOSE,
    WEIR_CALL_AT_NEXT,
    WEIR_CALL_IN_OBJECT,
};

struct weir_call {
    const struct weir_call_format *format;
    enum weir_call_state state;
    uint8_t member;
    bool is_list;                /* of objects */
    bool has_begun;              /* it was told */
    bool has_name;               /* and the tool was found */
    bool has_arguments;          /* some of them, or the object's member */
    bool is_text;                /* the argument goes out as it comes */
    bool is_at_first, has_break; /* of the argument; a line break that may be its last byte */
    uint32_t nest;               /* of an object in the call's object */
    uint32_t kinds;
    struct weir_json schema;
    struct weir_value value;
    struct weir_chat_buffer raw;       /* the call's text so far */
    struct weir_chat_buffer arguments; /* not told yet */
    struct weir_chat_buffer text; /* of an argument or a member that is not told before its end */
    size_t name_length, id_length, key_length;
    char name[WEIR_CALL_NAME_MAX + 1], key[WEIR_CALL_NAME_MAX + 1];
    char id[WEIR_CALL_ID_MAX + 1];
};

/* A mark that opens a call. */
struct weir_call_opener {
    const struct weir_call_format *format;
    const char *mark;
    char tail;
};
enum { WEIR_CALL_OPENER_MAX = 8 };

/* ---- the reader: reply.c -------------------------------------------------------------------- */

enum {
    WEIR_REPLY_HELD_MAX = 1024,
    WEIR_REPLY_OUT_MAX = 1024,
};

enum weir_reply_part {
    WEIR_PART_START,
    WEIR_PART_HEADING,
    WEIR_PART_REASONING,
    WEIR_PART_ANSWER,
    WEIR_PART_CALL
};

struct weir_reply {
    weir_text *text; /* NULL: only texts are pushed */
    struct weir_detokenizer words;
    enum weir_reply_part part;
    const struct weir_reasoning_marks *marks; /* of the part that runs, or ran */
    bool drops_space; /* white space is left out until there is something else */
    bool has_answer;  /* words were told */
    bool ends;        /* no more bytes come */
    size_t length;
    char held[WEIR_REPLY_HELD_MAX + WEIR_PIECE_MAX];
    bool is_control[WEIR_REPLY_HELD_MAX + WEIR_PIECE_MAX]; /* of a control token's name */
    char piece[WEIR_PIECE_MAX];
    char unfinished[4]; /* a character */
    uint32_t unfinished_count;
    const struct weir_call_format *format; /* NULL: calls stay text */
    struct weir_tools tools;
    struct weir_call_opener openers[WEIR_CALL_OPENER_MAX];
    uint32_t opener_count;
    struct weir_call call;
    uint32_t call_number, call_count, call_max, call_bytes_max; /* number: that were told */
    bool whole_calls;
    uint64_t id_state;
    enum weir_reply_kind out_kind;
    size_t out_length;
    char out[WEIR_REPLY_OUT_MAX];
    weir_reply_fn *tell;
    void *user;
};

/* Joined with what comes before it where the kind is the same. */
void weir_reply_put(struct weir_reply *reply, enum weir_reply_kind kind, const char *bytes,
                    size_t length);
/* At once. */
void weir_reply_tell(struct weir_reply *reply, enum weir_reply_kind kind, const char *bytes,
                     size_t length);
void weir_reply_drop(struct weir_reply *reply, size_t count);

/* A call's text begins with the first count bytes held. */
void weir_call_open(struct weir_reply *reply, const struct weir_call_format *format, size_t count,
                    char tail);
/* The heading of a channel names its tool. False: there is no such tool, and nothing has happened
 * but a note. */
bool weir_call_open_channel(struct weir_reply *reply, size_t count, const char *name,
                            size_t length);
/* Reads on in what is held. False: it needs more. The part is another one when the call is over. */
bool weir_call_go_on(struct weir_reply *reply);
/* What its parts share. Each that takes bytes counts them to the call's text. */
void weir_call_take(struct weir_reply *reply, size_t count);
/* A mark and white space before it; takes them when it is whole. Not BEGUN when the reply ends. */
enum weir_mark_match weir_call_take_mark(struct weir_reply *reply, const char *mark);
/* How many bytes held are certainly before the mark, and whether it comes then. */
size_t weir_call_count_before(const struct weir_reply *reply, const char *mark,
                              enum weir_mark_match *match, size_t *used);
/* Moves what is before the mark to out. True: that is all, and the mark is taken. *is_over false:
 * wait. */
bool weir_call_collect(struct weir_reply *reply, const char *mark, char *out, size_t capacity,
                       size_t *length, bool *is_over);
/* A sentence, whatever a model's words in it are. */
void weir_call_note(struct weir_reply *reply, enum weir_reply_kind kind, const char *note);
/* It is none: its text is the answer's, and why is told. */
void weir_call_fail(struct weir_reply *reply, const char *why, ...) WEIR_PRINTF(2, 3);
/* Its name is known. False: it has failed. */
bool weir_call_name(struct weir_reply *reply, const char *name, size_t length);
/* Bytes of its arguments; user is the weir_reply. */
void weir_call_put(void *user, const char *bytes, size_t length);
void weir_call_finish(struct weir_reply *reply);
bool weir_tags_go_on(struct weir_reply *reply);
bool weir_object_go_on(struct weir_reply *reply);
void weir_object_begin(struct weir_reply *reply, bool is_list);

#endif
