/* chat_line.c - the lines of a chat: typed with libedit and kept as a history, or read from a pipe.
 *
 * libedit is given its characters by read_typed(), so that Ctrl-C and a new size of the window are
 * seen while it waits. A terminal that knows bracketed paste puts marks around what is pasted: that
 * is taken into the line as it is, line breaks too. */
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "talk.h"

enum { HISTORY_LINES = 500, HISTORY_LINE_BYTES = 1 << 14, LOOK_MS = 100 };

static const char paste_on[] = "\033[?2004h";
static const char paste_off[] = "\033[?2004l";
static const wchar_t paste_end[] = L"\033[201~";

struct weir_cli_lines {
    size_t most;
    /* typed */
    EditLine *editor; /* NULL: lines come from a pipe */
    History *history;
    FILE *in, *out, *err;
    int out_fd;
    const char *prompt;
    bool was_interrupted, is_too_long;
    /* read */
    struct weir_cli_buffer rest; /* that was read and is of the next lines */
    bool has_ended;
};

/* ---- the history --------------------------------------------------------------------------- */

/* False when the environment names no folder, as the XDG base directory specification has it. */
static bool find_history(char *path, size_t capacity)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length = 0;
    if (state != NULL && state[0] == '/')
        length = snprintf(path, capacity, "%s/weir/chat_history", state);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, capacity, "%s/.local/state/weir/chat_history", home);
    return length > 0 && (size_t)length < capacity;
}

static void load_history(weir_cli_lines *lines)
{
    HistEvent event;
    char path[WEIR_CLI_PATH_MAX];
    history(lines->history, &event, H_SETSIZE, HISTORY_LINES);
    history(lines->history, &event, H_SETUNIQUE, 1);
    if (find_history(path, sizeof(path)) && access(path, F_OK) == 0 &&
        history(lines->history, &event, H_LOAD, path) < 0)
        weir_cli_say("the history %s cannot be read; this chat begins without one", path);
}

static void save_history(weir_cli_lines *lines)
{
    HistEvent event;
    struct weir_cli_out out = {0};
    char path[WEIR_CLI_PATH_MAX];
    if (!find_history(path, sizeof(path)))
        return;
    weir_cli_folders_make(path);
    if (!weir_cli_out_open(&out, path))
        return;                           /* which has been said */
    (void)fchmod(fileno(out.file), 0600); /* what somebody typed is theirs */
    history(lines->history, &event, H_SAVE_FP, out.file);
    weir_cli_out_finish(&out);
}

/* ---- typed --------------------------------------------------------------------------------- */

static atomic_bool size_changed, was_continued;

static void note_size(int number)
{
    (void)number;
    atomic_store_explicit(&size_changed, true, memory_order_relaxed);
}

static void note_continued(int number)
{
    (void)number;
    atomic_store_explicit(&was_continued, true, memory_order_relaxed);
}

/* What signals have asked for while a line is typed. False: the line is not wanted any more. */
static bool heed_signals(weir_cli_lines *lines)
{
    if (atomic_exchange_explicit(&size_changed, false, memory_order_relaxed))
        el_resize(lines->editor);
    if (atomic_exchange_explicit(&was_continued, false, memory_order_relaxed)) {
        /* The shell has left the terminal as it uses it. */
        el_set(lines->editor, EL_PREP_TERM, 0);
        el_set(lines->editor, EL_PREP_TERM, 1);
        fputs(paste_on, lines->out);
        el_set(lines->editor, EL_REFRESH);
    }
    if (weir_cli_interrupt_take())
        lines->was_interrupted = true;
    return !lines->was_interrupted && !weir_cli_stop_asked();
}

/* One byte; false at the end, or when the line is not wanted any more. */
static bool read_byte(weir_cli_lines *lines, char *byte)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        if (!heed_signals(lines))
            return false;
        if (poll(&input, 1, LOOK_MS) <= 0)
            continue;
        const ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got == 1 || got == 0 || (errno != EINTR && errno != EAGAIN))
            return got == 1;
    }
}

/* libedit's next character: 1, or 0 at the end, or -1. */
static int read_typed(EditLine *editor, wchar_t *character)
{
    weir_cli_lines *lines = NULL;
    char bytes[4];
    size_t length = 0;
    el_get(editor, EL_CLIENTDATA, &lines);
    do {
        if (!read_byte(lines, &bytes[length++]))
            return lines->was_interrupted || weir_cli_stop_asked() ? -1 : 0;
    } while (length < sizeof(bytes) && weir_utf8_unfinished(bytes, length) == length);
    *character = weir_utf8_char(bytes, length) == length ? (wchar_t)weir_utf8_decode(bytes)
                                                         : (wchar_t)0xfffd;
    return 1;
}

