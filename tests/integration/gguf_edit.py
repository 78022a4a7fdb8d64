"""gguf_edit.py - a GGUF file with other keys: what a test changes, and nothing else."""
import struct

FORMATS = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"), "i32": (5, "i"),
           "f32": (6, "f"), "bool": (7, "?"), "u64": (10, "Q"), "i64": (11, "q"), "f64": (12, "d")}
SIZES = {number: struct.calcsize(letter) for number, letter in FORMATS.values()}
STRING, ARRAY = 8, 9


def string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def typed(kind, values):
    """(type, bytes) of the values, one behind the other."""
    if kind == "str":
        return STRING, b"".join(string(value) for value in values)
    number, letter = FORMATS[kind]
    return number, b"".join(struct.pack("<" + letter, value) for value in values)


class Gguf:
    """keys: name to (type, bytes), in the order of the file; the tensors stay as they are."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.version, self.tensor_count, key_count = struct.unpack_from("<IQQ", self.bytes, 4)
        self.at = 24
        self.keys = {}
        for _ in range(key_count):
            name = self.take_string().decode()
            kind = self.take("<I")
            begin = self.at
            self.skip_value(kind)
            self.keys[name] = (kind, self.bytes[begin:self.at])
        begin = self.at
        for _ in range(self.tensor_count):
            self.take_string()
            dimension_count = self.take("<I")
            self.at += 8 * dimension_count + 12
        self.infos = self.bytes[begin:self.at]
        self.data = self.bytes[-(-self.at // 32) * 32:]

    def take(self, layout):
        value = struct.unpack_from(layout, self.bytes, self.at)[0]
        self.at += struct.calcsize(layout)
        return value

    def take_string(self):
        length = self.take("<Q")
        self.at += length
        return self.bytes[self.at - length:self.at]

    def skip_value(self, kind):
        if kind == STRING:
            self.take_string()
        elif kind == ARRAY:
            element, count = self.take("<I"), self.take("<Q")
            for _ in range(count if element == STRING else 0):
                self.take_string()
            self.at += 0 if element == STRING else SIZES[element] * count
        else:
            self.at += SIZES[kind]

    def drop_tensors(self, end):
        """Without the tensors whose names end so; their data stays."""
        at, kept, count = 0, b"", 0
        while at < len(self.infos):
            length = struct.unpack_from("<Q", self.infos, at)[0]
            name = self.infos[at + 8:at + 8 + length].decode()
            next_at = at + 8 + length + 4 + 8 * struct.unpack_from("<I", self.infos, at + 8 + length)[0] + 12
            if not name.endswith(end):
                kept += self.infos[at:next_at]
                count += 1
            at = next_at
        self.infos, self.tensor_count = kept, count

    def set(self, name, kind, value):
        self.keys[name] = typed(kind, [value])

    def set_array(self, name, kind, values):
        number, data = typed(kind, values)
        self.keys[name] = (ARRAY, struct.pack("<IQ", number, len(values)) + data)

    def strings(self, name):
        """The strings of an array, as bytes."""
        self.bytes, self.at = self.keys[name][1], 4
        return [self.take_string() for _ in range(self.take("<Q"))]

    def numbers(self, name):
        data = self.keys[name][1]
        letter = next(letter for number, letter in FORMATS.values() if number == struct.unpack_from("<I", data)[0])
        return list(struct.unpack_from(f"<{struct.unpack_from('<Q', data, 4)[0]}{letter}", data, 12))

    def write(self, path):
        head = b"GGUF" + struct.pack("<IQQ", self.version, self.tensor_count, len(self.keys))
        for name, (kind, data) in self.keys.items():
            head += string(name) + struct.pack("<I", kind) + data
        head += self.infos
        with open(path, "wb") as file:
            file.write(head + bytes(-len(head) % 32) + self.data)
        return path
