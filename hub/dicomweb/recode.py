"""Uncompressed datasets as explicit VR little endian, for clients that insist on it (PS3.18 §8.7.3). Pure.

Values stay as they are; only their encoding changes. The stored bytes are not touched.
"""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from gateway.dicom import transfer
from gateway.errors import Malformed
from hub.archive.jsonmodel import BINARY, FAULTS, swapped

MAX_SIZE = 512 << 20
"""Bytes of a dataset that is converted in memory."""

_PIXELS = 0x7FE00010


def explicit_little(data: bytes, syntax: str) -> bytes:
    """The dataset in explicit VR little endian.

    Args:
        data: a dataset with uncompressed pixels.
        syntax: its transfer syntax.

    Raises:
        Malformed: it cannot be read, or is too large.
    """
    if len(data) > MAX_SIZE:
        raise Malformed(f"a dataset of {len(data)} bytes is not converted; ask for transfer-syntax=*")
    encoding = transfer.encoding(syntax)
    if encoding.deflated:
        return _inflated(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are passed on as they are
            dataset = read_dataset(BytesIO(data), encoding.implicit, encoding.little)
            if not encoding.little or syntax == transfer.GE_PRIVATE_IMPLICIT:
                _swap(dataset, everything=not encoding.little)
            target = DicomBytesIO()
            target.is_implicit_VR, target.is_little_endian = False, True
            write_dataset(target, dataset)
    except (*FAULTS, NotImplementedError, OSError) as error:
        raise Malformed("the dataset cannot be converted; ask for transfer-syntax=*") from error
    return bytes(target.getvalue())


def _inflated(data: bytes) -> bytes:
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(data, MAX_SIZE)
    except zlib.error as error:
        raise Malformed("the dataset cannot be inflated; ask for transfer-syntax=*") from error
    if inflater.unconsumed_tail:
        raise Malformed("the inflated dataset is too large; ask for transfer-syntax=*")
    return plain


def _swap(dataset: Dataset, *, everything: bool) -> None:
    """Turn the words of binary values round; pydicom turns only numbers."""
    bits = int(dataset.get("BitsAllocated") or 8)
    for element in dataset:
        vr = str(element.VR)
        if vr == "SQ":
            for item in element.value:
                _swap(item, everything=everything)
        elif vr in BINARY and isinstance(element.value, bytes):
            if element.tag == _PIXELS and bits > 8:
                element.value = swapped(element.value, bits // 8)
            elif everything:
                element.value = swapped(element.value, BINARY[vr])