struct pasted {
    wchar_t *text;
    size_t length, capacity;
    bool is_too_long; /* only the end of it is kept */
};

/* False: no memory at all. */
static bool push_pasted(struct pasted *pasted, wchar_t character, size_t most)
{
    enum { LEAST = 256 };
    if (pasted->length == pasted->capacity) {
        const size_t capacity = weir_max(LEAST, 2 * pasted->capacity);
        wchar_t *grown = capacity <= weir_max(LEAST, most)
                             ? weir_heap_grow(pasted->text, capacity * sizeof(*grown))
                             : NULL;
        if (grown == NULL && pasted->capacity == 0)
            return false;
        if (grown != NULL) {
            pasted->text = grown;
            pasted->capacity = capacity;
        } else {
            const size_t kept = wcslen(paste_end);
            wmemmove(pasted->text, pasted->text + pasted->length - kept, kept);
            pasted->length = kept;
            pasted->is_too_long = true;
        }
    }
    pasted->text[pasted->length++] = character;
    return true;
}

/* Bound to the mark before what is pasted: takes it into the line up to the mark behind it. */
static unsigned char take_paste(EditLine *editor, wint_t key)
{
    const size_t end_length = wcslen(paste_end);
    weir_cli_lines *lines = NULL;
    struct pasted pasted = {0};
    wchar_t character;
    bool has_ended = false;
    (void)key;
    el_get(editor, EL_CLIENTDATA, &lines);
    while (!has_ended && el_wgetc(editor, &character) == 1 &&
           push_pasted(&pasted, character == L'\r' ? L'\n' : character, lines->most))
        has_ended = pasted.length >= end_length &&
                    wmemcmp(pasted.text + pasted.length - end_length, paste_end, end_length) == 0;
    lines->is_too_long = lines->is_too_long || pasted.is_too_long;
    if (has_ended && !pasted.is_too_long) {
        pasted.text[pasted.length - end_length] = L'\0';
        el_winsertstr(editor, pasted.text);
    }
    weir_heap_free(pasted.text);
    return CC_REFRESH;
}

static const char *tell_prompt(EditLine *editor)
{
    weir_cli_lines *lines = NULL;
    el_get(editor, EL_CLIENTDATA, &lines);
    return lines->prompt;
}

