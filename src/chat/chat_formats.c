/* chat_formats.c - formats that models were trained with and whose files often lack a template.
 *
 * Each is the shortest Jinja that writes what the family's own template writes for plain turns.
 * text(m) is a message's text, whether it is one or a list of parts; BOS is the vocabulary's, so
 * none is written before the first turn. `system` is the text of a first system message. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "chat/chat.h"

static const char prelude[] =
    "{%- macro text(m) -%}"
    "{%- if m.content is string -%}{{ m.content }}{%- else -%}"
    "{%- for part in m.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}"
    "{%- endif -%}{%- endmacro -%}"
    "{%- set has_system = messages[0].role == 'system' -%}"
    "{%- set system = text(messages[0]) if has_system else '' -%}"
    "{%- set turns = messages[1:] if has_system else messages -%}";

/* Every message in turn, its role between head and middle. */
#define EACH(head, middle, tail, prompt)                                                           \
    "{%- for m in messages -%}{{ '" head "' + m.role + '" middle "' + text(m) + '" tail "' }}"     \
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '" prompt "' }}{%- endif -%}"

/* The system text goes before the first user's words, with what is between them. */
#define WITH_SYSTEM(before, after)                                                                 \
    "{%- set said = text(m) -%}"                                                                   \
    "{%- if loop.first and system -%}{%- set said = '" before "' + system + '" after "' + said "   \
    "-%}{%- endif -%}"

