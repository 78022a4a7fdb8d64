# check.sh - what the shell tests share; sourced.
# shellcheck shell=sh disable=SC2034  # wrong is what a test ends with

wrong=0
check() { # SENTENCE STATUS
    if [ "$2" -eq 0 ]; then
        echo "  ok  $1"
    else
        echo "  WRONG  $1"
        wrong=1
    fi
}
