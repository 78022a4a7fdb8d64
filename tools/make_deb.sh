#!/bin/sh
# make_deb.sh - a Debian package of what `make install` brings: build/weir_VERSION_ARCHITECTURE.deb. For `make deb`.
#
# What it depends on is read from the program and the library; what the program loads only when it
# is needed (libcurl, libmicrohttpd) is recommended. DEBFULLNAME and DEBEMAIL say who maintains it,
# SOURCE_DATE_EPOCH how old its files are, DEB_XZ_LEVEL (6) how hard xz tries.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
folder=build/deb
stage=$folder/weir
doc=$stage/usr/share/doc/weir

fail() {
    echo "make deb: $*" >&2
    exit 1
}

for tool in dpkg-deb dpkg-shlibdeps dpkg-query strip; do
    command -v $tool >/dev/null || fail "$tool is not here; on Debian: apt-get install dpkg-dev binutils"
done

umask 022
rm -rf "$folder"
mkdir -p "$folder/debian" "$stage/DEBIAN"
make -s install DESTDIR="$PWD/$stage" PREFIX=/usr
version=$(sed -n 's/^#define WEIR_VERSION "\(.*\)"/\1/p' include/weir.h)
architecture=$(dpkg --print-architecture)

maintainer="${DEBFULLNAME:-authors of weir} <${DEBEMAIL:-weir@localhost}>"
year=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y)

# As Debian's policy has it: stripped, pages and changes compressed, the licence named and not copied.
strip "$stage/usr/bin/weir"
strip --strip-unneeded "$stage"/usr/lib/libweir.so.*.*.*
strip --strip-debug "$stage/usr/lib/libweir.a"
gzip -9n "$stage"/usr/share/man/man1/*.1
mv "$doc/CHANGELOG.md" "$doc/changelog"
cat >"$doc/changelog.Debian" <<CHANGES
weir ($version-1) unstable; urgency=medium

  * changelog.gz says what is new.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
CHANGES
gzip -9n "$doc/changelog" "$doc/changelog.Debian"
rm "$doc/LICENSE"
cat >"$doc/copyright" <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: weir

Files: *
Copyright: $year the authors of weir
License: Apache-2.0
 The full text is in /usr/share/common-licenses/Apache-2.0.
COPYRIGHT

# dpkg-shlibdeps wants a source package around it.
printf 'Source: weir\n\nPackage: weir\nArchitecture: any\n' >"$folder/debian/control"
depends=$(cd "$folder" && dpkg-shlibdeps -O -e weir/usr/bin/weir -e "weir/usr/lib/libweir.so.$version" 2>shlibdeps.log |
    sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "dpkg-shlibdeps: $(cat "$folder/shlibdeps.log")"
recommends=
for source in cli/curl_load.c src/serve/mhd_load.c; do
    loaded=$(sed -n 's/^static const char \*const names\[\] = {"\([^"]*\)".*/\1/p' "$source")
    found=$(dpkg-query -S "*/$loaded" 2>"$folder/query.log" | sed -n '1s/:.*//p')
    [ -n "$found" ] || fail "no package has $loaded, which the program loads when it needs it: $(cat "$folder/query.log")"
    recommends="$recommends$found, "
done

cat >"$stage/DEBIAN/control" <<CONTROL
Package: weir
Version: $version-1
Architecture: $architecture
Maintainer: $maintainer
Section: science
Priority: optional
Installed-Size: $(du -sk "$stage/usr" | cut -f 1)
Depends: $depends
Recommends: ${recommends}ca-certificates
Suggests: pkg-config, liburing-dev, libpcre2-dev, libutf8proc-dev
Description: run Mixture-of-Experts language models that are larger than memory
 weir keeps the experts of a GGUF model on the SSD, and in memory what every
 token needs and as many experts as fit below a ceiling that holds. It plans,
 answers, chats, measures, and downloads models.
 .
 The library, its header and weir.pc are in this package too; to link with
 the static library, or to ask pkg-config, install what it suggests.
CONTROL
echo "libweir ${version%.*} weir (>= $version)" >"$stage/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$stage/DEBIAN/triggers"
(cd "$stage" && find usr -type f -exec md5sum '{}' +) | LC_ALL=C sort -k 2 >"$stage/DEBIAN/md5sums"
chmod 644 "$stage"/DEBIAN/*

package=build/weir_$version-1_$architecture.deb
dpkg-deb --root-owner-group -Zxz -z"${DEB_XZ_LEVEL:-6}" --build "$stage" "$package" >/dev/null
rm -rf "$folder"
echo "  DEB  $package"
