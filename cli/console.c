/* console.c - messages, signals and the line that tells what goes on: what people see on stderr. */
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli.h"

const char *weir_cli_shown(const char *text)
{
    static char shown[WEIR_CLI_SHOWN_COUNT][WEIR_CLI_PATH_MAX * WEIR_PRINTABLE_EACH_MAX + 1];
    static unsigned turn;
    char *out = shown[turn++ % WEIR_CLI_SHOWN_COUNT];
    weir_printable(text, strlen(text), out, sizeof(shown[0]));
    return out;
}

static char cut_text[WEIR_CLI_PATH_MAX]; /* empty: none */

void weir_cli_message_cut(const char *text)
{
    snprintf(cut_text, sizeof(cut_text), "%s", text == NULL ? "" : text);
}

static void print_message(const char *format, va_list arguments)
{
    char message[WEIR_CLI_PATH_MAX + 1024];
    const size_t cut = strlen(cut_text);
    weir_cli_status_clear();
    vsnprintf(message, sizeof(message), format, arguments);
    for (char *at; cut > 0 && (at = strstr(message, cut_text)) != NULL;)
        memmove(at, at + cut, strlen(at + cut) + 1);
    fprintf(stderr, "weir: %s\n", weir_cli_shown(message));
}

void weir_cli_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

int weir_cli_misuse(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try: weir help%s%s\n", command == NULL ? "" : " ",
            command == NULL ? "" : command);
    return WEIR_CLI_USAGE;
}

int weir_cli_fail(const struct weir_err *err)
{
    if (weir_cli_stop_asked())
        weir_cli_say("stopped");
    else
        weir_cli_say("%s", err->text[0] == '\0' ? "failed without a reason" : err->text);
    return WEIR_CLI_FAILURE;
}

/* The standard streams are no files to the C library: see streams.c. */
static int descriptor_of(FILE *file)
{
    return file == stdout ? STDOUT_FILENO : file == stderr ? STDERR_FILENO : fileno(file);
}

static bool is_quiet;

void weir_cli_quiet_set(bool quiet)
{
    is_quiet = quiet;
}

bool weir_cli_is_quiet(void)
{
    return is_quiet;
}

bool weir_cli_has_colour(FILE *file)
{
    const char *plain = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    return isatty(descriptor_of(file)) && (plain == NULL || plain[0] == '\0') &&
           (kind == NULL || strcmp(kind, "dumb") != 0);
}