static bool open_editor(weir_cli_lines *lines)
{
    struct sigaction action = {.sa_handler = note_size};
    /* Characters are as wide as the locale says; UTF-8 is what models write. */
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    lines->out_fd = isatty(STDERR_FILENO) ? STDERR_FILENO : STDOUT_FILENO;
    lines->in = fdopen(dup(STDIN_FILENO), "r");
    lines->out = fdopen(dup(lines->out_fd), "w");
    lines->err = fdopen(dup(lines->out_fd), "w");
    if (lines->in == NULL || lines->out == NULL || lines->err == NULL)
        return false;
    lines->editor = el_init_fd("weir", lines->in, lines->out, lines->err, STDIN_FILENO,
                               lines->out_fd, lines->out_fd);
    lines->history = history_init();
    if (lines->editor == NULL || lines->history == NULL)
        return false;
    el_set(lines->editor, EL_CLIENTDATA, lines);
    el_set(lines->editor, EL_PROMPT, tell_prompt);
    el_set(lines->editor, EL_EDITOR, "emacs");
    el_set(lines->editor, EL_HIST, history, lines->history);
    el_wset(lines->editor, EL_GETCFN, read_typed);
    el_set(lines->editor, EL_ADDFN, "weir-paste", "take what is pasted", take_paste);
    el_set(lines->editor, EL_BIND, "\033[200~", "weir-paste", NULL);
    el_set(lines->editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(lines->editor, NULL);
    sigaction(SIGWINCH, &action, NULL);
    action.sa_handler = note_continued;
    sigaction(SIGCONT, &action, NULL);
    load_history(lines);
    return true;
}

static enum weir_cli_line read_editor(weir_cli_lines *lines, const char *prompt,
                                      struct weir_cli_buffer *line)
{
    int count = 0;
    lines->prompt = prompt;
    lines->was_interrupted = lines->is_too_long = false;
    fputs(paste_on, lines->out);
    fflush(lines->out);
    const char *typed = el_gets(lines->editor, &count);
    fputs(paste_off, lines->out);
    if (typed == NULL || count <= 0)
        fputc('\n', lines->out);
    fflush(lines->out);
    if (lines->was_interrupted)
        return WEIR_CLI_LINE_INTERRUPT;
    if (typed == NULL || count <= 0)
        return WEIR_CLI_LINE_END;
    size_t length = (size_t)count;
    while (length > 0 && typed[length - 1] == '\n')
        length--;
    if (lines->is_too_long || line->length + length > lines->most) {
        weir_cli_say("the line is too long: wanted at most %zu bytes; nothing was sent",
                     lines->most);
        line->length = 0;
        return WEIR_CLI_LINE;
    }
    return weir_cli_buffer_append(line, typed, length) ? WEIR_CLI_LINE : WEIR_CLI_LINE_END;
}

static void remember(weir_cli_lines *lines, const struct weir_cli_buffer *line)
{
    HistEvent event;
    if (lines->history != NULL && line->length > 0 && line->length <= HISTORY_LINE_BYTES &&
        memchr(line->bytes, '\0', line->length) == NULL)
        history(lines->history, &event, H_ENTER, line->bytes);
}

/* ---- read from a pipe ---------------------------------------------------------------------- */

static enum weir_cli_line read_piped(weir_cli_lines *lines, struct weir_cli_buffer *line)
{
    enum { STEP = 1 << 14 };
    struct weir_cli_buffer *rest = &lines->rest;
    char step[STEP];
    for (;;) {
        const char *end = rest->length == 0 ? NULL : memchr(rest->bytes, '\n', rest->length);
        const size_t length = end == NULL ? rest->length : (size_t)(end - rest->bytes);
        if (line->length + length > lines->most) {
            weir_cli_say("a line is too long: wanted at most %zu bytes", lines->most);
            return WEIR_CLI_LINE_END;
        }
        if (end != NULL || (lines->has_ended && length > 0)) {
            const size_t used = length + (end != NULL);
            if (!weir_cli_buffer_append(line, rest->bytes, length))
                return WEIR_CLI_LINE_END;
            rest->length -= used;
            memmove(rest->bytes, rest->bytes + used, rest->length);
            return WEIR_CLI_LINE;
        }
        if (lines->has_ended)
            return WEIR_CLI_LINE_END;
        const ssize_t got = weir_cli_read(STDIN_FILENO, step, sizeof(step));
        if (got < 0 && !weir_cli_stop_asked())
            weir_cli_say("standard input cannot be read: %s", weir_cli_stream_why(errno));
        if (got < 0 || (got > 0 && !weir_cli_buffer_append(rest, step, (size_t)got)))
            return WEIR_CLI_LINE_END;
        lines->has_ended = got == 0;
    }
}

/* ---- both ---------------------------------------------------------------------------------- */

weir_cli_lines *weir_cli_lines_open(size_t most)
{
    weir_cli_lines *lines = weir_heap_alloc(sizeof(*lines));
    if (lines != NULL) {
        lines->most = most;
        if (!isatty(STDIN_FILENO) || (!isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)) ||
            open_editor(lines))
            return lines;
        weir_cli_lines_close(&lines);
    }
    weir_cli_say("no memory for reading lines");
    return NULL;
}

void weir_cli_lines_close(weir_cli_lines **lines)
{
    weir_cli_lines *old = *lines;
    if (old == NULL)
        return;
    if (old->history != NULL && old->editor != NULL)
        save_history(old);
    if (old->editor != NULL)
        el_end(old->editor);
    if (old->history != NULL)
        history_end(old->history);
    FILE *const files[] = {old->in, old->out, old->err};
    for (size_t index = 0; index < WEIR_COUNT(files); index++)
        if (files[index] != NULL)
            fclose(files[index]);
    weir_cli_buffer_free(&old->rest);
    weir_heap_free(old);
    *lines = NULL;
}

bool weir_cli_lines_typed(const weir_cli_lines *lines)
{
    return lines->editor != NULL;
}

enum weir_cli_line weir_cli_lines_read(weir_cli_lines *lines, struct weir_cli_buffer *line)
{
    const char *prompt = "> ";
    line->length = 0;
    for (;;) {
        const enum weir_cli_line found = weir_cli_lines_typed(lines)
                                             ? read_editor(lines, prompt, line)
                                             : read_piped(lines, line);
        if (found != WEIR_CLI_LINE)
            return found;
        if (line->length == 0 || line->bytes[line->length - 1] != '\\')
            break;
        line->bytes[line->length - 1] = '\n';
        prompt = "\\ ";
    }
    if (line->length == 0)
        return weir_cli_buffer_append(line, "", 0) ? WEIR_CLI_LINE : WEIR_CLI_LINE_END;
    remember(lines, line);
    return WEIR_CLI_LINE;
}
