/* hf_tables.h - what families of hf_tables.c have beside the common keys and tensors. */
#ifndef WEIR_HF_TABLES_H
#define WEIR_HF_TABLES_H

#include "formats/hf.h"

/* Families whose mixers are their own: hf_mixer_tables.c. */
extern const struct hf_key weir_hf_delta_keys[];
extern const struct hf_key weir_hf_gemma_keys[];
extern const struct hf_key weir_hf_gemma2_keys[];
extern const struct hf_key weir_hf_gemma3_keys[];
extern const struct hf_key weir_hf_gemma4_keys[];
extern const struct hf_key weir_hf_latent_keys[];
extern const struct hf_key weir_hf_deepseek2_keys[];
extern const struct hf_key weir_hf_deepseek3_keys[];
extern const struct hf_key weir_hf_mistral4_keys[];
extern const struct hf_key weir_hf_phi3_keys[];
extern const struct hf_key weir_hf_smollm3_keys[];
extern const struct hf_tensor weir_hf_delta_tensors[];
extern const struct hf_tensor weir_hf_gemma_tensors[];
extern const struct hf_tensor weir_hf_gemma4_tensors[];
extern const struct hf_tensor weir_hf_latent_tensors[];
extern const struct hf_tensor weir_hf_phi3_tensors[];

/* Families whose networks are their own: hf_network_tables.c. */
extern const struct hf_key weir_hf_granite_keys[];
extern const struct hf_key weir_hf_ernie_keys[];
extern const struct hf_key weir_hf_dots_keys[];
extern const struct hf_key weir_hf_hunyuan_keys[];
extern const struct hf_key weir_hf_exaone_keys[];
extern const struct hf_key weir_hf_bailing_keys[];
extern const struct hf_key weir_hf_afmoe_keys[];
extern const struct hf_key weir_hf_cohere_keys[];
extern const struct hf_key weir_hf_oss_keys[];
extern const struct hf_key weir_hf_llama4_keys[];
extern const struct hf_key weir_hf_step_keys[];
extern const struct hf_tensor weir_hf_granite_tensors[];
extern const struct hf_tensor weir_hf_ernie_tensors[];
extern const struct hf_tensor weir_hf_hunyuan_tensors[];
extern const struct hf_tensor weir_hf_exaone_tensors[];
extern const struct hf_tensor weir_hf_bailing_tensors[];
extern const struct hf_tensor weir_hf_afmoe_tensors[];
extern const struct hf_tensor weir_hf_oss_tensors[];
extern const struct hf_tensor weir_hf_llama4_tensors[];
extern const struct hf_tensor weir_hf_step_tensors[];

#define HF_LAYER "model.layers.#."
#define HF_BLOCK "blk.#."

#endif