static const struct {
    const char *name, *source;
} formats[] = {
    {"chatml", EACH("<|im_start|>", "\\n", "<|im_end|>\\n", "<|im_start|>assistant\\n")},
    {"llama3", EACH("<|start_header_id|>", "<|end_header_id|>\\n\\n", "<|eot_id|>",
                    "<|start_header_id|>assistant<|end_header_id|>\\n\\n")},
    {"llama4", EACH("<|header_start|>", "<|header_end|>\\n\\n", "<|eot|>",
                    "<|header_start|>assistant<|header_end|>\\n\\n")},
    {"llama2", "{%- for m in turns -%}"
               "{%- if m.role == 'assistant' -%}{{ ' ' + text(m) + ' ' ~ eos_token ~ bos_token }}"
               "{%- else -%}" WITH_SYSTEM("<<SYS>>\\n", "\\n<</SYS>>\\n\\n") //
     "{{ '[INST] ' + said + ' [/INST]' }}{%- endif -%}{%- endfor -%}"},
    {"mistral", "{%- for m in turns -%}"
                "{%- if m.role == 'assistant' -%}{{ ' ' + text(m) ~ eos_token }}"
                "{%- else -%}" WITH_SYSTEM("", "\\n\\n") //
     "{{ '[INST] ' + said + '[/INST]' }}{%- endif -%}{%- endfor -%}"},
    {"mistral7",
     "{%- if system -%}{{ '[SYSTEM_PROMPT]' + system + '[/SYSTEM_PROMPT]' }}{%- endif -%}"
     "{%- for m in turns -%}"
     "{%- if m.role == 'assistant' -%}{{ text(m) ~ eos_token }}"
     "{%- else -%}{{ '[INST]' + text(m) + '[/INST]' }}{%- endif -%}{%- endfor -%}"},
    {"gemma", "{%- for m in turns -%}"
              "{%- set role = 'model' if m.role == 'assistant' else m.role -%}" //
     WITH_SYSTEM("", "\\n\\n")                                                  //
     "{{ '<start_of_turn>' + role + '\\n' + said | trim + '<end_of_turn>\\n' }}"
     "{%- endfor -%}"
     "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"},
    {"phi3", EACH("<|", "|>\\n", "<|end|>\\n", "<|assistant|>\\n")},
    {"phi4", EACH("<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|im_start|>assistant<|im_sep|>")},
    {"deepseek", "{{ system }}{%- for m in turns -%}"
                 "{%- if m.role == 'assistant' -%}"
                 "{{ '<｜Assistant｜>' + text(m) + '<｜end▁of▁sentence｜>' }}"
                 "{%- else -%}{{ '<｜User｜>' + text(m) }}{%- endif -%}{%- endfor -%}"
                 "{%- if add_generation_prompt -%}{{ '<｜Assistant｜>' }}{%- endif -%}"},
    {"deepseek-llm", "{%- if system -%}{{ system + '\\n\\n' }}{%- endif -%}"
                     "{%- for m in turns -%}"
                     "{%- if m.role == 'assistant' -%}{{ 'Assistant: ' + text(m) ~ eos_token }}"
                     "{%- else -%}{{ 'User: ' + text(m) + '\\n\\n' }}{%- endif -%}{%- endfor -%}"
                     "{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"},
    {"glm4", "{{ '[gMASK]<sop>' }}" EACH("<|", "|>\\n", "", "<|assistant|>\\n")},
    {"granite", EACH("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>\\n",
                     "<|start_of_role|>assistant<|end_of_role|>")},
    {"gpt-oss", EACH("<|start|>", "<|message|>", "<|end|>", "<|start|>assistant")},
    {"kimi-k2", "{%- for m in messages -%}"
                "{{ '<|im_' + m.role + '|>' + m.role + '<|im_middle|>' + text(m) + '<|im_end|>' }}"
                "{%- endfor -%}{%- if add_generation_prompt -%}"
                "{{ '<|im_assistant|>assistant<|im_middle|>' }}{%- endif -%}"},
    {"command-r", "{%- for m in messages -%}"
                  "{%- set role = 'CHATBOT' if m.role == 'assistant' else m.role | upper -%}"
                  "{{ '<|START_OF_TURN_TOKEN|><|' + role + '_TOKEN|>' + text(m) "
                  "+ '<|END_OF_TURN_TOKEN|>' }}{%- endfor -%}{%- if add_generation_prompt -%}"
                  "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{%- endif -%}"},
    {"olmo", EACH("<|", "|>\\n", "\\n", "<|assistant|>\\n")},
    {"zephyr", EACH("<|", "|>\\n", "</s>\\n", "<|assistant|>\\n")},
    {"vicuna", "{%- if system -%}{{ system + ' ' }}{%- endif -%}{%- for m in turns -%}"
               "{%- if m.role == 'assistant' -%}{{ 'ASSISTANT: ' + text(m) ~ eos_token }}"
               "{%- else -%}{{ 'USER: ' + text(m) + ' ' }}{%- endif -%}{%- endfor -%}"
               "{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}"},
    {"alpaca", "{%- if system -%}{{ system + '\\n\\n' }}{%- endif -%}{%- for m in turns -%}"
               "{%- if m.role == 'assistant' -%}{{ '### Response:\\n' + text(m) + '\\n\\n' }}"
               "{%- else -%}{{ '### Instruction:\\n' + text(m) + '\\n\\n' }}{%- endif -%}"
               "{%- endfor -%}{%- if add_generation_prompt -%}{{ '### Response:\\n' }}"
               "{%- endif -%}"},
    {"plain", "{%- for m in messages -%}{{ text(m) }}{%- if not loop.last -%}{{ '\\n' }}"
              "{%- endif -%}{%- endfor -%}"},
};

const char *weir_chat_format_name(uint32_t index)
{
    return index < WEIR_COUNT(formats) ? formats[index].name : NULL;
}

enum weir_status weir_chat_format_find(const char *name, char **source, struct weir_err *err)
{
    char names[WEIR_COUNT(formats) * 16] = "";
    size_t length = 0;
    for (size_t row = 0; row < WEIR_COUNT(formats); row++) {
        if (strcmp(formats[row].name, name) == 0) {
            const size_t bytes = sizeof(prelude) + strlen(formats[row].source);
            *source = weir_heap_alloc(bytes);
            if (*source == NULL)
                return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a chat format");
            snprintf(*source, bytes, "%s%s", prelude, formats[row].source);
            return WEIR_OK;
        }
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                   row > 0 ? ", " : "", formats[row].name);
    }
    return WEIR_FAIL(err, WEIR_ERR_ARG, "chat format: wanted one of %s, found %s", names, name);
}
