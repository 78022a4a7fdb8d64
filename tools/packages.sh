# packages.sh - the Debian packages weir is built and tested with; sourced by run-tests and run-demo.
# shellcheck shell=sh disable=SC2034,SC2086

weir_build_packages="build-essential pkg-config liburing-dev libpcre2-dev libutf8proc-dev libjansson-dev libedit-dev
    libcurl4-gnutls-dev nettle-dev libmicrohttpd-dev"
weir_test_packages="libcmocka-dev python3 python3-pip clang libclang-rt-dev clang-format xz-utils tmux
    mandoc zsh fish"

# For tests/integration/browser.py, in long runs: 300 MB on the disk.
weir_browser_packages="chromium chromium-driver"

# For tests/integration/arm.sh: a cross compiler and an emulator, and what the compiler's target links.
weir_arm_packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user make pkg-config"
weir_arm_libraries="liburing-dev liburing2 libpcre2-dev libpcre2-8-0 libutf8proc-dev libutf8proc2
    libjansson-dev libjansson4 libedit-dev libedit2 libbsd0 libmd0 libtinfo6
    libcmocka-dev libcmocka0 nettle-dev libnettle8 libmicrohttpd-dev libgnutls28-dev libtasn1-6-dev libp11-kit-dev
    libidn2-dev libcurl4-gnutls-dev libcurl3-gnutls
    libbrotli1 libcom-err2 libdb5.3 libffi8 libgmp10 libgnutls30 libgssapi-krb5-2 libhogweed6 libidn2-0 libk5crypto3
    libkeyutils1 libkrb5-3 libkrb5support0 libldap-2.5-0 libnghttp2-14 libp11-kit0 libpsl5 librtmp1 libsasl2-2 libssh2-1
    libssl3 libtasn1-6 libunistring2 libzstd1 zlib1g"

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

# Put what Debian's packages for another architecture hold below FOLDER, once. Nothing is installed:
# apt keeps its lists for that architecture in the folder, so the system's own do not learn of it.
weir_unpack_packages() { # ARCHITECTURE FOLDER PACKAGE...
    architecture=$1 folder=$2
    shift 2
    [ "$(cat "$folder/packages" 2>/dev/null)" != "$*" ] || return 0
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    rm -rf "$folder"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" || return 1
    folder=$(CDPATH='' cd -- "$folder" && pwd) || return 1
    foreign_apt() {
        apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
            -o Dir::State="$folder/apt" -o Dir::State::status=/dev/null -o Dir::Cache="$folder/apt" \
            -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 "$@" >&2
    }
    # A source that lacks the architecture fails; whether the others have the packages shows next.
    foreign_apt update
    (cd "$folder/apt" && foreign_apt download "$@") || return 1
    for package in "$folder"/apt/*.deb; do
        dpkg-deb -x "$package" "$folder" || return 1
    done
    rm -rf "$folder/apt"
    echo "$*" >"$folder/packages"
}
