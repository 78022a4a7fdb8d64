# packages.sh - the Debian packages weir is built and tested with; sourced by run-tests and run-demo.
# shellcheck shell=sh disable=SC2034,SC2086

weir_build_packages="build-essential pkg-config liburing-dev libpcre2-dev libutf8proc-dev libjansson-dev"
weir_test_packages="libcmocka-dev python3 python3-pip python3-venv clang libclang-rt-dev clang-format xz-utils"

# Names of those that are not installed, one a line.
weir_missing_packages() {
    for package in "$@"; do
        state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || echo "$package"
    done
}

# Install what is missing; do nothing, and ask for no password, when all is there.
weir_install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "This is no Debian system: make sure that what these packages hold is there: $*" >&2
        return 0
    fi
    missing=$(weir_missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Missing, and neither root nor sudo to install them: apt-get install $missing" >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "Installing $missing" >&2
    # Unquoted: the names are words, and as_root may be none.
    $as_root apt-get update -qq >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 $missing >&2 || {
        echo "apt-get could not install: $missing" >&2
        return 1
    }
}
