#!/usr/bin/env python3
"""continue.py - go on with a text in so many GiB, with nothing but Python and libweir.so: continue.py MODEL GIB TEXT

Structures are written down as weir.h of version 0.2 has them; another one has another libweir.so.NUMBER. WEIR_LIBRARY
says where the library is, where the loader does not find it.
"""
import ctypes
import os
import sys
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_size_t, c_uint32, c_uint64, c_void_p


class Err(ctypes.Structure):
    _fields_ = [("status", c_int), ("os_errno", c_int), ("line", c_int), ("file", c_char_p), ("text", c_char * 640)]


class Config(ctypes.Structure):  # zeros: weir chooses
    _fields_ = [("model_path", c_char_p), ("mem_bytes", c_uint64), ("caller_bytes", c_uint64), ("n_thread", c_uint32),
                ("n_ctx", c_uint32), ("n_chunk", c_uint32), ("n_slot", c_uint32), ("expert_share", c_double),
                ("lookahead", c_int), ("gpu", c_int), ("gpu_bytes", c_uint64), ("gpu_moves", c_bool), ("io", c_int),
                ("buffered", c_bool), ("io_depth", c_uint32), ("io_budget_bytes", c_uint64),
                ("timeline_events", c_uint32), ("kv", c_char_p), ("warm_up", c_void_p), ("warm_up_count", c_uint32),
                ("isa", c_char_p), ("text_folder", c_char_p), ("text_bytes", c_uint64), ("measures_inputs", c_bool),
                ("lossy_skip", c_double), ("lossy_resident", c_double), ("copies_path", c_char_p),
                ("lossy_copies", c_double), ("progress", c_void_p),
                ("progress_user", c_void_p), ("notice", c_void_p), ("notice_user", c_void_p), ("bench", c_void_p)]


class SamplerConfig(ctypes.Structure):  # zeros: the likeliest token each time
    _fields_ = [("temperature", c_float), ("top_k", c_uint32), ("top_p", c_float), ("min_p", c_float),
                ("typical_p", c_float), ("xtc_probability", c_float), ("xtc_threshold", c_float),
                ("repeat_penalty", c_float), ("frequency_penalty", c_float), ("presence_penalty", c_float),
                ("repeat_last", c_uint32), ("dry_multiplier", c_float), ("dry_base", c_float), ("dry_allowed", c_uint32),
                ("dry_last", c_uint32), ("dry_breakers", c_void_p), ("dry_breaker_count", c_size_t), ("biases", c_void_p),
                ("bias_count", c_size_t), ("grammar", c_void_p), ("whole_within", c_uint32), ("seed", c_uint64)]


weir = ctypes.CDLL(os.environ.get("WEIR_LIBRARY", "libweir.so.0.2"))
for name in ("weir_engine_tokenizer", "weir_session_logits"):  # else ctypes cuts what they return to 32 bits
    getattr(weir, name).restype = c_void_p
weir.weir_decoder_push.restype = c_size_t
weir.weir_sampler_pick.restype = c_uint32
weir.weir_tokenizer_is_end.restype = c_bool


def call(function, *arguments):
    """A function of weir whose last parameter is the error."""
    err = Err()
    if function(*arguments, byref(err)) != 0:
        sys.exit(err.text.decode())


def main(model, gib, text):
    engine, session, sampler, decoder = c_void_p(), c_void_p(), c_void_p(), c_void_p()
    ids, count, piece = POINTER(c_uint32)(), c_size_t(), ctypes.create_string_buffer(4096)
    config = Config(model_path=os.fsencode(model), mem_bytes=int(float(gib) * 2**30))
    call(weir.weir_engine_open, byref(engine), byref(config))
    tokenizer = c_void_p(weir.weir_engine_tokenizer(engine))
    call(weir.weir_session_create, byref(session), engine)
    call(weir.weir_sampler_create, byref(sampler), byref(SamplerConfig()), c_uint32(weir.weir_tokenizer_vocab_count(tokenizer)))
    call(weir.weir_decoder_create, byref(decoder), tokenizer, c_bool(True))
    prompt = text.encode()
    call(weir.weir_tokenizer_encode, tokenizer, prompt, c_size_t(len(prompt)), 1, byref(ids), byref(count))  # 1: ADD_SPECIAL
    call(weir.weir_session_eval, session, ids, count, None, None)
    for _ in range(40):
        token = c_uint32(weir.weir_sampler_pick(sampler, c_void_p(weir.weir_session_logits(session))))
        if weir.weir_tokenizer_is_end(tokenizer, token):
            break
        length = weir.weir_decoder_push(decoder, token, piece)
        sys.stdout.buffer.write(piece.raw[:length])
        sys.stdout.flush()
        call(weir.weir_session_eval, session, byref(token), c_size_t(1), None, None)
    weir.weir_ids_free(byref(ids))
    weir.weir_decoder_destroy(byref(decoder))
    weir.weir_sampler_destroy(byref(sampler))
    weir.weir_session_destroy(byref(session))
    weir.weir_engine_close(byref(engine))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
