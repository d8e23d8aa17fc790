"""Mutations of inputs: of bytes and words, also inside zip, gzip and safetensors files."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from tests.support.data_files import zipped

Mutate = Callable[[bytes, Random], bytes]

NUMBERS = (b"0", b"-1", b"1", b"1e999", b"nan", b"9" * 20, b".5", b"1e-999", b"0x1", b"1_0", b"-0")
WORDS = {
    "text": (*NUMBERS, b",", b"\t", b"\r\n", b"\n\n", b"\0", b"\xff\xfe", b"   1.0000000e+00"),
    "npy": (
        *(b"'descr': '|O'", b"'<f8'", b"'|V0'", b"'<U0'", b"'>f2'", b"'<c16'", b"'<M8[s]'"),
        *(b"(0,)", b"(2, 784)", b"(784, 2)", b"(-1, 784)", b"(99999999999, 784)", b"(2L, 784L)"),
        *(b"True", b"[('a','u1')]", b"((((", b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00", b"1+0j"),
        *(b'{"name": 1}', b"[[[[", b"original", b"checked"),
    ),
    "idx": (b"\0\0\x08\x01", b"\0\0\x08\x03", b"\0\0\0\x03", b"\xff\xff\xff\xff", b"\x1f\x8b\x08"),
    "yaml": (
        *(*NUMBERS, b"null", b"true", b"~", b"''", b'"\\ud800"', b'"\\e[31m"', b"no", b"\x85"),
        *(b": ", b"- ", b"? ", b"{", b"}", b"[", b"]", b", ", b"&a ", b"*a", b"!!int ", b"<<: "),
        *(b"---\n", b"...\n", b"%YAML 1.2\n", b"|\n ", b">-\n ", b"#", b"\t", b"\xc2\x85", b"\xff"),
        *(b"dataset", b"model", b"hidden", b"tied", b"corruption", b"destruction", b"sigma"),
        *(b"pretrain", b"finetune", b"learning_rate", b"epochs", b"batch_size", b"subset", b"seed"),
        *(b"masking", b"gaussian", b"rect", b"title", b"shared", b"per_dataset", b"=", b"."),
    ),
    "json": (
        *(b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 25, b'"\\u0000"', b'"\\ud800"', b"{}"),
        *(b"[]", b"[" * 3000, b'"\\u001b[31m"', b'"\\u001b":1,', b",", b":", b'"', b"finetune"),
        *(b"done", b"F64", b"I32", b"BF16", b"dae", b"__metadata__", b"data_offsets", b"shape"),
    ),
}


def bytes_and(words: Sequence[bytes]) -> Mutate:
    """Return a mutation of bytes that also inserts these words."""

    def mutate(data: bytes, random: Random) -> bytes:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = _step(data, random, words)
        return data

    return mutate


def _step(data: bytes, random: Random, words: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    length = min(random.choice((1, 1, 2, 8, 64, 1000)), len(data) - at)
    piece = data[at : at + length]
    before, after = data[:at], data[at + length :]
    elsewhere = random.randint(0, len(data))
    flipped = bytes(byte ^ (1 << random.randrange(8)) for byte in piece[:1])
    return random.choice(
        (
            before + flipped + data[at + 1 :],
            before + after,
            before + piece * random.choice((2, 3, 50)) + after,
            before,
            before + random.randbytes(length) + after,
            data[:elsewhere] + piece + data[elsewhere:],
            before + random.choice(words) + random.choice((after, data[at:])),
        )
    )


def zip_and(inner: Mutate) -> Mutate:
    """Return a mutation of a zip, or of the content of a member with a correct checksum."""
    outer = bytes_and((b"PK\x01\x02", b"PK\x05\x06", b"\xff\xff\xff\xff", b"\0\0", b"\x01\0"))

    def mutate(data: bytes, random: Random) -> bytes:
        members = _members(data)
        if not members or random.random() < 0.3:
            return outer(data, random)
        name = random.choice(list(members))
        match random.randrange(8):
            case 0:
                del members[name]
            case 1:
                before = random.choice(("../", "/", "C:\\", "a/", "\x1b[31m"))
                members[before + name] = members[name]
            case 2:
                members[name] = members[random.choice(list(members))]
            case _:
                members[name] = inner(members[name], random)
        return zipped(members, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))

    return mutate


def _members(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip that are small and readable."""
    with suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()[:10]
        return {i.filename: archive.read(i) for i in infos if i.file_size < 100_000}
    return {}


def gzip_and(inner: Mutate) -> Mutate:
    """Return a mutation of a gzip file, or of its content."""

    def mutate(data: bytes, random: Random) -> bytes:
        if data[:2] != b"\x1f\x8b" or random.random() < 0.3:
            return inner(data, random)
        try:
            content = zlib.decompressobj(31).decompress(data, 100_000)
        except zlib.error:
            return inner(data, random)
        packed = gzip.compress(inner(content, random), mtime=0)
        return packed + packed if random.random() < 0.05 else packed

    return mutate


def header_and(inner: Mutate) -> Mutate:
    """Return a mutation of a safetensors file, or of its header with a correct length."""
    outer = bytes_and(WORDS["idx"])

    def mutate(data: bytes, random: Random) -> bytes:
        length = int.from_bytes(data[:8], "little")
        if length > len(data) - 8 or random.random() < 0.2:
            return outer(data, random)
        header, numbers = data[8 : 8 + length], data[8 + length :]
        fields, ours = {}, b""
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            fields = json.loads(header)
            ours = fields["__metadata__"]["dae"].encode()
        if ours and random.random() < 0.7:
            fields["__metadata__"]["dae"] = inner(ours, random).decode("utf-8", "replace")
            header = json.dumps(fields).encode()
        else:
            header = inner(header, random)
        return len(header).to_bytes(8, "little") + header + numbers

    return mutate
