/* fallbacks.c - tensors that got another format than was meant, for people and in JSON. */
#include "fallbacks.h"

void weir_cli_fallbacks_say(const struct weir_quantize_fallback *fallbacks, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        const bool is_one = fallbacks[index].tensor_count == 1;
        weir_cli_say("%u %s rows that no block of %s fills: %s %s", fallbacks[index].tensor_count,
                     is_one ? "tensor has" : "tensors have", fallbacks[index].meant,
                     is_one ? "it is" : "they are", fallbacks[index].type);
    }
}

json_t *weir_cli_fallbacks_json(const struct weir_quantize_fallback *fallbacks, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t index = 0; index < count; index++) {
        json_t *object = json_object();
        json_object_set_new(object, "meant", json_string(fallbacks[index].meant));
        json_object_set_new(object, "type", json_string(fallbacks[index].type));
        weir_cli_json_count(object, "tensors", fallbacks[index].tensor_count);
        json_array_append_new(array, object);
    }
    return array;
}