size_t weir_cli_columns(FILE *file)
{
    enum { USUAL = 80 };
    struct winsize size = {0};
    if (ioctl(descriptor_of(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return USUAL;
    return size.ws_col;
}

/* ---- signals ------------------------------------------------------------------------------- */

/* Written by the signal handler, read by the main thread, and the other way round. Both are
 * lock-free, and neither guards other data, so relaxed order does. */
static atomic_int stop_asked; /* the signal's number; 0: none */
static _Atomic(weir_session *) watched;

static void ask_to_stop(int number)
{
    atomic_store_explicit(&stop_asked, number, memory_order_relaxed);
    weir_session *session = atomic_load_explicit(&watched, memory_order_relaxed);
    if (session != NULL)
        weir_session_cancel(session);
}

void weir_cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a file as long as it may be is an error of write too */
}

bool weir_cli_stop_asked(void)
{
    return atomic_load_explicit(&stop_asked, memory_order_relaxed) != 0;
}

int weir_cli_exit_code(int code)
{
    enum { SIGNALLED = 128 };
    const int number = atomic_load_explicit(&stop_asked, memory_order_relaxed);
    return code == WEIR_CLI_OK || number == 0 ? code : SIGNALLED + number;
}

void weir_cli_signals_watch(weir_session *session)
{
    atomic_store_explicit(&watched, session, memory_order_relaxed);
}

/* As stop_asked: only a flag. */
static atomic_bool was_interrupted;

static void note_interrupt(int number)
{
    (void)number;
    atomic_store_explicit(&was_interrupted, true, memory_order_relaxed);
    weir_session *session = atomic_load_explicit(&watched, memory_order_relaxed);
    if (session != NULL)
        weir_session_cancel(session);
}

void weir_cli_interrupts_catch(void)
{
    struct sigaction action = {.sa_handler = note_interrupt};
    sigaction(SIGINT, &action, NULL);
}

bool weir_cli_interrupt_seen(void)
{
    return atomic_load_explicit(&was_interrupted, memory_order_relaxed);
}

bool weir_cli_interrupt_take(void)
{
    return atomic_exchange_explicit(&was_interrupted, false, memory_order_relaxed);
}

/* ---- progress ------------------------------------------------------------------------------ */

static size_t status_columns; /* what is shown; 0: nothing */

void weir_cli_status_clear(void)
{
    if (status_columns == 0)
        return;
    /* A terminal that became narrower since has folded the line. */
    const size_t width = weir_cli_columns(stderr);
    fputc('\r', stderr);
    for (size_t row = (status_columns - 1) / width; row > 0; row--)
        fputs("\033[A", stderr);
    fputs("\033[J", stderr);
    status_columns = 0;
}

void weir_cli_status_line(const char *format, ...)
{
    char line[WEIR_CLI_PATH_MAX];
    va_list arguments;
    if (is_quiet || !isatty(STDERR_FILENO))
        return;
    weir_cli_status_clear();
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    const char *shown = weir_cli_shown(line);
    const size_t width = weir_cli_columns(stderr);
    size_t end = 0; /* of the characters that fit, each taken to be one column wide */
    for (size_t step = 0; shown[end] != '\0' && status_columns + 1 < width; end += step) {
        step = weir_utf8_char(shown + end, strlen(shown + end));
        step = step == 0 ? 1 : step;
        status_columns++;
    }
    fwrite(shown, 1, end, stderr);
    fflush(stderr);
}

/* The text on the terminal has not ended its line. */
static bool is_in_line;

static void write_shown(FILE *file, const char *bytes, size_t length)
{
    char shown[WEIR_TOKEN_BYTES_MAX * WEIR_PRINTABLE_EACH_MAX + 1];
    while (length > 0) {
        size_t step = weir_min(length, WEIR_TOKEN_BYTES_MAX);
        if (step < length)
            step -= weir_utf8_unfinished(bytes, step);
        fwrite(shown, 1, weir_printable(bytes, step, shown, sizeof(shown)), file);
        bytes += step;
        length -= step;
    }
}

/* As a terminal may have it. */
static void write_lines(FILE *file, const char *bytes, size_t length)
{
    for (size_t begin = 0, at = 0; at <= length; at++) {
        if (at < length && bytes[at] != '\n' && bytes[at] != '\t')
            continue;
        write_shown(file, bytes + begin, at - begin);
        if (at < length)
            fputc(bytes[at], file);
        begin = at + 1;
    }
}

bool weir_cli_text_write(const char *bytes, size_t length)
{
    if (length == 0)
        return true;
    if (!isatty(STDOUT_FILENO))
        return fwrite(bytes, 1, length, stdout) == length && fflush(stdout) == 0;
    write_lines(stdout, bytes, length);
    is_in_line = bytes[length - 1] != '\n';
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

void weir_cli_aside_write(const char *bytes, size_t length)
{
    const bool is_dim = weir_cli_has_colour(stderr);
    if (length == 0)
        return;
    fputs(is_dim ? "\033[2m" : "", stderr);
    if (isatty(STDERR_FILENO))
        write_lines(stderr, bytes, length);
    else
        fwrite(bytes, 1, length, stderr);
    fputs(is_dim ? "\033[0m" : "", stderr);
    is_in_line = bytes[length - 1] != '\n';
}

void weir_cli_prompt_show(const char *bytes, size_t length)
{
    if (is_quiet || !isatty(STDOUT_FILENO))
        return;
    fputs(weir_cli_has_colour(stdout) ? "\033[2m" : "", stdout);
    weir_cli_text_write(bytes, length);
    fputs(weir_cli_has_colour(stdout) ? "\033[0m" : "", stdout);
    fflush(stdout);
}

void weir_cli_notice_tell(void *user, const char *text)
{
    (void)user;
    if (is_in_line && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    weir_cli_say("%s", text);
}

void weir_cli_warnings_tell(const struct weir_warnings *warnings)
{
    for (uint32_t index = 0; index < warnings->count; index++)
        weir_cli_say("%s", warnings->text[index]);
    if (warnings->more > 0)
        weir_cli_say("and %u more warnings about this file", warnings->more);
}

int weir_cli_no_text(const struct weir_warnings *told, const char *why, const char *advice)
{
    bool is_said = false;
    for (uint32_t index = 0; index < told->count; index++)
        is_said = is_said || strstr(told->text[index], why) != NULL;
    weir_cli_say("%s: %s", is_said ? "so no text can be read" : why, advice);
    return WEIR_CLI_FAILURE;
}
