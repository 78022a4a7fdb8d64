#!/bin/sh
# arm.sh - built for aarch64 and run under emulation: kernels and models with dot product, and the
# reference where the CPU has none.
set -u
CDPATH='' cd -- "$(dirname -- "$0")/../.." || exit 1
# shellcheck source=tools/packages.sh
. tools/packages.sh
# shellcheck source=tests/integration/check.sh
. tests/integration/check.sh
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS LDFLAGS

skip() {
    echo "skipped: $1"
    exit 77
}

[ "$(uname -m)" != aarch64 ] || skip "this machine is an aarch64: the unit tests are this test"
# shellcheck disable=SC2086  # the packages are words
{
    weir_install_packages $weir_arm_packages ||
        skip "the cross compiler and emulator cannot be installed: $weir_arm_packages"
    for tool in aarch64-linux-gnu-gcc qemu-aarch64 pkg-config; do
        command -v $tool >/dev/null 2>&1 || skip "there is no $tool"
    done
    weir_unpack_packages arm64 build/arm/root $weir_arm_libraries ||
        skip "Debian's libraries for arm64 cannot be had (network?)"
}

root=$PWD/build/arm/root
libraries=$root/usr/lib/aarch64-linux-gnu
tests=build/arm/tests
export PKG_CONFIG_LIBDIR="$libraries/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
# Libraries that need others have these in two folders.
make -j"$(nproc)" CONFIG=release CC=aarch64-linux-gnu-gcc B=build/arm WERROR=1 \
    CFLAGS="-g -isystem $root/usr/include" \
    LDFLAGS="-Wl,-rpath-link,$libraries:$root/lib/aarch64-linux-gnu" build/arm/weir \
    $tests/kernels_vector_test $tests/kernels_finite_test $tests/kernels_kv_test \
    $tests/kernels_matmul_test $tests/model_golden_test || exit 1

emulate() { # CPU PROGRAM...
    cpu=$1
    shift
    qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu \
        -E LD_LIBRARY_PATH="$libraries:$root/lib/aarch64-linux-gnu" "$@" 2>&1
}

run_demo() { # CPU OPTIONS...
    cpu=$1
    shift
    emulate "$cpu" build/arm/weir run models/demo/weir-demo.gguf --ids "1 2 3" -n 4 "$@"
}

# What a test prints goes to the log and stays in $said.
run_test() { # CPU NAME
    said=$(emulate "$1" "$tests/$2")
    status=$?
    echo "$said"
    return $status
}

# max has all that qemu knows. Cortex-A53 is an ARMv8.0: no dot product, nor anything else that a
# _neon file may be compiled to, and it stops at the first such instruction.
run_test max kernels_vector_test
check "activations, norms and attention are the reference's" $?
! echo "$said" | grep -q "has no neon-dotprod"
check "they were tested with dot product" $?
run_test max kernels_kv_test
check "attention over each format of keys and values is the formula" $?
run_test max kernels_finite_test
check "what is not finite stays so" $?
run_test max kernels_matmul_test
check "each matmul is what the formula says" $?
run_test max model_golden_test
check "logits are the outside judge's" $?
echo "$said" | grep -q "neon-dotprod .* worst difference"
check "they were computed with dot product too" $?
run_demo max | grep "^mode .* neon-dotprod,"
check "a CPU with dot product uses it" $?
run_demo cortex-a53 | grep "^mode .* ref,"
check "a CPU without uses the reference" $?
run_test cortex-a53 kernels_vector_test && echo "$said" | grep -q "has no neon-dotprod"
check "and passes the tests that it can" $?
run_demo cortex-a53 --isa neon-dotprod | grep "this CPU does not have neon-dotprod"
check "and says so when it is to use what it lacks" $?
exit $wrong
