/* letters.c - what Unicode says of one character: its cases, and whether it is seen. */
#include <utf8proc.h>

#include "text/text.h"

/* Characters with a case of several characters, or one that depends on their neighbours (Unicode,
 * SpecialCasing.txt): from, to. */
static const uint32_t special_upper[][2] = {
    {0xdf, 0xdf},     {0x149, 0x149},   {0x1f0, 0x1f0},   {0x390, 0x390},   {0x3b0, 0x3b0},
    {0x587, 0x587},   {0x1e96, 0x1e9a}, {0x1f50, 0x1f50}, {0x1f52, 0x1f52}, {0x1f54, 0x1f54},
    {0x1f56, 0x1f56}, {0x1f80, 0x1fb4}, {0x1fb6, 0x1fb7}, {0x1fbc, 0x1fbc}, {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fc7}, {0x1fcc, 0x1fcc}, {0x1fd2, 0x1fd3}, {0x1fd6, 0x1fd7}, {0x1fe2, 0x1fe4},
    {0x1fe6, 0x1fe7}, {0x1ff2, 0x1ff4}, {0x1ff6, 0x1ff7}, {0x1ffc, 0x1ffc}, {0xfb00, 0xfb17},
};
static const uint32_t special_lower[][2] = {{0x130, 0x130}, {0x3a3, 0x3a3}};

static bool is_among(const uint32_t (*ranges)[2], size_t count, uint32_t character)
{
    for (size_t index = 0; index < count; index++)
        if (character >= ranges[index][0] && character <= ranges[index][1])
            return true;
    return false;
}

bool weir_text_change_case(uint32_t character, bool upper, uint32_t *changed)
{
    if (upper ? is_among(special_upper, WEIR_COUNT(special_upper), character)
              : is_among(special_lower, WEIR_COUNT(special_lower), character))
        return false;
    *changed = (uint32_t)(upper ? utf8proc_toupper((utf8proc_int32_t)character)
                                : utf8proc_tolower((utf8proc_int32_t)character));
    return true;
}

bool weir_text_is_cased(uint32_t character)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)character);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

bool weir_text_is_printable(uint32_t character)
{
    switch (utf8proc_category((utf8proc_int32_t)character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return character == ' ';
    default:
        return true;
    }
}
