#!/bin/sh
# house.sh - the tools around the code: packages, rebuilding, install, runs from any folder.
# shellcheck disable=SC2016  # the fakes' bodies are for the fakes to expand
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
scratch=$(mktemp -d /tmp/weir-house-XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT

# shellcheck source=tests/integration/check.sh
. tests/integration/check.sh

# ---- packages: a machine of fakes, where commands only say what they were asked ---------------

fake() { # NAME BODY
    printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1"
    chmod +x "$scratch/bin/$1"
}

# What would be done about package here and package there, with only the first installed.
on_fake_machine() { # USER-ID WITH-SUDO
    mkdir -p "$scratch/bin"
    rm -f "$scratch"/bin/*
    : >"$scratch/asked"
    fake dpkg-query 'case $3 in here*) printf installed;; gone) printf config-files;; *) exit 1;; esac'
    fake id "echo $1"
    fake apt-get "echo \"apt-get \$*\" >>'$scratch/asked'"
    [ "$2" = no ] || fake sudo "echo sudo >>'$scratch/asked'; exec \"\$@\""
    for tool in sh tr env cat; do ln -sf "$(command -v $tool)" "$scratch/bin/$tool"; done
    shift 2
    PATH=$scratch/bin sh -c '. ./tools/packages.sh; weir_install_packages "$@"' sh "$@" 2>"$scratch/said"
}

on_fake_machine 0 no here here2 && [ ! -s "$scratch/asked" ]
check "nothing is done when all packages are there" $?
on_fake_machine 0 no here there gone && grep -q 'install .* there gone *$' "$scratch/asked" &&
    ! grep -q sudo "$scratch/asked" && ! grep -q 'install.* here' "$scratch/asked"
check "root installs what is missing or was removed, and only that" $?
on_fake_machine 1000 yes there && grep -q sudo "$scratch/asked" && grep -q 'apt-get update' "$scratch/asked"
check "others install with sudo" $?
on_fake_machine 1000 yes here && [ ! -s "$scratch/asked" ]
check "others are asked for no password when all is there" $?
! on_fake_machine 1000 no there && grep -q 'neither root nor sudo.*apt-get install there' "$scratch/said"
check "without sudo it says what to install, and fails" $?

! PKG_CONFIG_LIBDIR=$scratch make B="$scratch/none" >"$scratch/said" 2>&1 && grep -q 'apt-get install liburing-dev libpcre2-dev libutf8proc-dev libjansson-dev libedit-dev libcurl4-gnutls-dev nettle-dev libmicrohttpd-dev' "$scratch/said"
check "make names the packages that pkg-config does not find" $?
PKG_CONFIG_LIBDIR=$scratch make help >/dev/null
check "make help needs no packages" $?

./run-tests --help | grep -q 'run-tests long' && ./run-demo --help | grep -q DEMO_TOKENS && ! ./run-tests --no-such 2>"$scratch/said" && grep -q 'no option --no-such' "$scratch/said"
check "the two commands say how they are used, and do nothing else then" $?

# ---- pictures ---------------------------------------------------------------------------------

tools/plots.py --check
check "the pictures of docs/SPEED.md show its tables" $?

# ---- make rebuilds what changed, and only that ------------------------------------------------

build() { make ROOMS=base B="$scratch/build" "$@" lib >"$scratch/said" 2>&1; }
build && grep -q 'CC *src/base/heap.c' "$scratch/said"
check "the library builds" $?
build && ! grep -q CC "$scratch/said"
check "a second make does nothing" $?
build CFLAGS=-g3 && grep -q 'CC *src/base/heap.c' "$scratch/said"
check "a changed flag rebuilds" $?
build CFLAGS=-g3 ROOMS="base sys" && grep -q 'CC *src/sys/host.c' "$scratch/said" && build CFLAGS=-g3 &&
    grep -q AR "$scratch/said" && ! nm "$scratch/build/libweir.a" 2>/dev/null | grep -q weir_pool
check "a source that left leaves the library" $?

# ---- install, and a program that uses what was installed --------------------------------------

if [ -x build/release/weir ]; then
    make install DESTDIR="$scratch/stage" PREFIX=/usr >"$scratch/said" 2>&1 && [ -x "$scratch/stage/usr/bin/weir" ]
    check "make install honours DESTDIR and PREFIX" $?
    cat >"$scratch/user.c" <<'USER'
#include <stdio.h>
#include <weir.h>
int main(void)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    const struct weir_config config = {.model_path = "/nowhere/at/all.gguf"};
    const enum weir_status status = weir_plan_make(&plan, &config, &err);
    puts(err.text);
    return status == WEIR_ERR_IO ? 0 : 1;
}
USER
    make install PREFIX="$scratch/usr" >"$scratch/said" 2>&1
    # shellcheck disable=SC2046  # flags are words
    PKG_CONFIG_PATH=$scratch/usr/lib/pkgconfig sh -c "cc '$scratch/user.c' -o '$scratch/user' \
        \$(pkg-config --static --cflags --libs weir)" >>"$scratch/said" 2>&1 && "$scratch/user" >>"$scratch/said" 2>&1
    status=$?
    cat "$scratch/said"
    [ $status -eq 0 ] && grep -q '/nowhere/at/all.gguf' "$scratch/said"
    check "a program builds with pkg-config and the installed library" $?
else
    check "build/release/weir is there (make)" 1
fi

exit $wrong
