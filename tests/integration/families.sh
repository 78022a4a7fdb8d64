#!/bin/sh
# families.sh - the table in docs/FAMILIES.md is what the family table says, and every family has a golden model.
. tests/integration/check.sh
wanted=$(build/release/tools/families) || exit 1
found=$(sed -n '/^| family | models/,/^$/p' docs/FAMILIES.md | sed '/^$/d')
[ "$wanted" = "$found" ]
check "docs/FAMILIES.md has the table that build/release/tools/families prints" $?
for family in $(build/release/tools/families | sed -n 's/^| `\([^`]*\)`.*/\1/p'); do
    grep -qs "\"family\": \"$family\"" tests/golden/*/provenance.json
    check "family $family has a golden model" $?
done
exit $wrong
