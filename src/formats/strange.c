/* strange.c - what a file is that is none of ours, by its first bytes, and what to get instead. */
#include <string.h>

#include "formats/manifest_internal.h"

#define GET_ANOTHER                                                                                \
    "weir reads GGUF files and directories of safetensors: get one of those of the same model"

static const struct strange {
    const char *bytes;
    size_t length;
    const char *text;
} stranges[] = {
#define BEGINS(bytes, text)                                                                        \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, text                                                             \
    }
    BEGINS("PK\3\4",
           "it is a zip archive, as PyTorch checkpoints (.bin, .pt, .pth) are; " GET_ANOTHER),
    BEGINS("\x80\2", "it is a pickle, as old PyTorch checkpoints are; " GET_ANOTHER),
    BEGINS("\x80\3", "it is a pickle; " GET_ANOTHER),
    BEGINS("\x80\4", "it is a pickle; " GET_ANOTHER),
    BEGINS("\x89HDF", "it is an HDF5 file, as Keras writes them; " GET_ANOTHER),
    BEGINS("tjgg", "it is a GGML file from before GGUF; " GET_ANOTHER),
    BEGINS("fmgg", "it is a GGML file from before GGUF; " GET_ANOTHER),
    BEGINS("lmgg", "it is a GGML file from before GGUF; " GET_ANOTHER),
    BEGINS("algg", "it is a LoRA adapter of GGML; " GET_ANOTHER),
    BEGINS("version https://git-lfs",
           "it is a Git LFS pointer, not the file itself: git lfs pull, or weir pull, brings that"),
    BEGINS("<", "it is a web page: a download got a page about the file, or an error; weir pull "
                "brings the file itself"),
    BEGINS("{", "it is JSON: of a Hugging Face model name the directory that it lies in"),
    BEGINS("\x1f\x8b", "it is compressed (gzip): unpack it first"),
    BEGINS("\x28\xb5\x2f\xfd", "it is compressed (zstd): unpack it first"),
    BEGINS("\xfd"
           "7zXZ",
           "it is compressed (xz): unpack it first"),
    BEGINS("7z\xbc\xaf", "it is compressed (7z): unpack it first"),
#undef BEGINS
};

/* The length of a header, and JSON. */
static bool is_safetensors(const uint8_t *bytes, uint64_t length)
{
    uint64_t header = 0;
    if (length < 9)
        return false;
    memcpy(&header, bytes, sizeof(header));
    return header > 1 && header <= (100u << 20) && bytes[8] == '{';
}

/* Protobuf: ir_version, a small number, and then a text or the graph (onnx.proto, ModelProto). */
static bool is_onnx(const uint8_t *bytes, uint64_t length)
{
    return length > 3 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 32 &&
           (bytes[2] == 0x12 || bytes[2] == 0x3a || bytes[2] == 0x42);
}

/* Letters, blanks and ends of lines. */
static bool is_plain(const uint8_t *bytes, uint64_t length)
{
    enum { LOOK_BYTES = 256 };
    for (uint64_t at = 0; at < length && at < LOOK_BYTES; at++)
        if ((bytes[at] < ' ' && bytes[at] != '\n' && bytes[at] != '\r' && bytes[at] != '\t') ||
            bytes[at] == 0x7f)
            return false;
    return true;
}

const char *weir_strange_text(const uint8_t *bytes, uint64_t length)
{
    for (size_t index = 0; index < WEIR_COUNT(stranges); index++)
        if (length >= stranges[index].length &&
            memcmp(bytes, stranges[index].bytes, stranges[index].length) == 0)
            return stranges[index].text;
    if (is_safetensors(bytes, length))
        return "it is a safetensors file: name the directory that it lies in, with its config.json";
    if (is_onnx(bytes, length))
        return "it is an ONNX model; " GET_ANOTHER;
    return is_plain(bytes, length) ? "it is a text; " GET_ANOTHER : GET_ANOTHER;
}
